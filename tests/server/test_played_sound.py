"""What is said to be heard, beside what the sound card really got."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from mcp import Client
from scipy.signal import correlate, resample_poly

from tests.support.fixtures import require_pulse
from tests.support.house import make_house
from tests.support.pulse import PulseCard
from voice_mcp.server import create_server
from voice_mcp.types import LISTENING_FORMAT

pytestmark = pytest.mark.anyio

MESSAGES = ("One thing at a time.", "Two tests fail.", "The third one passes.", "Four files were changed.")
WANTED = 3
KEPT_S = 1.9
STEADY_S = 0.02
"""What the canceller follows by itself, with room to spare; the first words on a fresh device lie about 12 ms off."""


@pytest.mark.pulse
async def test_every_word_lies_as_far_from_its_sound_at_the_card_as_every_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_pulse()
    with PulseCard() as card:
        for name, value in card.env.items():
            monkeypatch.setenv(name, value)
        house = make_house(tmp_path, tts_engine="espeak", audio_output="sounddevice", barge_in="on")
        assert house.played is not None
        told: list[tuple[float, Any]] = []
        async with Client(create_server(house)) as client:
            for message in (*MESSAGES, *MESSAGES):
                with anyio.fail_after(30):
                    result = await client.call_tool("speak", {"message": message})
                assert result.structured_content is not None
                if result.structured_content["underruns"] or len(told) == WANTED:
                    continue  # where a gap tore the sound, on a machine that is too busy, it is right to 40 ms only
                # Of this message alone: the one before it may lie elsewhere, which is for the end to judge.
                length_s = min(KEPT_S, result.structured_content["duration_s"])
                since_s = house.clock.now() - length_s
                frames = house.played.read(since_s, LISTENING_FORMAT.frames_in(length_s))
                told.append((since_s, np.frombuffer(frames, "<i2").astype(np.float64)))
        card_sound = np.frombuffer(card.capture.data(), "<i2").astype(np.float64)
    if len(told) < WANTED:
        pytest.skip("this machine is too busy to play without gaps")
    heard = resample_poly(card_sound, 2, 3)
    begins_s = []
    for since_s, sound in told:
        assert sound.any()
        match = correlate(heard, sound, mode="full")
        at = int(np.argmax(match)) - len(sound) + 1
        there = np.pad(heard, len(sound))[len(sound) + at : 2 * len(sound) + at]
        assert match.max() / np.sqrt((sound @ sound) * (there @ there)) > 0.8
        begins_s.append(since_s - at / LISTENING_FORMAT.rate_hz)
    assert max(begins_s) - min(begins_s) < STEADY_S, [round(1000 * (each - begins_s[0]), 2) for each in begins_s]


async def test_nothing_is_kept_of_what_is_played_unless_an_echo_is_to_be_removed(tmp_path: Path) -> None:
    for choice in ("off", "headphones"):
        house = make_house(tmp_path, barge_in=choice)
        assert house.played is None
        assert house.speaker.tap is None
