"""Whether sound comes in: the microphone that listening would use is opened, and listened to for a moment."""

from __future__ import annotations

import asyncio
import sys

from voice_mcp.capture.hearing import Hearing
from voice_mcp.capture.link import MicrophoneLink
from voice_mcp.cli.report import Check, State
from voice_mcp.errors import MicrophoneUnavailable
from voice_mcp.parts import build_microphone
from voice_mcp.settings import Settings
from voice_mcp.types import LISTENING_FORMAT

NAME = "sound in"
ANSWER_S = 10.0
"""Longest the sound system may take."""
ENOUGH_S = 0.3
"""How long it is listened to."""
LONGEST_S = 1.0
"""The same while there is nothing but zeros, which some microphones begin with."""
CHOOSE = "set VOICEMODE_INPUT_DEVICE to another one from `voice-mcp devices`"
ALLOW = {
    "darwin": "Allow the microphone for the program this runs in (System Settings, Privacy & Security, Microphone), "
    f"unmute it, or {CHOOSE}.",
    "win32": f"Let desktop apps use the microphone (Settings, Privacy & security, Microphone), unmute it, or {CHOOSE}.",
}
UNMUTE = f"Unmute it (`pactl set-source-mute @DEFAULT_SOURCE@ 0`, or `alsamixer`), or {CHOOSE}."


async def check_microphone(settings: Settings) -> Check:
    """See what a microphone hears. Nobody has to be heard to speak, so at worst it is a warning."""
    # The doctor tells how it is now; a microphone that is held is not waited for.
    link = build_microphone(settings.model_copy(update={"device_wait_s": 0.0}))
    if link is None:
        return Check(NAME, State.OK, "off (VOICEMODE_AUDIO_INPUT=none)")
    try:
        async with asyncio.timeout(ANSWER_S):
            return await _listen(link, settings.input_device or "default device")
    except MicrophoneUnavailable as exc:
        return Check(NAME, State.WARNING, exc.message, exc.hint)
    except TimeoutError:
        detail = f"The sound system did not answer within {ANSWER_S:.0f} s."
        return Check(NAME, State.WARNING, detail, "Restart the sound system, or set VOICEMODE_AUDIO_INPUT=none.")
    finally:
        await link.aclose()


async def _listen(link: MicrophoneLink, device: str) -> Check:
    capture = await link.open()
    heard_s = 0.0
    async for sound in capture:
        heard_s += LISTENING_FORMAT.seconds(LISTENING_FORMAT.frames(len(sound.frames)))
        if heard_s >= (LONGEST_S if capture.condition.zeros_s >= heard_s else ENOUGH_S):
            break
    await capture.aclose()
    return _verdict(capture, device, heard_s)


def _verdict(capture: Hearing, device: str, heard_s: float) -> Check:
    if capture.backend == "null":
        return Check(NAME, State.WARNING, "null hears only silence.", "Unset VOICEMODE_AUDIO_INPUT to be heard.")
    condition, where = capture.condition, f"{capture.backend}, {device}"
    if condition.zeros_s >= heard_s:
        detail = f"{where}: nothing but zeros, so it is muted or may not be used."
        return Check(NAME, State.WARNING, detail, ALLOW.get(sys.platform, UNMUTE))
    return Check(NAME, State.OK, f"{where}, level {condition.rms_db:.0f} dB")
