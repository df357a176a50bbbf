"""Every format, in and out: speed next to ffmpeg's command line and soundfile, first output, length, first sound."""

from __future__ import annotations

import asyncio
import io
import math
import resource
import shutil
import subprocess
import tempfile
import time
from array import array
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, median
from tests.support.behaviour import Behaviour
from tests.support.endpoint import SpeechEndpoint
from tests.support.house import logged_events
from tests.support.stdio import StdioServer
from voice_mcp import StreamingAudioWriter
from voice_mcp.clock import SystemClock
from voice_mcp.codecs.detect import choose_decoder
from voice_mcp.types import PcmFormat

FORMATS = ("wav", "flac", "mp3", "aac", "opus", "ogg")
MEDIA_TYPES = {"wav": "audio/wav", "mp3": "audio/mpeg", "aac": "audio/aac", "flac": "audio/flac"}
FMT = PcmFormat(24_000, 1)
SECONDS = 60
PUSH_FRAMES = 480
FIRST_SOUND_CALLS = 7
FFMPEG = ("ffmpeg", "-hide_banner", "-loglevel", "error", "-y", "-threads", "1")
FFMPEG_ENCODERS = {
    "wav": ("-f", "wav"),
    "flac": ("-f", "flac"),
    "mp3": ("-b:a", "64k", "-f", "mp3"),
    "aac": ("-b:a", "64k", "-f", "adts"),
    "opus": ("-c:a", "libopus", "-b:a", "32k", "-f", "ogg"),
    "ogg": ("-c:a", "libvorbis", "-f", "ogg"),
}


async def measure() -> list[Figure]:
    """Encode, decode and play every format."""
    pcm = _speech_like(SECONDS)
    figures = []
    for name in FORMATS:
        figures += await asyncio.to_thread(_encode_and_decode, name, pcm)
    return figures + await _first_sounds()


