"""A Whisper model in the file format of whisper.cpp, with weights made by hand: it hears tones, and has 4 MB.

A network of one layer: its convolutions look at two places of the spectrum, its decoder looks at
the mean of the difference. So a low tone is "yes", a high tone is "no", and silence is nothing; everything in between
(the file, the spectrum, the network, tokens, bytes) is the library's own work.
Source of the format: whisper.cpp, ``whisper_model_load``.
"""

from __future__ import annotations

import math
import struct
from array import array
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voice_mcp.stt._whisper_file import HEADER, MAGIC
from voice_mcp.types import LISTENING_FORMAT

LOW_HZ, HIGH_HZ = 300.0, 4000.0
ENGLISH_TOKENS, ALL_TOKENS = 51_864, 51_865
_STATE, _AUDIO_CONTEXT, _TEXT_CONTEXT, _BANDS, _BINS = 32, 1500, 448, 80, 201
_YES, _NO = 100, 200
_SPACE, _NOTHING = 220, 300
"""The library asks for a space by its text, and does not let a first token be none."""
_STRONG = 100.0

Tensor = NDArray[np.float32] | NDArray[np.float16]


def write_tone_model(path: Path, *, multilingual: bool = False, yes: str = " yes", no: str = " no") -> Path:
    """Write the model.

    Args:
        path: Where.
        multilingual: Whether it claims to know all languages.
        yes: What it says of a low tone.
        no: What it says of a high one.
    """
    tokens = ALL_TOKENS if multilingual else ENGLISH_TOKENS
    words = 50_257 if multilingual else 50_256
    vocabulary = [b"?%d" % number for number in range(words)]
    vocabulary[_YES], vocabulary[_NO] = yes.encode(), no.encode()
    vocabulary[_SPACE], vocabulary[_NOTHING] = b" ", b""
    sizes = (tokens, _AUDIO_CONTEXT, _STATE, 1, 1, _TEXT_CONTEXT, _STATE, 1, 1, _BANDS, 1)
    with path.open("wb") as file:
        file.write(HEADER.pack(MAGIC, *sizes))
        file.write(struct.pack("<2i", _BANDS, _BINS) + _filters().tobytes())
        file.write(struct.pack("<i", len(vocabulary)))
        for word in vocabulary:
            file.write(struct.pack("<I", len(word)) + word)
        for name, tensor in _tensors(tokens, end=words, prompt=3 if multilingual else 1):
            header = struct.pack("<3i", tensor.ndim, len(name), int(tensor.dtype == np.float16))
            extents = struct.pack(f"<{tensor.ndim}i", *reversed(tensor.shape))
            file.write(header + extents + name.encode() + tensor.tobytes())
    return path


def tone(frequency_hz: float, seconds: float = 2.0) -> bytes:
    """A tone in ``LISTENING_FORMAT``."""
    step = 2 * math.pi * frequency_hz / LISTENING_FORMAT.rate_hz
    samples = (round(8000 * math.sin(step * frame)) for frame in range(LISTENING_FORMAT.frames_in(seconds)))
    return array("h", samples).tobytes()


def _filters() -> NDArray[np.float32]:
    """Bands of equal width: all that is needed to tell low from high."""
    filters = np.zeros((_BANDS, _BINS), dtype=np.float32)
    for band in range(_BANDS):
        filters[band, band * _BINS // _BANDS : (band + 1) * _BINS // _BANDS] = 1.0
    return filters


def _tensors(tokens: int, end: int, prompt: int) -> list[tuple[str, Tensor]]:
    embedding = np.random.default_rng(7).choice([-1.0, 1.0], (tokens, _STATE)).astype(np.float16)
    first = np.zeros((_STATE, _BANDS, 3), dtype=np.float16)
    for channel, pitch_hz in enumerate((LOW_HZ, HIGH_HZ)):
        band = round(pitch_hz / LISTENING_FORMAT.rate_hz * 2 * _BANDS)
        first[channel, band - 1 : band + 2, 1] = 1.0
    second = np.zeros((_STATE, _STATE, 3), dtype=np.float16)
    second[0, 0, 1] = second[1, 1, 1] = 1.0
    value, out = np.zeros((_STATE, _STATE), dtype=np.float16), np.zeros((_STATE, _STATE), dtype=np.float16)
    value[0, 0], value[0, 1] = 1.0, -1.0
    out[:, 0] = _STRONG * (embedding[_YES] - embedding[_NO])
    position = np.zeros((_TEXT_CONTEXT, _STATE), dtype=np.float32)
    position[:prompt] = 2.0 * embedding[_NOTHING]  # without a tone nothing is said,
    position[prompt:] = 50 * _STRONG * embedding[end]  # and after one word no more
    special: dict[str, Tensor] = {
        "encoder.conv1.weight": first,
        "encoder.conv2.weight": second,
        "decoder.token_embedding.weight": embedding,
        "decoder.positional_embedding": position,
        "decoder.blocks.0.cross_attn.value.weight": value,
        "decoder.blocks.0.cross_attn.out.weight": out,
    }
    return [(name, special.get(name, plain)) for name, plain in _plain()]


def _plain() -> list[tuple[str, Tensor]]:
    """Every tensor of a one-layer model; each block passes on what comes in."""
    found: list[tuple[str, Tensor]] = [
        ("encoder.positional_embedding", np.zeros((_AUDIO_CONTEXT, _STATE), dtype=np.float32)),
        ("encoder.conv1.weight", np.zeros((_STATE, _BANDS, 3), dtype=np.float16)),
        ("encoder.conv1.bias", np.zeros((_STATE, 1), dtype=np.float32)),
        ("encoder.conv2.weight", np.zeros((_STATE, _STATE, 3), dtype=np.float16)),
        ("encoder.conv2.bias", np.zeros((_STATE, 1), dtype=np.float32)),
        *_norm("encoder.ln_post"),
        ("decoder.positional_embedding", np.zeros((_TEXT_CONTEXT, _STATE), dtype=np.float32)),
        ("decoder.token_embedding.weight", np.zeros((1, _STATE), dtype=np.float16)),
        *_norm("decoder.ln"),
    ]
    for block, attentions in (("encoder.blocks.0", ("attn",)), ("decoder.blocks.0", ("attn", "cross_attn"))):
        for attention in attentions:
            found += _norm(f"{block}.{attention}_ln")
            for part in ("query", "key", "value", "out"):
                found.append((f"{block}.{attention}.{part}.weight", np.zeros((_STATE, _STATE), dtype=np.float16)))
                if part != "key":
                    found.append((f"{block}.{attention}.{part}.bias", np.zeros(_STATE, dtype=np.float32)))
        found += _norm(f"{block}.mlp_ln")
        for layer, shape in (("0", (4 * _STATE, _STATE)), ("2", (_STATE, 4 * _STATE))):
            found.append((f"{block}.mlp.{layer}.weight", np.zeros(shape, dtype=np.float16)))
            found.append((f"{block}.mlp.{layer}.bias", np.zeros(shape[0], dtype=np.float32)))
    return found


def _norm(name: str) -> list[tuple[str, Tensor]]:
    return [
        (f"{name}.weight", np.ones(_STATE, dtype=np.float32)),
        (f"{name}.bias", np.zeros(_STATE, dtype=np.float32)),
    ]
