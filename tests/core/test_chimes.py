"""Signals: short, soft, without clicks, and not to be taken for a voice."""

from __future__ import annotations

from array import array

import pytest

from voice_mcp.codecs.conversion import Converter
from voice_mcp.core.chimes import CHIME_FORMAT, PEAK_DB, Chime, chime_frames
from voice_mcp.types import LISTENING_FORMAT
from voice_mcp.vad.silero import SileroDetector


@pytest.mark.parametrize("chime", Chime)
def test_a_chime_is_short_and_softer_than_speech(chime: Chime) -> None:
    samples = array("h", chime_frames(chime))

    assert CHIME_FORMAT.seconds(len(samples)) == pytest.approx(chime.seconds, abs=0.001)
    assert chime.seconds < 0.25
    assert max(map(abs, samples)) <= 32_767 * 10 ** (PEAK_DB / 20) + 1


@pytest.mark.parametrize("chime", Chime)
def test_a_chime_begins_and_ends_in_silence(chime: Chime) -> None:
    samples = array("h", chime_frames(chime))

    assert abs(samples[0]) < 10
    assert abs(samples[-1]) < 10


@pytest.mark.parametrize("chime", Chime)
def test_a_chime_is_not_taken_for_a_voice(chime: Chime) -> None:
    converter = Converter(CHIME_FORMAT, LISTENING_FORMAT)
    heard = bytes(16_000) + converter.convert(chime_frames(chime)) + converter.flush() + bytes(16_000)

    assert max(SileroDetector().add(heard)) < 0.35


def test_no_two_chimes_are_alike() -> None:
    assert len({chime_frames(chime) for chime in Chime}) == len(Chime)
