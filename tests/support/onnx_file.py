"""A network with the signature of Smart Turn and weights of our choice, as an ONNX file written by hand.

    input_features (n, 80, 800) ─▶ Flatten ─▶ MatMul (64000, 1) ─▶ Sigmoid ─▶ logits (n, 1)

The field numbers are those of ``onnx.proto``; of protocol buffers no more is needed than numbers and lengths.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

BANDS, HOPS = 80, 800

_VARINT, _BYTES = 0, 2
_FLOAT = 1


def write_network(path: Path, weights: NDArray[np.float32], *, name: str = "input_features") -> Path:
    """Write it; ``weights`` has the shape (80, 800)."""
    flat = np.ascontiguousarray(weights, "<f4").reshape(-1, 1)
    nodes = [
        _node("Flatten", [name], "flat"),
        _node("MatMul", ["flat", "weights"], "sum"),
        _node("Sigmoid", ["sum"], "logits"),
    ]
    initial = _number(1, flat.shape[0]) + _number(1, 1) + _number(2, _FLOAT) + _text(8, "weights")
    graph = b"".join(_part(1, node) for node in nodes)
    graph += _text(2, "graph") + _part(5, initial + _part(9, flat.tobytes()))
    graph += _part(11, _value(name, ["n", *weights.shape])) + _part(12, _value("logits", ["n", 1]))
    path.write_bytes(_number(1, 8) + _part(7, graph) + _part(8, _text(1, "") + _number(2, 13)))
    return path


def _node(kind: str, inputs: list[str], output: str) -> bytes:
    return b"".join(_text(1, each) for each in inputs) + _text(2, output) + _text(4, kind)


def _value(name: str, shape: list[str | int]) -> bytes:
    sizes = b"".join(_part(1, _text(2, size) if isinstance(size, str) else _number(1, size)) for size in shape)
    return _text(1, name) + _part(2, _part(1, _number(1, _FLOAT) + _part(2, sizes)))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3 | _VARINT) + _varint(value)


def _text(field: int, text: str) -> bytes:
    return _part(field, text.encode())


def _part(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | _BYTES) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
