"""What an open microphone hears is there for whoever looks, and it is closed whatever becomes of that."""

from __future__ import annotations

import asyncio

import pytest

from tests.capture.ears import WAIT_S, linked
from voice_mcp.core.open_microphone import OpenMicrophone
from voice_mcp.errors import MicrophoneUnavailable
from voice_mcp.types import CapturedSound

pytestmark = pytest.mark.anyio


def unable(sound: CapturedSound) -> CapturedSound:
    raise ValueError("no library can do that")


async def test_sound_that_cannot_be_taken_is_an_error_and_no_silence(caplog: pytest.LogCaptureFixture) -> None:
    async with linked() as link, asyncio.timeout(WAIT_S):
        microphone = await OpenMicrophone.begin(link, unable)
        with pytest.raises(MicrophoneUnavailable, match="cannot be taken"):
            await microphone.after(0)
        await microphone.aclose()
    assert "no library can do that" in caplog.text


async def test_what_is_forgotten_is_refused_and_what_comes_later_is_not_told_in_its_place() -> None:
    async with linked() as link, asyncio.timeout(WAIT_S):
        microphone = await OpenMicrophone.begin(link)
        while microphone.tape.first == 0:
            await microphone.after(microphone.tape.end)
        with pytest.raises(ValueError, match="forgotten"):
            await microphone.after(0)
        first = microphone.tape.first
        assert await microphone.after(first) == microphone.tape.read(first)
        await microphone.aclose()


async def test_a_microphone_whose_sound_cannot_be_taken_is_closed_all_the_same() -> None:
    async with linked() as link, asyncio.timeout(WAIT_S):
        failed = await OpenMicrophone.begin(link, unable)
        with pytest.raises(MicrophoneUnavailable):
            await failed.after(0)
        await failed.aclose()
        microphone = await OpenMicrophone.begin(link)
        assert await microphone.after(0)
        await microphone.aclose()
