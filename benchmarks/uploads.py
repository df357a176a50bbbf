"""What a recording costs on its way to a recogniser: size and processor time of every format that servers take."""

from __future__ import annotations

import asyncio
import time

from benchmarks.figures import Figure
from tests.support.corpus import sessions
from voice_mcp.codecs.clip import make_clip
from voice_mcp.core.trimming import excerpt
from voice_mcp.types import LISTENING_FORMAT, SpeechSpan

FORMATS = ("wav", "flac", "opus", "mp3")
TURNS_A_SESSION = 3
UPLINKS_MBIT = (2, 10, 50)


async def measure() -> list[Figure]:
    """Make a file of every turn of the corpus, as it is sent, in every format."""
    return await asyncio.to_thread(_measure)


def _measure() -> list[Figure]:
    turns = [
        excerpt(turn.pcm, [SpeechSpan(*span) for span in turn.speech]).frames
        for session in sessions("table")
        if session.draw == 0
        for turn in list(session.turns())[:TURNS_A_SESSION]
    ]
    sound_s = sum(LISTENING_FORMAT.seconds(LISTENING_FORMAT.frames(len(turn))) for turn in turns)
    figures = []
    for name in FORMATS:
        make_clip(turns[0], LISTENING_FORMAT, name)  # loads the encoder
        began_s = time.thread_time()
        size_bytes = sum(len(make_clip(turn, LISTENING_FORMAT, name).data) for turn in turns)
        encode_s = (time.thread_time() - began_s) / sound_s
        ways = ", ".join(f"{_ms(size_bytes / sound_s, encode_s, mbit):.0f} ms at {mbit}" for mbit in UPLINKS_MBIT)
        detail = (
            f"{len(turns)} turns of {sound_s / len(turns):.1f} s; encoded and sent, a second of sound: {ways} Mbit/s"
        )
        figures += [
            Figure(f"upload, {name}", size_bytes / sound_s / 1000, "kB for a second of sound", detail=detail),
            Figure(f"encoding, {name}", encode_s * 1000, "ms for a second of sound"),
        ]
    return figures


def _ms(bytes_per_s: float, encode_s: float, uplink_mbit: float) -> float:
    """Milliseconds until a second of sound is encoded and through a line."""
    return 1000 * (encode_s + bytes_per_s * 8 / (uplink_mbit * 1e6))
