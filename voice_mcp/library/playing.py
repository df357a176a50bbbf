"""Playing a rendition while it is made: what ``TTS.streaming_say`` does. Runs in the workshop's loop."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from voice_mcp.clock import Clock
from voice_mcp.errors import PlaybackError
from voice_mcp.library.chunks import FORMAT, FRAME_SAMPLES
from voice_mcp.library.progress_bar import Watch
from voice_mcp.library.rendition import Rendition
from voice_mcp.protocols import Playback, Speakers
from voice_mcp.samples.convert import to_frames
from voice_mcp.types import PlaybackEvent, PlaybackEventType

PIECE_FRAMES = 4 * FRAME_SAMPLES
"""What is handed to the player at most at once; the first piece is whatever there is."""


@dataclass(frozen=True, slots=True)
class Said:
    """How something was said aloud."""

    duration_s: float
    """Seconds of sound that reached the device."""
    first_sound_ms: float | None
    """From the call to the first frame that could be heard, device latency included; None when there was none."""
    underruns: int
    """Gaps the device really had."""
    engine: str | None
    voice: str | None
    notes: tuple[str, ...] = ()
    """What the user should know, one sentence each."""


class _Ear:
    """What the audio process reports."""

    def __init__(self) -> None:
        self.first_heard_s: float | None = None

    def hear(self, event: PlaybackEvent) -> None:
        if event.type is PlaybackEventType.STARTED and self.first_heard_s is None:
            self.first_heard_s = event.heard_at_s


async def play(
    rendition: Rendition,
    speakers: Speakers,
    clock: Clock,
    watch: Watch,
    *,
    since_s: float,
    start_s: float,
    rebuffer_s: float,
) -> Said:
    """Play it to its end; a cancellation silences it, and goes on when the device is let go.

    Args:
        rendition: What is played. It is closed in the end.
        speakers: Where to.
        clock: The one that ``since_s`` is of.
        watch: Told how far it is.
        since_s: When it was asked for.
        start_s: Seconds to collect before the first frame leaves.
        rebuffer_s: Seconds to collect after a gap.

    Raises:
        VoiceError: It cannot be said, or not played. What was made before is played first.
    """
    ear = _Ear()
    try:
        playback = await speakers.begin(FORMAT, ear.hear, start_s=start_s, rebuffer_s=rebuffer_s)
        try:
            await _feed(playback, rendition, watch)
            ended = await playback.wait()
        except asyncio.CancelledError:
            playback.stop()
            with suppress(PlaybackError):  # it is silent all the same
                await asyncio.shield(playback.wait())
            raise
    finally:
        await rendition.aclose()
    first_ms = None if ear.first_heard_s is None else 1000 * (ear.first_heard_s - since_s)
    spoken_by = rendition.spoken_by
    return Said(
        FORMAT.seconds(ended.heard_frames),
        first_ms,
        ended.underruns,
        spoken_by.engine,
        spoken_by.voice,
        tuple(rendition.notes),
    )


async def _feed(playback: Playback, rendition: Rendition, watch: Watch) -> None:
    """Hand over everything; what was made before something went wrong is heard to its end."""
    try:
        while (samples := await rendition.take_what_is_there(1, PIECE_FRAMES)) is not None:
            await playback.write(to_frames(samples))
            watch(rendition.progress)
    except asyncio.CancelledError:
        raise
    except Exception:
        playback.finish()
        await playback.wait()
        raise
    playback.finish()
