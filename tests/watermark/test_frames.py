"""The mark in frames of 16 bits: as in samples, and rounded once."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.marking import RATE_HZ, marked, spoken
from voice_mcp.protocols import FrameConverter
from voice_mcp.samples.convert import to_frames, to_samples
from voice_mcp.types import PcmFormat
from voice_mcp.watermark.detector import detect
from voice_mcp.watermark.frames import FrameWatermarker


@pytest.mark.parametrize("block_bytes", [2, 960, 10_000_000])
def test_frames_are_marked_like_samples_however_they_come(block_bytes: int) -> None:
    said = to_frames(spoken()[: RATE_HZ // 2])
    marker: FrameConverter = FrameWatermarker(PcmFormat(RATE_HZ, 1), "key")
    blocks = [marker.convert(said[start : start + block_bytes]) for start in range(0, len(said), block_bytes)]

    assert b"".join(blocks) + marker.flush() == to_frames(marked(to_samples(said), "key"))


def test_the_mark_of_stereo_frames_is_found() -> None:
    said = spoken()[: 4 * RATE_HZ]
    marker = FrameWatermarker(PcmFormat(RATE_HZ, 2))
    heard = marker.convert(to_frames(np.stack((said, said), axis=1))) + marker.flush()

    assert len(heard) == 4 * len(said)
    assert detect(to_samples(heard, 2), RATE_HZ).is_marked


def test_silent_frames_stay_silent() -> None:
    marker = FrameWatermarker(PcmFormat(RATE_HZ, 1))

    assert marker.convert(bytes(9_600)) + marker.flush() == bytes(9_600)
