"""Chimes on their way to the ear. Whoever plays one holds the floor, or has just held it: it lingers for longer."""

from __future__ import annotations

import asyncio
import logging

from voice_mcp.core.chimes import CHIME_FORMAT, Chime, chime_frames
from voice_mcp.errors import VoiceError
from voice_mcp.protocols import Speakers
from voice_mcp.types import PlaybackEvent

logger = logging.getLogger(__name__)


class Signals:
    """Plays chimes, or does not.

    Args:
        speakers: Where sound goes.
        enabled: Whether anything is to be played.
    """

    def __init__(self, speakers: Speakers, *, enabled: bool) -> None:
        self._speakers = speakers
        self._enabled = enabled
        self._playing: set[asyncio.Task[None]] = set()

    def play_beside(self, chime: Chime) -> None:
        """Play a chime while the answer is on its way: nobody waits for it, and whoever speaks next cuts it short."""
        if self._enabled:
            playing = asyncio.create_task(self.play(chime), name="chime")
            self._playing.add(playing)
            playing.add_done_callback(self._playing.discard)

    async def aclose(self) -> None:
        """Nothing more is played."""
        if playing := tuple(self._playing):
            for chime in playing:
                chime.cancel()
            await asyncio.wait(playing)

    async def play(self, chime: Chime, pan: float = 0.0) -> None:
        """Play a chime; returns when it has been heard. A chime that cannot be played is left out."""
        if not self._enabled:
            return
        try:
            playback = await self._speakers.begin(CHIME_FORMAT, _nobody_listens, start_s=0.0, pan=pan)
            try:
                await playback.write(chime_frames(chime))
                playback.finish()
                await playback.wait()
            finally:
                playback.stop()
        except VoiceError as exc:
            logger.debug("a chime was left out: %s", exc)


def _nobody_listens(event: PlaybackEvent) -> None:
    """A ``PlaybackListener``: there is nothing to tell of a chime."""
