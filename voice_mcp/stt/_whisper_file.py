"""Whether a file is whole and holds a Whisper model, as whisper.cpp keeps them.

The library takes a file that ends in its vocabulary for a model, and goes down when that is used; so the file is walked
through first, from tensor to tensor, without reading any. Source: whisper.cpp, ``whisper_model_load``.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from voice_mcp.errors import EngineError

INSTALL_HINT = 'Run `pip install "voice-mcp[whisper]"`.'
MAGIC = 0x67676D6C
HEADER = struct.Struct("<12i")
"""The magic number, then eleven sizes of the network."""
_VOCABULARY, _ENCODER_LAYERS, _DECODER_LAYERS = 1, 5, 9
"""Where in the header the sizes stand that are needed here."""
_FIRST_MULTILINGUAL = 51_865
"""Models with as many tokens know other languages than English."""
_MOST_TOKENS, _MOST_LAYERS, _LONGEST_TOKEN_BYTES = 200_000, 256, 1 << 12
_BLOCKS = {0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34)}
"""For each type of tensor how many values are one block, and its bytes: f32, f16, q4_0, q4_1, q5_0, q5_1, q8_0."""


@dataclass(frozen=True, slots=True)
class WhisperFile:
    """What a file says of the model in it."""

    is_multilingual: bool


def look_at(path: Path) -> WhisperFile:
    """See that a file is whole.

    Raises:
        EngineError: It is not, or it is no Whisper model.
    """
    try:
        with path.open("rb") as file:
            header = HEADER.unpack(_read(file, HEADER.size))
            layers = header[_ENCODER_LAYERS], header[_DECODER_LAYERS]
            if header[0] != MAGIC or not 0 < header[_VOCABULARY] <= _MOST_TOKENS or max(layers) > _MOST_LAYERS:
                raise EngineError(f"{path.name} is no model of whisper.cpp.", hint=_hint(path))
            _skip_filters(file)
            _skip_vocabulary(file)
            tensors = _skip_tensors(file, os.fstat(file.fileno()).st_size)
    except (OSError, EOFError, struct.error) as exc:
        raise EngineError(f"{path.name} is damaged or cannot be read.", hint=_hint(path)) from exc
    if tensors < 15 * layers[0] + 24 * layers[1]:
        raise EngineError(f"{path.name} is not whole: it ends after {tensors} tensors.", hint=_hint(path))
    return WhisperFile(is_multilingual=header[_VOCABULARY] >= _FIRST_MULTILINGUAL)


def _hint(path: Path) -> str:
    return f"Remove {path}, and install the model again with `voice-mcp models install`."


def _skip_filters(file: BinaryIO) -> None:
    bands, bins = struct.unpack("<2i", _read(file, 8))
    if not 0 < bands * bins <= 1 << 20:
        raise EOFError
    file.seek(4 * bands * bins, os.SEEK_CUR)


def _skip_vocabulary(file: BinaryIO) -> None:
    (tokens,) = struct.unpack("<i", _read(file, 4))
    for _ in range(min(tokens, _MOST_TOKENS)):
        (length_bytes,) = struct.unpack("<I", _read(file, 4))
        if length_bytes > _LONGEST_TOKEN_BYTES:
            raise EOFError
        _read(file, length_bytes)


def _skip_tensors(file: BinaryIO, size_bytes: int) -> int:
    """How many there are until the end of the file."""
    count = 0
    while file.tell() < size_bytes:
        dimensions, name_bytes, kind = struct.unpack("<3i", _read(file, 12))
        values = 1
        for extent in struct.unpack(f"<{dimensions}i", _read(file, 4 * dimensions)):
            values *= extent
        block_values, block_bytes = _BLOCKS.get(kind, (0, 0))
        if not block_values or values <= 0:
            raise EOFError
        end = file.tell() + name_bytes + values // block_values * block_bytes
        if end > size_bytes:
            raise EOFError
        file.seek(end)
        count += 1
    return count


def _read(file: BinaryIO, size_bytes: int) -> bytes:
    data = file.read(size_bytes) if size_bytes >= 0 else b""
    if len(data) != size_bytes:
        raise EOFError
    return data
