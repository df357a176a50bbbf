"""What the tests of the writer write, and how they read it back."""

from __future__ import annotations

import importlib
import io
import math
import os
import random
import shutil
import subprocess
from array import array
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import av
import pytest

from voice_mcp import StreamingAudioWriter

soundfile: Any = importlib.import_module("soundfile")

RATE_HZ = 24_000
EXACT = ("pcm", "wav", "flac")
LOSSY = ("opus", "mp3", "aac", "ogg")
FORMATS = (*EXACT, *LOSSY)
_DEMUXERS = {"opus": "ogg", "ogg": "ogg", "aac": "aac", "mp3": "mp3", "flac": "flac", "wav": "wav"}


def sound(frames: int, channels: int = 1, rate_hz: int = RATE_HZ) -> bytes:
    """A tone that rises and swells, with a little noise: never the same twice, so that nothing lost goes unseen."""
    noise = random.Random(frames)
    out = array("h")
    for frame in range(frames):
        at_s = frame / rate_hz
        swell = 0.55 + 0.45 * math.sin(9 * at_s)
        for channel in range(channels):
            tone = math.sin(2 * math.pi * (220 + 110 * channel + 60 * at_s) * at_s)
            out.append(int(9_000 * swell * tone + noise.gauss(0, 40)))
    return out.tobytes()


def pieces(data: bytes, cuts: Sequence[int], frame_bytes: int = 2) -> list[bytes]:
    """``data`` cut at ``cuts`` frames; cuts beyond the end fall on it."""
    frames = len(data) // frame_bytes
    places = [0, *sorted(min(cut, frames) for cut in cuts), frames]
    return [data[start * frame_bytes : end * frame_bytes] for start, end in pairwise(places)]


def streamed(format: str, chunks: Iterable[bytes], rate_hz: int = RATE_HZ, channels: int = 1, **options: Any) -> bytes:
    """All that the writer returns, in stream mode."""
    writer = StreamingAudioWriter(format, rate_hz, channels, **options)
    return b"".join(writer.write_chunk(chunk) for chunk in chunks) + writer.finalize()


def filed(format: str, chunks: Iterable[bytes], rate_hz: int = RATE_HZ, channels: int = 1, **options: Any) -> bytes:
    """All that the writer puts into a file."""
    file = io.BytesIO()
    with StreamingAudioWriter(format, rate_hz, channels, seekable=file, **options) as writer:
        for chunk in chunks:
            assert writer.write_chunk(chunk) == b""
    return file.getvalue()


def decoded(format: str, data: bytes) -> bytes:
    """The frames in ``data``, 16-bit, at the rate the decoder gives."""
    if format == "pcm":
        return data
    # FFmpeg's own Vorbis decoder gets the length wrong.
    return _by_soundfile(data) if format == "ogg" else decoded_by_av(format, data)


def decoded_by_av(format: str, data: bytes) -> bytes:
    """The same by FFmpeg."""
    out: list[bytes] = []
    with av.open(io.BytesIO(data), "r", format=_DEMUXERS[format]) as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler("s16", stream.layout, stream.rate)
        for frame in container.decode(stream):
            out += [
                bytes(whole.planes[0])[: whole.samples * whole.layout.nb_channels * 2]
                for whole in resampler.resample(frame)
            ]
    return b"".join(out)


def _by_soundfile(data: bytes) -> bytes:
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        return bytes(file.buffer_read(dtype="int16"))


def tags_of(format: str, data: bytes) -> dict[str, str]:
    """The tags in ``data``, their names in lower case."""
    with av.open(io.BytesIO(data), format=_DEMUXERS[format]) as container:
        found = {**container.metadata, **container.streams.audio[0].metadata}
    return {name.lower(): value for name, value in found.items()}


def likeness(heard: bytes, said: bytes) -> float:
    """How much two sounds are alike, from -1 to 1: the correlation of their samples."""
    left, right = array("h", heard), array("h", said)
    size = min(len(left), len(right))
    product = sum(a * b for a, b in zip(left[:size], right[:size], strict=True))
    return product / math.sqrt(sum(a * a for a in left[:size]) * sum(b * b for b in right[:size]))


def tool(name: str) -> str:
    """The path of an external program; the test is skipped where it is missing, unless all must be there."""
    path = shutil.which(name)
    if path is None:
        if os.environ.get("VOICEMCP_REQUIRE_TOOLS") == "1":
            pytest.fail(f"{name} is not installed.")
        pytest.skip(f"{name} is not installed.")
    return path


def output_of(*command: str) -> bytes:
    """What a program prints; it must succeed, in time."""
    return subprocess.run(command, check=True, capture_output=True, timeout=30).stdout
