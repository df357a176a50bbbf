"""A sound device that takes numpy arrays, for whoever has sound of their own."""

from __future__ import annotations

import asyncio
import operator
import weakref
from contextlib import suppress
from types import TracebackType
from typing import Self, SupportsIndex

from numpy.typing import ArrayLike

from voice_mcp.codecs.conversion import Converter
from voice_mcp.errors import InvalidInput, PlaybackError
from voice_mcp.library.house import load, own_link_config, refuse_files, told_for_programs
from voice_mcp.library.workshop import Workshop
from voice_mcp.pipe.child import AUDIO_PROCESS, confined
from voice_mcp.playback.link import AudioLink
from voice_mcp.protocols import Playback
from voice_mcp.samples.convert import as_samples, to_frames
from voice_mcp.settings import Settings
from voice_mcp.types import PcmFormat, PlaybackEvent, PlaybackEventType

START_S = 0.02
"""Two periods of a device: what is collected before the first frame leaves."""
AHEAD_S = 60.0
"""Seconds of sound that may wait; ``queue_audio`` waits when there is more."""
_RATES_HZ = range(8_000, 192_001)
_CHANNELS = (1, 2)
_UNHEARD = "Write it with voice_mcp.StreamingAudioWriter"


def _whole(number: SupportsIndex) -> int:
    try:
        return operator.index(number)
    except TypeError as exc:
        raise InvalidInput(f"{number!r} is no whole number.", hint="Rates, sizes and channels are counted.") from exc


class StreamingAudioPlayer:
    """Plays what is queued, in its order, while more is queued.

    The device opens with ``start`` and stays open until ``stop``: an empty queue is a pause, not an end. Where sound is
    late, the gap is faded on both sides and counted, and a little more is collected before it goes on.

    The samples are not touched: what is queued piece by piece sounds as if it had been queued at once, rounded to 16
    bits. Beyond [-1, 1] they are clipped. A process of its own plays them, so that nothing this one does is heard.

    Thread: any, one at a time.

    Args:
        sample_rate: Frames per second of what will be queued.
        buffer_size: The largest piece that is handed to the audio process at once, in frames.
        channels: 1 or 2.
        settings: Which device, and so on; those of the environment where left out (docs/settings.md).

    Raises:
        InvalidInput: A rate or a number of channels that cannot be played.
        SettingsError: The environment holds settings that cannot be used.
    """

    def __init__(
        self,
        sample_rate: int = 24_000,
        buffer_size: int = 4096,
        channels: int = 1,
        *,
        settings: Settings | None = None,
    ) -> None:
        sample_rate, buffer_size, channels = (_whole(number) for number in (sample_rate, buffer_size, channels))
        if sample_rate not in _RATES_HZ:
            raise InvalidInput(f"{sample_rate} frames per second cannot be played.", hint="Use 8,000 to 192,000.")
        if channels not in _CHANNELS:
            raise InvalidInput(f"{channels} channels cannot be played.", hint="Use 1 or 2.")
        if buffer_size < 1:
            raise InvalidInput("buffer_size is at least 1 frame.", hint="Leave it out for 4096.")
        self._format = PcmFormat(sample_rate, channels)
        self._deck = _Deck(self._format, settings or load(), buffer_size * self._format.frame_bytes)
        self._workshop = Workshop(self._deck.let_go)
        # Thrown away without ``close``: neither a thread nor a process stays.
        weakref.finalize(self, self._workshop.abandon).atexit = False

    @property
    def is_playing(self) -> bool:
        """Whether it takes sound: between ``start`` and ``stop``."""
        return self._deck.playback is not None

    @property
    def played_s(self) -> float:
        """Seconds of what was queued that have left for the device."""
        return self._format.seconds(self._deck.position_frames)

    @property
    def underruns(self) -> int:
        """Gaps since it was started last; each is counted when sound goes on."""
        return self._deck.underruns

    def start(self) -> None:
        """Open the device. A second call does nothing.

        Raises:
            DeviceUnavailable: There is none.
            AudioProcessLost: The audio process cannot be started.
        """
        if self._deck.playback is None:
            self._workshop.call(self._deck.open)

    def queue_audio(self, samples: ArrayLike) -> None:
        """Play this after what was queued before. Waits while more than ``AHEAD_S`` seconds are waiting.

        Args:
            samples: Of shape (frames,) or (frames, channels), or with further dimensions of 1, as models give them;
                float in [-1, 1], or int16. A tensor of torch works too, if it is on the CPU.

        Raises:
            InvalidInput: They are none, or have another number of channels, or hold a value that is no number.
            PlaybackError: It has not been started, or the device is gone for good.
        """
        playback = self._running()
        frames = to_frames(as_samples(samples, self._format.channels))
        if frames:
            self._workshop.call(lambda: playback.write(frames))

    def drain(self) -> float:
        """Wait until everything has been heard; it goes on with ``start``. Returns the seconds that were heard.

        Raises:
            PlaybackError: It has not been started, or the device is gone for good.
        """
        playback = self._running()
        playback_over = self._workshop.call(lambda: self._deck.finish(playback))
        return self._format.seconds(playback_over.heard_frames)

    def stop(self) -> None:
        """Silence, now, with a fade of some milliseconds; what waits is dropped. A second call does nothing."""
        playback = self._deck.playback
        if playback is not None:
            self._workshop.call(lambda: self._deck.stop(playback))

    def close(self) -> None:
        """Stop, and let the audio process go. May be called twice."""
        self._workshop.close()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hear it out, unless an exception ends the block."""
        try:
            if kind is None and self._deck.playback is not None:
                self.drain()
        finally:
            self.close()

    def _running(self) -> Playback:
        if self._deck.playback is None:
            raise PlaybackError("The player has not been started.", hint="Call start() first.")
        return self._deck.playback


class _Deck:
    """The device of one player, and what runs on it. Lives in the workshop's thread."""

    def __init__(self, fmt: PcmFormat, settings: Settings, block_bytes: int) -> None:
        self.playback: Playback | None = None
        self.position_frames = 0
        self.underruns = 0
        self._fmt = fmt
        self._settings = settings
        self._block_bytes = block_bytes
        self._link: AudioLink | None = None

    async def open(self) -> None:
        if self._link is None:
            refuse_files(self._settings, _UNHEARD)
            config = own_link_config(self._settings, ahead_s=AHEAD_S, block_bytes=self._block_bytes)
            self._link = AudioLink(config, confined(AUDIO_PROCESS, offline=self._settings.offline), Converter)
        self.position_frames = self.underruns = 0
        playback = await self._link.begin(self._fmt, self._hear, start_s=START_S)
        try:
            with told_for_programs(_UNHEARD):
                await playback.opened()
        except BaseException:
            playback.stop()
            raise
        self.playback = playback

    async def finish(self, playback: Playback) -> PlaybackEvent:
        self.playback = None
        playback.finish()
        try:
            return await playback.wait()
        except asyncio.CancelledError:
            await self.stop(playback)
            raise

    async def stop(self, playback: Playback) -> None:
        self.playback = None
        playback.stop()
        with suppress(PlaybackError):  # it is silent all the same
            await playback.wait()

    async def let_go(self) -> None:
        if self.playback is not None:
            await self.stop(self.playback)
        link, self._link = self._link, None
        if link is not None:
            await link.aclose()

    def _hear(self, event: PlaybackEvent) -> None:
        if event.type is PlaybackEventType.UNDERRUN:
            self.underruns += 1
        elif event.type in (PlaybackEventType.POSITION, PlaybackEventType.ENDED):
            self.position_frames = event.frames