def _speech_like(seconds: int) -> bytes:
    """Syllables of harmonics with pauses between, so that no codec has it too easy."""
    frames = seconds * FMT.rate_hz
    table = [sum(math.sin(2 * math.pi * k * i / 240) / k for k in (1, 2, 3, 5, 8)) for i in range(240)]
    out = array("h", bytes(2 * frames))
    phase = 0.0
    for i in range(frames):
        syllable = i % 5_000 / 5_000
        loud = max(0.0, math.sin(math.pi * syllable)) if (i // 5_000) % 7 != 6 else 0.0
        phase = (phase + 1.2 + 0.3 * math.sin(i / 9_000)) % 240
        out[i] = int(9_000 * loud * table[int(phase)])
    return out.tobytes()


def _encode_and_decode(name: str, pcm: bytes) -> list[Figure]:
    encoded, encode_x, first_out_ms = _encode(name, pcm)
    decode_x, first_in_ms, error = _decode(name, encoded, pcm)
    others = "; ".join(filter(None, (_ffmpeg(name, pcm, encoded), _soundfile(name, encoded))))
    return [
        Figure(f"{name}: encode", encode_x, "x real time", None, f"first bytes after {first_out_ms:.0f} ms of sound"),
        Figure(
            f"{name}: decode",
            decode_x,
            "x real time",
            None,
            f"first frame after {first_in_ms:.0f} ms of stream; length error {error:+d} samples; {others}",
        ),
    ]


def _encode(name: str, pcm: bytes) -> tuple[bytes, float, float]:
    writer = StreamingAudioWriter(name, FMT.rate_hz)
    pieces, first_ms, step = [], 0.0, PUSH_FRAMES * FMT.frame_bytes
    began_s = time.process_time()
    for start in range(0, len(pcm), step):
        pieces.append(writer.write_chunk(pcm[start : start + step]))
        # A header is no sound: what counts is the first output beyond it.
        if not first_ms and sum(map(len, pieces)) > 200:
            first_ms = FMT.seconds(FMT.frames(start + step)) * 1000
    pieces.append(writer.finalize())
    return b"".join(pieces), SECONDS / (time.process_time() - began_s), first_ms


def _decode(name: str, encoded: bytes, pcm: bytes) -> tuple[float, float, int]:
    decoder = choose_decoder(encoded[:4096], MEDIA_TYPES.get(name, "audio/ogg"), name, FMT)
    step = max(1, len(encoded) * 20 // (SECONDS * 1000))  # 20 ms of stream
    frames_bytes, first_ms = 0, 0.0
    began_s = time.process_time()
    for start in range(0, len(encoded), step):
        frames_bytes += len(decoder.decode(encoded[start : start + step]))
        if frames_bytes and not first_ms:
            first_ms = (start + step) / len(encoded) * SECONDS * 1000
    frames_bytes += len(decoder.flush())
    elapsed_s = time.process_time() - began_s
    assert decoder.format is not None
    scale = FMT.rate_hz / decoder.format.rate_hz
    return SECONDS / elapsed_s, first_ms, round(decoder.format.frames(frames_bytes) * scale) - FMT.frames(len(pcm))


def _ffmpeg(name: str, pcm: bytes, encoded: bytes) -> str:
    if shutil.which("ffmpeg") is None:
        return "no ffmpeg here"
    with tempfile.TemporaryDirectory() as folder:
        raw, packed = Path(folder) / "in.pcm", Path(folder) / "in.bin"
        raw.write_bytes(pcm)
        packed.write_bytes(encoded)
        source = ("-f", "s16le", "-ar", str(FMT.rate_hz), "-ac", "1", "-i", str(raw))
        encode_x = _times_real_time([*FFMPEG, *source, *FFMPEG_ENCODERS[name], f"{folder}/out"])
        decode_x = _times_real_time([*FFMPEG, "-i", str(packed), "-f", "s16le", f"{folder}/out"])
    return f"ffmpeg encodes {encode_x:.0f} x, decodes {decode_x:.0f} x"


def _times_real_time(command: list[str]) -> float:
    """Processor time of a command, its start included, as its users pay it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, timeout=120)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return SECONDS / (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def _soundfile(name: str, encoded: bytes) -> str:
    import soundfile

    if name == "aac":
        return "soundfile has no aac"
    began_s = time.process_time()
    try:
        soundfile.read(io.BytesIO(encoded), dtype="int16")
    except (soundfile.LibsndfileError, ValueError):
        return "soundfile cannot read a stream of it"
    return f"soundfile decodes {SECONDS / (time.process_time() - began_s):.0f} x"


async def _first_sounds() -> list[Figure]:
    """From the first byte sent to the first frame taken, with the server at real time: each format against PCM."""
    pcm_s = await _first_sound("pcm", lambda text: _speech_like(3), FMT.rate_hz * 2)
    figures = [Figure("pcm: first byte to first frame", pcm_s * 1000, "ms", None, "server at 1 x real time")]
    for name in ("mp3", "aac", "opus", "flac"):
        encoded = _encode(name, _speech_like(3))[0]
        elapsed_s = await _first_sound(name, _always(encoded), len(encoded) // 3)
        detail = f"{elapsed_s * 1000:.0f} ms, same server"
        figures.append(Figure(f"{name}: first byte to first frame, of PCM's", elapsed_s / pcm_s, "x", 2, detail))
    return figures


def _always(encoded: bytes) -> Callable[[str], bytes]:
    return lambda text: encoded


async def _first_sound(name: str, audio: Callable[[str], bytes], bytes_per_second: int) -> float:
    clock = SystemClock()
    behaviour = Behaviour(
        audio=audio,
        content_type=MEDIA_TYPES.get(name, "audio/pcm" if name == "pcm" else "audio/ogg"),
        pace=1.0,
        block_ms=10,
        bytes_per_second=bytes_per_second,
    )
    with SpeechEndpoint(behaviour) as endpoint, tempfile.TemporaryDirectory() as folder:
        env = {
            "VOICEMODE_TTS_ENGINE": "openai",
            "VOICEMODE_TTS_BASE_URLS": endpoint.base_url,
            "VOICEMODE_TTS_CACHE_MB": "0",
            "VOICEMODE_TTS_AUDIO_FORMAT": name,
        }
        async with StdioServer(Path(folder), env) as server:
            await server.initialize()
            for _ in range(FIRST_SOUND_CALLS):
                await server.answer(server.begin_speaking("Hello."))
            server.close_input()
            await server.exit_code()
        events: list[dict[str, Any]] = logged_events(Path(folder))
    started = [
        datetime.fromisoformat(event["timestamp"]) for event in events if event["event_type"] == "TTS_PLAYBACK_START"
    ]
    times = []
    for exchange, left in zip(endpoint.speech, started, strict=True):
        assert exchange.first_byte_s is not None
        times.append((left - clock.utc(exchange.first_byte_s)).total_seconds())
    return median(times[1:])
