"""Sound to be encoded, encoders for it, and decoders driven in every way bytes can be cut."""

from __future__ import annotations

import importlib
import io
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cache
from itertools import pairwise
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from voice_mcp.protocols import Decoder
from voice_mcp.types import PcmFormat

soundfile: Any = importlib.import_module("soundfile")  # it has no types

Samples = npt.NDArray[np.int16]
"""(frames, channels)."""
LAYOUTS = {1: "mono", 2: "stereo"}


@cache
def sound(fmt: PcmFormat, frames: int) -> Samples:
    """A glide with a little noise: nowhere like itself a moment ago, and loud from end to end."""
    t = np.arange(frames) / fmt.rate_hz
    noise = np.random.default_rng(7).normal(0, 60, (frames, fmt.channels))
    glide = np.sin(2 * np.pi * (200 * t + 150 * t**2))
    sides = [8000 * glide * (1 - 0.3 * channel) for channel in range(fmt.channels)]
    return (np.stack(sides, axis=1) + noise).round().astype(np.int16)


class Pipe(io.RawIOBase):
    """What a server writes to: nothing can be patched afterwards."""

    def __init__(self) -> None:
        self.sent = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self.sent += bytes(data)
        return len(data)


def encode(
    container: str,
    codec: str,
    samples: Samples,
    rate_hz: int,
    *,
    streamed: bool = True,
    sample_format: str | None = None,
    codec_options: Mapping[str, str] | None = None,
    container_options: Mapping[str, str] | None = None,
) -> bytes:
    """What FFmpeg makes of ``samples``; a file with its header patched unless ``streamed``."""
    layout = LAYOUTS[samples.shape[1]]
    target: Any = Pipe() if streamed else io.BytesIO()
    with av.open(target, "w", format=container, options=dict(container_options or {})) as out:
        stream: Any = out.add_stream(codec, rate=rate_hz, layout=layout, options=dict(codec_options or {}))
        stream.bit_rate = 64_000
        if sample_format:
            stream.format = sample_format
        context = stream.codec_context
        context.open()
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples).reshape(1, -1), format="s16", layout=layout)
        frame.sample_rate = rate_hz
        resampler = av.AudioResampler(stream.format, layout, rate_hz, context.frame_size or None)
        sent = 0
        for piece in (*resampler.resample(frame), *resampler.resample(None), None):
            if piece is not None:
                piece.pts, piece.time_base = sent, Fraction(1, rate_hz)
                sent += piece.samples
            for packet in stream.encode(piece):
                out.mux(packet)
    return bytes(target.sent) if isinstance(target, Pipe) else bytes(target.getvalue())


def encode_file(samples: Samples, rate_hz: int, kind: str, subtype: str) -> bytes:
    """What libsndfile makes of ``samples``."""
    target = io.BytesIO()
    soundfile.write(target, samples, rate_hz, format=kind, subtype=subtype)
    return target.getvalue()


def decode(decoder: Decoder, data: bytes, cuts: Sequence[int] = ()) -> bytes:
    """The frames, with ``data`` given in the pieces that ``cuts`` make of it."""
    out = b""
    for start, end in pairwise([0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]):
        out += decoder.decode(data[start:end])
    return out + decoder.flush()


def decode_in_steps(decoder: Decoder, data: bytes, step: int) -> bytes:
    """The frames, with ``data`` given in pieces of ``step`` bytes."""
    return decode(decoder, data, range(step, len(data), step))


def bytes_until_sound(decoder: Decoder, data: bytes) -> int:
    """How many bytes of ``data`` have to be there before the first frame comes out."""
    for index in range(len(data)):
        if decoder.decode(data[index : index + 1]):
            return index + 1
    raise AssertionError("nothing came out")


def frames_of(pcm: bytes, channels: int) -> Samples:
    """The decoder's bytes as samples."""
    return np.frombuffer(pcm, "<i2").reshape(-1, channels)


def lag(heard: Samples, played: Samples) -> int:
    """By how many frames ``heard`` is late."""
    size = 1 << (len(heard) + len(played)).bit_length()
    spectrum = np.fft.rfft(heard[:, 0], size) * np.conj(np.fft.rfft(played[:, 0], size))
    peak = int(np.argmax(np.fft.irfft(spectrum, size)))
    return peak if peak < size // 2 else peak - size


def likeness(heard: Samples, played: Samples) -> float:
    """How much they are alike where both are: 1 is the same shape."""
    frames = min(len(heard), len(played))
    return float(np.corrcoef(heard[:frames].ravel(), played[:frames].ravel())[0, 1])


def longest_silence(heard: Samples) -> int:
    """Frames of the longest run of zeros."""
    quiet = np.concatenate(([0], (heard == 0).all(axis=1).astype(np.int8), [0]))
    edges = np.flatnonzero(np.diff(quiet)).reshape(-1, 2)
    return int((edges[:, 1] - edges[:, 0]).max()) if len(edges) else 0
