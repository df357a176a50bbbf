"""Where the sound of one utterance goes: a device, a file where there is none, and a recording beside it.

The device is opened before anything is known of the sound but what to expect. When the first frames turn out otherwise
it is opened anew; once sound has left, whatever comes is converted to what it began with, so that an utterance is one
stretch of sound, and one file, whoever speaks it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from voice_mcp.codecs.conversion import Converter
from voice_mcp.core.played_sound import PlaybackTap
from voice_mcp.core.utterance import Utterance
from voice_mcp.errors import AudioProcessLost, DeviceUnavailable, VoiceError
from voice_mcp.protocols import MakeMarker, Playback, PlaybackListener, Speakers, WordBegan
from voice_mcp.types import PcmFormat, PlaybackEvent

SILENCE_S = 1.6
"""How long a stop may take to be confirmed by the audio process before the record is closed without it."""


@dataclass(frozen=True, slots=True)
class OutputChoice:
    """Where sound may go."""

    device: bool = True
    """A sound device is wanted."""
    file: bool = True
    """A file will do where there is no device."""
    streaming: bool = True
    """Sound begins while audio arrives, not when all of it is there."""
    prebuffer_most_s: float = 0.15
    """Most that is collected before sound starts, in seconds."""
    pan: float | Literal["auto"] = 0.0
    """Where voices sit, from -1 (left) to 1 (right); ``auto`` gives each conversation a place of its own."""
    longest_hold_s: float = 600.0
    """How long sound can be held, in seconds: whoever holds it has the floor meanwhile."""
    make_marker: MakeMarker | None = None
    """Makes what marks the sound as synthetic; None leaves it unmarked."""


class Outlet:
    """One utterance's way to the ear.

    Args:
        speakers: The link to the audio process.
        choice: A device, a file, or whichever there is.
        utterance: What is put on record.
        listener: Told what happens to the sound.
        note: Told what the user should know.
        pan: Where this voice sits.
        tap: Told what is handed over, if somebody listens at the same time.
    """

    def __init__(
        self,
        speakers: Speakers,
        choice: OutputChoice,
        utterance: Utterance,
        listener: PlaybackListener,
        note: Callable[[str], None],
        *,
        pan: float = 0.0,
        tap: PlaybackTap | None = None,
    ) -> None:
        self._speakers = speakers
        self._to_file = not choice.device
        self._file_will_do = choice.file
        self._utterance = utterance
        self._listener = listener
        self._note = note
        self._pan = pan
        self._tap = tap
        self._playback: Playback | None = None
        self._converter: Converter | None = None
        self._sent_frames = 0
        self._prebuffer_s = 0.0
        self._is_held = False

    @property
    def sent_s(self) -> float:
        """Seconds of sound that were handed over."""
        return self.seconds(self._sent_frames)

    def shape(self) -> dict[str, int]:
        """What the sound is, for the record: a recording without a header does not say it itself."""
        if self._playback is None or not self._sent_frames:
            return {}
        return {"rate_hz": self._playback.format.rate_hz, "channels": self._playback.format.channels}

    def seconds(self, frames: int) -> float:
        """Seconds that ``frames`` frames of what the device gets last."""
        return self._playback.format.seconds(frames) if self._playback is not None else 0.0

    def frames(self, seconds: float) -> int:
        """Frames of what the device gets in ``seconds`` seconds."""
        return self._playback.format.frames_in(seconds) if self._playback is not None else 0

    async def prepare(self, fmt: PcmFormat, prebuffer_s: float) -> None:
        """Have a device opened for what is expected, while the first request is on its way.

        Args:
            fmt: What is expected.
            prebuffer_s: Seconds of sound to collect before the first of it leaves.

        Raises:
            AudioProcessLost: The audio process cannot be started.
        """
        self._prebuffer_s = prebuffer_s
        if not self._to_file:
            await self._open(fmt)

    async def begin(self, fmt: PcmFormat) -> None:
        """Frames of this shape follow.

        Raises:
            PlaybackError: There is nowhere to put them.
        """
        if self._sent_frames:
            await self._adapt(fmt)
            return
        if self._playback is None or self._playback.format != fmt:
            await self._open(fmt)
        await self._see_it_open(fmt)
        if self._utterance.keeps_audio or self._to_file:
            self._utterance.start_track(fmt)  # does nothing where the audio process writes the file itself

    async def send(self, frames: bytes) -> None:
        """Hand over the next frames; waits while enough is on its way.

        Raises:
            PlaybackError: The device or the audio process is gone.
        """
        await self._hand_over(self._converter.convert(frames) if self._converter is not None else frames)

    async def end_run(self) -> None:
        """What was begun is complete."""
        converter, self._converter = self._converter, None
        if converter is not None:
            await self._hand_over(converter.flush())

    def rest(self) -> None:
        """Nothing more is due for now."""
        if self._playback is not None:
            if self._tap is not None:
                self._tap.rest()
            self._playback.rest()

    def renew(self) -> None:
        """What follows is asked for anew."""
        if self._playback is not None:
            self._playback.renew()

    def stop(self) -> None:
        """Silence, now. Returns at once."""
        if self._playback is not None:
            self._playback.stop()

    def hold(self) -> None:
        """Silence, now, until ``go_on``. Returns at once."""
        self._is_held = True
        if self._playback is not None:
            self._playback.hold()

    def go_on(self, word_began: WordBegan) -> None:
        """No longer held: sound goes on with the word in which it stopped. Returns at once."""
        self._is_held = False
        if self._playback is not None:
            self._playback.go_on(word_began)

    async def play_out(self) -> None:
        """Return when the last frame has been heard.

        Raises:
            PlaybackError: The device or the audio process is gone.
        """
        if self._playback is not None:
            self._playback.finish()
            await self._playback.wait()

    async def fall_silent(self) -> None:
        """Stop, and return when it is silent and what was heard is known; never longer than ``SILENCE_S``."""
        if self._playback is None:
            return
        self._playback.stop()
        with contextlib.suppress(VoiceError, TimeoutError):
            async with asyncio.timeout(SILENCE_S):
                await self._playback.wait()

    async def _adapt(self, fmt: PcmFormat) -> None:
        assert self._playback is not None
        await self.end_run()
        if fmt != self._playback.format:
            # In a thread: it loads a library, while other sound is being fed.
            self._converter = await asyncio.to_thread(Converter, fmt, self._playback.format)

    async def _open(self, fmt: PcmFormat) -> None:
        path = None
        if self._to_file and self._utterance.audio_format == "wav":
            # Written by the audio process itself. Other formats are encoded here, from what it reports as taken.
            path = await self._utterance.reserve_for_audio_process()
        self._playback = await self._speakers.begin(
            fmt, self._tell, start_s=self._prebuffer_s, to_file=self._to_file, path=path, pan=self._pan
        )
        if self._is_held:
            self._playback.hold()
        if self._tap is not None:
            self._tap.begin(fmt)

    def _tell(self, event: PlaybackEvent) -> None:
        if self._tap is not None:
            self._tap.take(event)
        self._listener(event)

    async def _see_it_open(self, fmt: PcmFormat) -> None:
        """Wait for the device; without one, write a file if that will do.

        A sound library that takes the audio process down with it while opening is no device either.
        """
        assert self._playback is not None
        try:
            await self._playback.opened()
        except (DeviceUnavailable, AudioProcessLost) as exc:
            if self._to_file or not self._file_will_do:
                raise
            self._to_file = True
            await self._open(fmt)
            await self._playback.opened()
            self._note(f"{exc.message} The speech was saved to a file instead.")

    async def _hand_over(self, frames: bytes) -> None:
        assert self._playback is not None
        self._utterance.sent(frames)
        if self._tap is not None:
            self._tap.write(frames)
        await self._playback.write(frames)
        self._sent_frames += self._playback.format.frames(len(frames))
