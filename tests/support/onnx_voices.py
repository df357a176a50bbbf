"""Voices small enough to be made in a test: networks with the signatures of Kokoro and piper, and their other files.

Both hum for a while that their tokens make, Kokoro for ``TOKEN_FRAMES`` each, and the voice is its loudness: what comes
out tells what went in. The field numbers are those of ``onnx.proto``, as in ``onnx_file``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.support.onnx_file import _number, _part, _text

TOKEN_FRAMES = 1_200
HUM_RADIANS = 0.06
"""A frame's share of the hum: 229 Hz at 24 kHz."""
KOKORO_VOICES = {"af_heart": 0.5, "bm_george": 0.25, "zf_xiaobei": 0.4, "mixture": 0.1}
PIPER_RATE_HZ = 16_000

Inputs = dict[str, tuple[int, list[str | int]]]
"""By name: the type of their elements, and their shape."""

_FLOAT, _INT64 = 1, 7
_INT_ATTRIBUTE = 2
_STYLE = (510, 1, 256)


def write_kokoro(folder: Path, voices: Mapping[str, float] = KOKORO_VOICES) -> tuple[Path, Path]:
    """A network and a file of voices, whose numbers are how loud they hum."""
    folder.mkdir(parents=True, exist_ok=True)
    nodes = [
        _node("Shape", ["tokens"], "shape"),
        _node("Gather", ["shape", "one"], "count"),
        _node("Cast", ["count"], "tokens_f", to=_FLOAT),
        _node("Div", ["tokens_f", "speed"], "slowed"),
        _node("Mul", ["slowed", "token_frames"], "length_f"),
        _node("ReduceMax", ["style"], "loudness", keepdims=0),
        *_hum("length_f"),
        _node("Mul", ["wave", "loudness"], "audio"),
    ]
    inputs: Inputs = {"tokens": (_INT64, [1, "n"]), "style": (_FLOAT, [1, 256]), "speed": (_FLOAT, [1])}
    model = folder / "kokoro-v1.0.onnx"
    model.write_bytes(_model(nodes, inputs, "audio", ["frames"]))
    styles = folder / "voices-v1.0.bin"
    with styles.open("wb") as file:
        np.savez(
            file, allow_pickle=False, **{name: np.full(_STYLE, level, np.float32) for name, level in voices.items()}
        )
    return model, styles


def write_piper(folder: Path, name: str = "en_US-hum-low", *, speakers: Mapping[str, int] | None = None) -> Path:
    """A network and its description. Speaker 0 hums at a tenth of full scale, each further one a tenth louder.

    Each token lasts 1.5 to 5.5 steps of 256 frames, times the length that is asked for, rounded up as in the real ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    many = speakers or {}
    nodes = [
        _node("Cast", ["input"], "tokens_f", to=_FLOAT),
        _node("Mul", ["tokens_f", "golden"], "spread"),
        _node("Mod", ["spread", "most_steps"], "more_steps", fmod=1),
        _node("Add", ["more_steps", "least_steps"], "steps"),
        _node("Gather", ["scales", "one"], "length_scale"),
        _node("Mul", ["steps", "length_scale"], "slowed"),
        _node("Ceil", ["slowed"], "whole_steps"),
        _node("ReduceSum", ["whole_steps"], "sum", keepdims=0),
        _node("Mul", ["sum", "step_frames"], "length_f"),
        _node("Cast", ["sid" if many else "zero"], "speaker", to=_FLOAT),
        _node("Mul", ["speaker", "tenth"], "above"),
        _node("Add", ["above", "tenth"], "loudness"),
        *_hum("length_f"),
        _node("Mul", ["wave", "loudness"], "flat"),
        _node("Reshape", ["flat", "sheet"], "output"),
    ]
    inputs: Inputs = {
        "input": (_INT64, [1, "n"]),
        "input_lengths": (_INT64, [1]),
        "scales": (_FLOAT, [3]),
    }
    if many:
        inputs["sid"] = (_INT64, [1])
    path = folder / f"{name}.onnx"
    path.write_bytes(_model(nodes, inputs, "output", [1, 1, 1, "frames"]))
    describe_piper(path, num_speakers=len(many) or 1, speaker_id_map=dict(many))
    return path


def describe_piper(path: Path, **other: object) -> None:
    """Write what goes with a network of piper."""
    letters = "_^$ abcdefghijklmnopqrstuvwxyzəɪɛæʊʌɔːˈˌðθʃŋɹɐ.,!?"
    facts: dict[str, object] = {
        "audio": {"sample_rate": PIPER_RATE_HZ, "quality": "low"},
        "espeak": {"voice": "en-us"},
        "language": {"code": "en_US"},
        "inference": {"noise_scale": 0.667, "length_scale": 1, "noise_w": 0.8},
        "phoneme_type": "espeak",
        "num_symbols": len(letters),
        "num_speakers": 1,
        "speaker_id_map": {},
        "phoneme_id_map": {letter: [number] for number, letter in enumerate(letters)},
    }
    path.with_name(f"{path.name}.json").write_text(json.dumps(facts | other), encoding="utf-8")


def _hum(length: str) -> list[bytes]:
    """As many frames of a hum as ``length`` says."""
    return [
        _node("ReduceMax", [length], "length_one", keepdims=0),
        _node("Range", ["zero_f", "length_one", "one_f"], "frames"),
        _node("Mul", ["frames", "radians"], "phase"),
        _node("Sin", ["phase"], "wave"),
    ]


def _model(nodes: list[bytes], inputs: Inputs, output: str, shape: list[str | int]) -> bytes:
    constants = {
        "one": np.array([1], "<i8"),
        "zero": np.array([0], "<i8"),
        "sheet": np.array([1, 1, 1, -1], "<i8"),
        "one_f": np.array(1, "<f4"),
        "zero_f": np.array(0, "<f4"),
        "tenth": np.array(0.1, "<f4"),
        "radians": np.array(HUM_RADIANS, "<f4"),
        "token_frames": np.array(TOKEN_FRAMES, "<f4"),
        "golden": np.array(1.618034, "<f4"),
        "least_steps": np.array(1.5, "<f4"),
        "most_steps": np.array(4, "<f4"),
        "step_frames": np.array(256, "<f4"),
    }
    graph = b"".join(_part(1, node) for node in nodes) + _text(2, "voice")
    graph += b"".join(_part(5, _constant(name, value)) for name, value in constants.items() if _text(1, name) in graph)
    graph += b"".join(_part(11, _value(name, kind, sizes)) for name, (kind, sizes) in inputs.items())
    graph += _part(12, _value(output, _FLOAT, shape))
    return _number(1, 8) + _part(7, graph) + _part(8, _text(1, "") + _number(2, 13))


def _node(kind: str, inputs: list[str], output: str, **attributes: int) -> bytes:
    parts = b"".join(_text(1, each) for each in inputs) + _text(2, output) + _text(4, kind)
    for name, value in attributes.items():
        parts += _part(5, _text(1, name) + _number(3, value) + _number(20, _INT_ATTRIBUTE))
    return parts


def _constant(name: str, value: NDArray[np.generic]) -> bytes:
    kind = _INT64 if value.dtype.kind == "i" else _FLOAT
    sizes = b"".join(_number(1, size) for size in value.shape)
    return sizes + _number(2, kind) + _text(8, name) + _part(9, value.tobytes())


def _value(name: str, kind: int, shape: list[str | int]) -> bytes:
    sizes = b"".join(_part(1, _text(2, size) if isinstance(size, str) else _number(1, size)) for size in shape)
    return _text(1, name) + _part(2, _part(1, _number(1, kind) + _part(2, sizes)))
