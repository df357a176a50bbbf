"""Joined, levelled, limited and marked as it comes: the same samples as all at once."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.samples.sounds import cut
from tests.support.marking import RATE_HZ, spoken
from voice_mcp.codecs.loudness import loudness_lufs
from voice_mcp.samples.convert import Samples, to_frames
from voice_mcp.samples.joint import Joiner
from voice_mcp.samples.level import apply, gain_for
from voice_mcp.samples.limiter import Limiter
from voice_mcp.types import PcmFormat
from voice_mcp.watermark.marker import Watermarker

TARGET_LUFS = -14.0
"""So loud that the limiter has to work."""


def chained(pieces: list[list[Samples]], gain: float) -> Samples:
    joiner, limiter, marker = Joiner(RATE_HZ), Limiter(RATE_HZ), Watermarker("key")
    joined: list[Samples] = []
    for number, chunks in enumerate(pieces):
        if number:
            joined.append(joiner.next_piece())
        joined += [joiner.process(chunk) for chunk in chunks]
    joined.append(joiner.flush())
    limited = [limiter.process(apply(gain, chunk)) for chunk in joined] + [limiter.flush()]
    return np.concatenate([*(marker.process(chunk) for chunk in limited), marker.flush()])


@settings(deadline=None, max_examples=10)
@given(st.lists(st.integers(0, 3 * RATE_HZ), max_size=20))
def test_speech_in_chunks_is_the_same_as_speech_at_once(cuts: list[int]) -> None:
    sentences = [spoken()[: 3 * RATE_HZ], spoken("de")[: 3 * RATE_HZ]]
    gain = gain_for(loudness_lufs(to_frames(sentences[0]), PcmFormat(RATE_HZ, 1)), TARGET_LUFS)
    whole = chained([[sentence] for sentence in sentences], gain)

    assert np.array_equal(chained([cut(sentence, cuts) for sentence in sentences], gain), whole)
    assert len(whole) == sum(map(len, sentences))
    assert np.abs(whole).max() < 1.0
