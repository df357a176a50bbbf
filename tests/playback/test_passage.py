"""The way of the frames to one device: bit by bit where it can be, and positions that can be trusted everywhere."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.pattern import pattern
from voice_mcp.codecs.conversion import Converter
from voice_mcp.playback.passage import FADE_IN_S, Passage
from voice_mcp.types import PcmFormat

MONO = PcmFormat(24_000, 1)
FADE = MONO.frames_in(FADE_IN_S)


def through(passage: Passage, sound: bytes, block: int) -> bytes:
    given_blocks = [passage.forward(sound[start : start + block]) for start in range(0, len(sound), block)]
    return b"".join(given_blocks) + passage.finish()


def test_a_device_that_takes_the_format_gets_every_bit() -> None:
    sound = pattern(5000)
    passage = Passage(MONO, MONO)
    assert passage.forward(sound) is sound
    assert passage.finish() == b""
    assert [passage.frame_of(frame) for frame in (0, 17, 5000)] == [0, 17, 5000]


def test_sound_that_goes_on_fades_in_and_is_itself_afterwards() -> None:
    sound = pattern(5000)
    faded = through(Passage(MONO, MONO, start_frame=1000), sound, 2 * 7)
    assert faded[2 * FADE :] == sound[2 * FADE :]
    pairs = zip(array("h", faded[: 2 * FADE]), array("h", sound[: 2 * FADE]), strict=True)
    gains = [got / sent for got, sent in pairs]
    assert gains == sorted(gains)
    assert 0 <= gains[0] < 0.01
    assert 0.99 < gains[-1] < 1


def test_positions_count_from_the_beginning_of_the_whole() -> None:
    passage = Passage(MONO, MONO, start_frame=1000)
    passage.forward(pattern(500))
    assert [passage.frame_of(frame) for frame in (0, 20, 500)] == [1000, 1020, 1500]


def test_a_device_never_has_played_more_than_it_was_given() -> None:
    passage = Passage(MONO, PcmFormat(48_000, 1), 0, Converter(MONO, PcmFormat(48_000, 1)))
    passage.forward(pattern(100))
    assert passage.frame_of(10_000) == 100


@pytest.mark.parametrize("pan", [0.0, 0.5])
@pytest.mark.parametrize("rate_hz", [8000, 16_000, 44_100, 48_000, 96_000])
@settings(deadline=None, max_examples=40)
@given(frames=st.integers(1, 3000), start=st.integers(0, 100_000), block=st.integers(20, 900))
def test_at_any_rate_the_end_is_exact_and_every_position_right_to_a_frame(
    rate_hz: int, pan: float, frames: int, start: int, block: int
) -> None:
    device = PcmFormat(rate_hz, 2)
    passage = Passage(MONO, device, start, Converter(MONO, device, pan))
    out = through(passage, pattern(frames), 2 * block)
    given_frames = device.frames(len(out))
    assert abs(given_frames - frames * rate_hz / MONO.rate_hz) <= 0.5
    assert passage.frame_of(given_frames) == start + frames
    assert passage.frame_of(0) == start or given_frames == 0
    for device_frame in range(0, given_frames, 97):
        assert abs(passage.frame_of(device_frame) - start - device_frame * MONO.rate_hz / rate_hz) <= 1
    assert passage.finish() == b""
