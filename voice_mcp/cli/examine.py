"""What `voice-mcp doctor` looks at. Every check really does the thing, and every wait is bounded."""

from __future__ import annotations

import asyncio
import os
import platform
import tempfile
from collections.abc import Iterator
from pathlib import Path

from voice_mcp import __version__
from voice_mcp.app import App
from voice_mcp.cli.examine_additions import check_additions
from voice_mcp.cli.examine_listening import check_microphone
from voice_mcp.cli.examine_network import check_offline
from voice_mcp.cli.examine_recognisers import check_recognisers
from voice_mcp.cli.examine_sound import check_sound
from voice_mcp.cli.examine_speech import check_speech
from voice_mcp.cli.house import house
from voice_mcp.cli.report import Check, Finding, Report, State
from voice_mcp.codecs.detect import choose_decoder
from voice_mcp.codecs.writer import FORMATS, StreamingAudioWriter
from voice_mcp.errors import CodecError, CodecMissing, SettingsError
from voice_mcp.parts import check_save_format
from voice_mcp.settings import LoadedSettings, Settings
from voice_mcp.types import PcmFormat

FOLDER = "data folder"
FORMAT = PcmFormat(24_000, 1)
TRIAL = bytes(8192)
"""What is written to see whether there is room; an empty file always finds some."""


async def examine(loaded: LoadedSettings) -> Report:
    """Look at everything that speaking and listening need."""
    settings, codecs = loaded.settings, _codecs()
    problem = loaded.problems[0].message if loaded.problems else None
    try:
        check_save_format(settings.audio_save_format)
    except SettingsError as exc:
        codecs, problem = Check("codecs", State.BROKEN, exc.message, exc.hint), "recordings cannot be written."
        settings = settings.model_copy(update={"audio_save_format": "wav"})  # what is well can still be looked at
    folder = await asyncio.to_thread(_check_folder, settings.base_dir)
    offline = await asyncio.to_thread(check_offline, wanted=settings.offline)
    first = (_version(), *_settings(loaded), folder, *offline)
    try:
        async with house(settings) as app:
            return await _examine_house(app, first, codecs, problem)
    except SettingsError as exc:  # they contradict each other
        contradiction = Check("settings", State.BROKEN, exc.message, exc.hint)
        checks = (*first, contradiction, codecs, await check_microphone(settings))
        return Report(checks, exc.message, ("for the same reason",))


async def _examine_house(app: App, first: tuple[Check, ...], codecs: Check, problem: str | None) -> Report:
    """The same, of what takes a running house.

    Args:
        app: The house.
        first: What was found already, and is told before the rest.
        codecs: What was found of them.
        problem: Why speaking cannot work, if that is known already.
    """
    files_work = all(check.state is not State.BROKEN for check in first if check.name == FOLDER)
    sound, speech, microphone, recognisers, more = await asyncio.gather(
        check_sound(app, files_work=files_work),
        check_speech(app),
        check_microphone(app.settings),
        check_recognisers(app),
        check_additions(app),
    )
    if not speech.works:
        problem = "no engine can speak."
    elif not sound.works:
        problem = "sound can go nowhere, not even into a file."
    checks = (*first, *sound.checks, codecs, *speech.checks, microphone, *recognisers.checks, *more.checks)
    return Report(checks, problem, tuple(_why_deaf(app.settings, microphone, recognisers, more)))


def _why_deaf(settings: Settings, microphone: Check, recognisers: Finding, more: Finding) -> Iterator[str]:
    """Why nobody can be listened to, half a sentence each."""
    if settings.audio_input == "none":
        yield "VOICEMODE_AUDIO_INPUT is none"
    elif microphone.state is not State.OK:
        yield "there is no microphone that hears"
    if settings.stt_engine == "none":
        yield "VOICEMODE_STT_ENGINE is none"
    elif not recognisers.works:
        yield "nobody can turn speech into words"
    if not more.works:
        yield "something it was to use is missing"


def _version() -> Check:
    python = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    return Check("voice-mcp", State.OK, f"{__version__}, {python}")


def _settings(loaded: LoadedSettings) -> list[Check]:
    hint = "Run `voice-mcp settings` for every name."
    checks = [Check("settings", State.BROKEN, problem.message, problem.hint) for problem in loaded.problems]
    checks += [Check("settings", State.WARNING, warning, hint) for warning in loaded.warnings]
    if checks:
        return checks
    given = sum(origin.source != "default" for origin in loaded.origins)
    return [Check("settings", State.OK, f"{given} of {len(loaded.origins)} set, the others at their defaults")]


def _check_folder(folder: Path) -> Check:
    """Whether records can be written. A folder that is not there yet is not made: nobody has spoken yet."""
    try:
        existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        with tempfile.TemporaryFile(dir=existing, buffering=0) as file:
            file.write(TRIAL)
            os.fsync(file.fileno())  # some file systems look for room only now
    except NotADirectoryError:
        reason = f"{existing} is not a folder"
    except OSError as exc:
        reason = exc.strerror or str(exc)
    else:
        detail = "can be written" if existing == folder else "will be made when it is needed"
        return Check(FOLDER, State.OK, f"{folder} {detail}")
    hint = "Make room there, or set VOICEMODE_BASE_DIR to a folder of yours."
    return Check(FOLDER, State.BROKEN, f"{folder} cannot be written: {reason}.", hint)


def _codecs() -> Check:
    """Encode and decode a moment of every format; Ogg Vorbis needs a library that not everybody has."""
    frames = bytes(FORMAT.frames_in(0.5) * FORMAT.frame_bytes)
    working: list[str] = []
    missing: list[str] = []
    for name in FORMATS:
        try:
            writer = StreamingAudioWriter(name, FORMAT.rate_hz, FORMAT.channels)
            data = writer.write_chunk(frames) + writer.finalize()
            decoder = choose_decoder(data, "", name, FORMAT)
            if len(decoder.decode(data) + decoder.flush()) < len(frames):
                return Check("codecs", State.BROKEN, f"{name} does not decode to what went in.", REINSTALL)
        except CodecMissing:
            missing.append(name)
        except CodecError as exc:
            return Check("codecs", State.BROKEN, exc.message, REINSTALL)
        else:
            working.append(name)
    if missing == ["ogg"]:
        return Check("codecs", State.OK, f"{', '.join(working)}; ogg files need voice-mcp[ogg]")
    if missing:
        return Check("codecs", State.WARNING, f"{', '.join(missing)} cannot be used.", REINSTALL)
    return Check("codecs", State.OK, ", ".join(working))


REINSTALL = "Run `pip install --force-reinstall voice-mcp`."
