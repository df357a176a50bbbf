"""Whether sound comes out: the device that speech would use is opened, and plays a moment of silence."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from voice_mcp.app import App
from voice_mcp.cli.report import Check, Finding, State
from voice_mcp.errors import AudioProcessLost, DeviceUnavailable, MicrophoneUnavailable, PlaybackError
from voice_mcp.playback.link import DEVICE_BACKENDS, DeviceList
from voice_mcp.types import PlaybackEvent

ANSWER_S = 10.0
"""Longest the sound system may take."""
SILENCE_S = 0.05
ELSEWHERE = 'For SSH, containers and WSL see "When something is wrong" in the README.'
LIBRARY_NAMES = {"sounddevice": "PortAudio", "miniaudio": "miniaudio"}


async def check_sound(app: App, *, files_work: bool) -> Finding:
    """See where sound goes, and what the audio libraries see.

    Args:
        app: The house.
        files_work: Whether the data folder can be written.
    """
    output, works = await _output(app, files_work=files_work)
    try:
        libraries = [_library(entry) for entry in await app.link.devices(DEVICE_BACKENDS)]
    except AudioProcessLost as exc:
        libraries = [Check("audio", State.BROKEN, exc.message, exc.hint)]
    return Finding((output, *libraries), works)


async def plays(app: App) -> bool:
    """Whether sound goes to a device, which takes it in its own time."""
    if app.settings.audio_output == "file":
        return False
    try:
        await _play_silence(app, None)
    except (PlaybackError, TimeoutError):
        return False
    return True


async def _output(app: App, *, files_work: bool) -> tuple[Check, bool]:
    choice = app.settings.audio_output
    name = "sound out"
    try:
        if choice == "file":
            await _write_silence(app)
            return Check(name, State.OK, "into files (VOICEMODE_AUDIO_OUTPUT=file)"), files_work
        opened = await _play_silence(app, None)
    except (PlaybackError, TimeoutError) as exc:
        reason, hint = _reason(exc)
        if choice == "auto" and files_work:
            hint = ELSEWHERE if hint == DeviceUnavailable.hint else hint
            return Check(name, State.WARNING, f"{reason} Speech is saved to files.", hint), True
        return Check(name, State.BROKEN, reason, hint), False
    if opened.backend == "null":
        detail = "null keeps time and makes no sound."
        return Check(name, State.WARNING, detail, "Unset VOICEMODE_AUDIO_OUTPUT to hear something."), True
    device = app.settings.output_device or "default device"
    return Check(name, State.OK, f"{opened.backend}, {device}, latency {opened.latency_s * 1000:.0f} ms"), True


async def _write_silence(app: App) -> None:
    with tempfile.TemporaryDirectory(prefix="voice-mcp-") as folder:
        await _play_silence(app, Path(folder) / "silence.wav")


async def _play_silence(app: App, path: Path | None) -> PlaybackEvent:
    """Open what speech would open; returns how that went.

    Raises:
        PlaybackError: It cannot be opened.
        TimeoutError: The sound system does not answer.
    """
    fmt = app.engines[0].expected_format
    async with asyncio.timeout(ANSWER_S):
        playback = await app.link.begin(fmt, _let_pass, path=path)
        opened = await playback.opened()
        await playback.write(bytes(fmt.frames_in(SILENCE_S) * fmt.frame_bytes))
        playback.finish()
        await playback.wait()
    return opened


def _library(entry: DeviceList) -> Check:
    name = LIBRARY_NAMES.get(entry.backend, entry.backend)
    if entry.problem:
        return Check(name, State.WARNING, problem_of(entry.problem))
    if not entry.names:
        return Check(name, State.OK, "installed; it sees no output device")
    number = len(entry.names)
    return Check(name, State.OK, f"{number} output device{'s' if number > 1 else ''}, by default {entry.names[0]}")


def problem_of(report: str) -> str:
    """What an audio library says is wrong, without the advice for whoever wanted to be heard or to listen just now."""
    for kind in (DeviceUnavailable, MicrophoneUnavailable):
        report = report.removesuffix(f" {kind.hint}")
    return report


def _reason(exc: PlaybackError | TimeoutError) -> tuple[str, str]:
    if isinstance(exc, PlaybackError):
        return exc.message, exc.hint
    hint = "Restart the sound system, or set VOICEMODE_AUDIO_OUTPUT=file."
    return f"The sound system did not answer within {ANSWER_S:.0f} s.", hint


def _let_pass(event: PlaybackEvent) -> None:
    """A ``PlaybackListener``: what happens to silence is of no interest."""
