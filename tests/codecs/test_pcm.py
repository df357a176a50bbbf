from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_mcp.codecs.pcm import PcmDecoder
from voice_mcp.types import PcmFormat

STEREO = PcmFormat(24_000, 2)


@given(data=st.binary(max_size=200), cuts=st.lists(st.integers(0, 200), max_size=10), channels=st.integers(1, 3))
def test_raw_frames_pass_unchanged_and_whole_however_they_are_cut(data: bytes, cuts: list[int], channels: int) -> None:
    fmt = PcmFormat(24_000, channels)
    decoder, out = PcmDecoder(fmt), b""
    for start, end in pairwise([0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]):
        block = decoder.decode(data[start:end])
        assert len(block) % fmt.frame_bytes == 0
        out += block

    assert out + decoder.flush() == data[: fmt.frames(len(data)) * fmt.frame_bytes]


def test_its_format_is_known_before_anything_arrives() -> None:
    assert PcmDecoder(STEREO).format == STEREO


@pytest.mark.parametrize("odd", [1, 2, 3])
def test_half_a_frame_at_the_end_is_no_sound_and_no_error(odd: int) -> None:
    decoder = PcmDecoder(STEREO)

    assert decoder.decode(bytes(8 + odd)) == bytes(8)
    assert decoder.flush() == b""
