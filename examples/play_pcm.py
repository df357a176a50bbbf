"""Plays a tone through the audio process, without speech and without MCP: ``python examples/play_pcm.py [tone.wav]``.

``write`` waits when enough is on its way, and the events tell when frames were really heard.
"""

from __future__ import annotations

import asyncio
import math
import sys
from array import array
from collections.abc import Iterator
from pathlib import Path

from voice_mcp.errors import VoiceError
from voice_mcp.parts import link_config
from voice_mcp.playback.link import AudioLink
from voice_mcp.settings import load_settings
from voice_mcp.types import PcmFormat, PlaybackEvent, PlaybackEventType

FORMAT = PcmFormat(rate_hz=24_000, channels=1)
BLOCK_FRAMES = 480
BLOCKS = 100


def tone() -> Iterator[bytes]:
    """Two seconds of a tone that rises from 220 to 440 Hz, in blocks of 20 ms."""
    phase = 0.0
    for index in range(BLOCKS):
        step = 2 * math.pi * 220 * (1 + index / BLOCKS) / FORMAT.rate_hz
        yield array("h", (round(6000 * math.sin(phase + frame * step)) for frame in range(BLOCK_FRAMES))).tobytes()
        phase += BLOCK_FRAMES * step


def show(event: PlaybackEvent) -> None:
    """Print what the audio process reports; positions come too often to be shown."""
    if event.type is not PlaybackEventType.POSITION:
        print(f"{event.type:12} after {FORMAT.seconds(event.frames):.2f} s  {event.backend}".rstrip())


async def main(path: Path | None) -> None:
    """Play the tone where the settings say, or into ``path``."""
    settings = load_settings(given={} if path is None else {"audio_output": "file"}).settings
    link = AudioLink(link_config(settings))
    try:
        playback = await link.begin(FORMAT, show, path=path)
        for block in tone():
            await playback.write(block)
        playback.finish()
        end = await playback.wait()
        print(f"heard {FORMAT.seconds(end.heard_frames):.2f} s, {end.underruns} gaps")
    finally:
        await link.aclose()


if __name__ == "__main__":
    try:
        asyncio.run(main(Path(sys.argv[1] if len(sys.argv) > 1 else "tone.wav")))
    except VoiceError as exc:
        sys.exit(exc.advice)
