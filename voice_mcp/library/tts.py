"""``TTS``: speech as a library, with any engine of the house, as it is made."""

from __future__ import annotations

import asyncio
import operator
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, SupportsIndex, get_args

from voice_mcp.clock import SystemClock
from voice_mcp.errors import InvalidInput, InvalidSpeed, SettingsError
from voice_mcp.library.calibration import Calibration
from voice_mcp.library.chunks import FORMAT, ChunkPlan
from voice_mcp.library.file import WrittenFile
from voice_mcp.library.generation import Generation
from voice_mcp.library.house import load
from voice_mcp.library.playing import Said
from voice_mcp.library.progress_bar import Watch, watching
from voice_mcp.library.stage import Stage
from voice_mcp.library.turns import Cast, Script, Speaker, lines_of
from voice_mcp.library.workshop import Workshop
from voice_mcp.protocols import SpeechEngine
from voice_mcp.samples.convert import Samples
from voice_mcp.settings import Settings
from voice_mcp.types import Sampling

SPEEDS = (0.25, 4.0)
QUIETEST_LUFS, LOUDEST_LUFS = -60.0, -6.0
"""Speech that is louder would be held down by the limiter all the time."""


class TTS:
    """Speech from a text or a dialogue: in chunks while it is made, aloud, or into a file, each time the same way.

    An engine that says a text alike each time gives the same samples in each of them; espeak lets its voice flutter.

    Everything works in a thread of its own, so it may be used with and without an event loop. One object may speak
    several texts, one after another or at once; only one of them is heard at a time.

    Args:
        engine: ``espeak``, ``openai``, ``csm``, ``kokoro``, ``piper``, ``pocket``, ``auto``, or an engine of your own;
            VOICEMODE_TTS_ENGINE where left out.
        device: What ``csm`` computes on: ``cuda``, ``mps``, ``cpu``; the best there is where left out.
        voices: The voice of each speaker, by number or name, or in the order of their numbers.
        speed: 0.25 to 4.0; 1.0 is normal.
        loudness_lufs: Bring every voice to this loudness (ITU-R BS.1770), with one gain for all it says, and no peak
            above -1 dBFS. -18 is usual for speech. None leaves each voice as it is.
        watermark_key: Mark the sound as synthetic, with this key (docs/watermark.md). Where left out,
            VOICEMODE_WATERMARK_KEY; empty leaves the sound unmarked.
        settings: Those of the environment where left out (docs/settings.md); then they say which engine and device.

    Raises:
        SettingsError: The settings cannot be used.
        InvalidInput: An argument cannot be used.
    """

    def __init__(
        self,
        engine: str | SpeechEngine | None = None,
        device: str | None = None,
        *,
        voices: Mapping[Speaker, str] | Sequence[str] | None = None,
        speed: float = 1.0,
        loudness_lufs: float | None = None,
        watermark_key: str | None = None,
        settings: Settings | None = None,
    ) -> None:
        name = engine if isinstance(engine, str) else None
        if settings is not None and (name is not None or device is not None):
            raise InvalidInput(
                "The settings say which engine speaks, and on what device.",
                hint="Give either settings, or engine and device.",
            )
        if not isinstance(settings, Settings | None):
            raise InvalidInput(f"settings={settings!r:.60} are none.", hint="Leave them out, or give a Settings.")
        if engine is not None and name is None and not _can_speak(engine):
            raise InvalidInput(f"engine={engine!r:.60} is none.", hint="Give a name, or an object with `open`.")
        if not isinstance(watermark_key, str | None):
            raise InvalidInput("The watermark's key is no text.", hint="Give a text; an empty one leaves it unmarked.")
        settings = settings or _settings(name, device)
        if watermark_key is None and settings.watermark_key is not None:
            watermark_key = settings.watermark_key.get_secret_value()
        self._clock = SystemClock()
        self._stage = Stage(
            settings,
            None if engine is None or isinstance(engine, str) else engine,
            Cast(voices),
            _checked_speed(speed),
            Calibration(_checked_loudness(loudness_lufs)),
            watermark_key or None,
            self._clock,
        )
        self._workshop = Workshop(self._stage.let_go)
        # Thrown away without ``close``: neither a thread nor a process stays. The end of the program is the workshop's.
        weakref.finalize(self, self._workshop.abandon).atexit = False

    @property
    def sample_rate(self) -> int:
        """Frames per second of everything it gives."""
        return FORMAT.rate_hz

    def load_model(self) -> None:
        """Load what the first text will need, so that it does not have to wait for it.

        Raises:
            EngineError: Nobody can speak; the hint says what brings an engine that can.
        """
        self._workshop.call(self._stage.load)

    def generate_streaming(
        self,
        text: Script,
        *,
        chunk_size: int = 20,
        temperature: float | None = None,
        topk: int | None = None,
        speaker: Speaker = 0,
        seed: int | None = None,
        progress: bool | Watch | None = None,
    ) -> Generation:
        """The sound while it is made, for ``for`` and for ``async for``.

        The first chunk is one frame of 80 ms. Chunks double from there to ``chunk_size``, as far as the engine is fast
        enough that whoever plays them does not run dry.

        Args:
            text: What to say, or turns: ``[(0, "Hello."), (1, "Hi!")]``. It is said as it stands.
            chunk_size: The longest chunk, in frames of 80 ms (1,920 samples).
            temperature: For engines that draw: 0 takes the likeliest.
            topk: From how many of the likeliest they draw.
            speaker: Who says a text: a number, or a voice's name.
            seed: The same seed draws the same.
            progress: A bar on standard error, none, or a function that is told; None shows one for long texts. A
                function may raise, which stops the speech; it cannot call this object.

        Returns:
            Chunks of float32, shape (frames,), 24 kHz mono, in [-1, 1]; put together, what ``generate`` returns.

        Raises:
            InvalidInput: An argument cannot be used.
        """
        longest_frames = _checked_chunk_size(chunk_size)
        lines = lines_of(text, speaker)
        sampling = _sampling(temperature, topk, seed)
        return Generation(
            self._workshop,
            lambda: self._stage.begin(lines, sampling),
            ChunkPlan(longest_frames),
            self._clock,
            chars=sum(len(line.text) for line in lines),
            progress=progress,
        )

    def generate(
        self,
        text: Script,
        *,
        temperature: float | None = None,
        topk: int | None = None,
        speaker: Speaker = 0,
        seed: int | None = None,
        progress: bool | Watch | None = None,
    ) -> Samples:
        """All of the sound at once: float32, shape (frames,), 24 kHz mono. Arguments as for ``generate_streaming``."""
        import numpy as np

        with self.generate_streaming(
            text, temperature=temperature, topk=topk, speaker=speaker, seed=seed, progress=progress
        ) as chunks:
            return np.concatenate(list(chunks))

    async def streaming_say(
        self,
        text: Script,
        *,
        chunk_size: int = 20,
        temperature: float | None = None,
        topk: int | None = None,
        speaker: Speaker = 0,
        seed: int | None = None,
        progress: bool | Watch | None = None,
    ) -> Said:
        """Say it aloud while it is made, and return when the last word has been heard.

        A cancellation, and Ctrl+C under ``asyncio.run``, silences it within a blink and lets the device go. Two calls
        of one object are heard one after the other.

        Args:
            text: As for ``generate_streaming``, like all that follows.
            chunk_size: How much is made before a generator that is slower than speech goes on after a pause.
            temperature: For engines that draw.
            topk: For engines that draw.
            speaker: Who says it.
            seed: For engines that draw.
            progress: Who is told.

        Raises:
            VoiceError: It cannot be said, or not heard. What was made before is heard first.
        """
        longest_frames = _checked_chunk_size(chunk_size)
        lines, sampling, since_s = lines_of(text, speaker), _sampling(temperature, topk, seed), self._clock.now()
        chars = sum(len(line.text) for line in lines)
        with watching(chars, progress) as watch:
            return await self._workshop.acall(lambda: self._stage.say(lines, sampling, longest_frames, watch, since_s))

    def say(
        self,
        text: Script,
        output: str | Path | None = None,
        *,
        temperature: float | None = None,
        topk: int | None = None,
        speaker: Speaker = 0,
        seed: int | None = None,
        progress: bool | Watch | None = None,
    ) -> Said | WrittenFile:
        """Say it into a file, or aloud where none is named. The samples are those of ``generate_streaming``.

        Args:
            text: As for ``generate_streaming``, like all that follows.
            output: The file; its ending says the format: wav, flac, mp3, aac, opus, ogg or pcm. It is replaced when all
                of it is there, and carries a tag that says that it is synthetic where the format has room for one.
            temperature: For engines that draw.
            topk: For engines that draw.
            speaker: Who says it.
            seed: For engines that draw.
            progress: Who is told.

        Raises:
            VoiceError: It cannot be said, heard or written.
        """
        lines, sampling, since_s = lines_of(text, speaker), _sampling(temperature, topk, seed), self._clock.now()
        with watching(sum(len(line.text) for line in lines), progress) as watch:
            if output is None:
                return self._workshop.call(lambda: self._stage.say(lines, sampling, 20, watch, since_s))
            path = Path(output)
            return self._workshop.call(lambda: self._stage.write(path, lines, sampling, watch))

    def close(self) -> None:
        """Let go of the engines, the device and the thread. May be called twice; a later text begins anew."""
        self._workshop.close()

    async def aclose(self) -> None:
        """The same, for a caller with an event loop."""
        await asyncio.to_thread(self._workshop.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def _settings(engine: str | None, device: str | None) -> Settings:
    """Those of the environment, with the caller's engine and device."""
    try:
        return load(tts_engine=engine, csm_device=device)
    except SettingsError as exc:
        for argument, given, field in (("engine", engine, "tts_engine"), ("device", device, "csm_device")):
            known = get_args(Settings.model_fields[field].annotation)
            if given is not None and given not in known:
                hint = f"Use one of {', '.join(known)}, or leave it out."
                raise InvalidInput(f"There is no {argument} {given!r}.", hint=hint) from exc
        raise


def _can_speak(engine: object) -> bool:
    return all(hasattr(engine, needed) for needed in ("open", "check", "knows_voice", "name"))


def _checked_chunk_size(frames: SupportsIndex) -> int:
    try:
        whole = operator.index(frames)
    except TypeError:
        whole = 0
    if whole < 1:
        raise InvalidInput(f"chunk_size is {frames!r}.", hint="Give a whole number of frames of 80 ms; 20 is usual.")
    return whole


def _checked_loudness(loudness_lufs: float | None) -> float | None:
    if loudness_lufs is not None and not (
        isinstance(loudness_lufs, int | float) and QUIETEST_LUFS <= loudness_lufs <= LOUDEST_LUFS
    ):
        raise InvalidInput(
            f"A loudness of {loudness_lufs!r} LUFS cannot be had.",
            hint=f"Give {QUIETEST_LUFS:g} to {LOUDEST_LUFS:g}; -18 is usual for speech.",
        )
    return loudness_lufs


def _checked_speed(speed: float) -> float:
    if not (isinstance(speed, int | float) and SPEEDS[0] <= speed <= SPEEDS[1]):
        raise InvalidSpeed(f"The speed {speed!r} is out of range.")
    return speed


def _sampling(temperature: float | None, topk: int | None, seed: int | None) -> Sampling | None:
    if temperature is None and topk is None and seed is None:
        return None
    return Sampling(temperature=temperature, top_k=topk, seed=seed)
