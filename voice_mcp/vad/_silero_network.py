"""The network of Silero VAD 6 at 16 kHz, in numpy: 0.6 million multiplications for each window of 512 samples.

    window, 64 samples before it ─▶ 4 spectra (129) ─▶ 4 convolutions ─▶ LSTM (128) ─▶ one probability

The weights are those of ``silero_vad_16k_sequence.onnx`` in silero-vad 6.2.3 under the names they have there, by the
Silero Team, MIT licence (``silero_v6.LICENSE``); the three of the LSTM have numbers there and names here, its gates in
the order input, output, forget, cell. Only the first layer is left out: it is a Hann window and a Fourier transform.
"""

from __future__ import annotations

import math
from importlib.resources import as_file, files

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

_WINDOW = 512
_CONTEXT = 64
_FOURIER = 256
_HOP = 128
_BINS = _FOURIER // 2 + 1
_SPECTRA = 4
_CELLS = 128

Floats = NDArray[np.float32]


class SileroNetwork:
    """The weights, and what the network remembers of one stream of sound."""

    def __init__(self) -> None:
        with as_file(files("voice_mcp.vad") / "silero_v6.npz") as path, np.load(path) as stored:
            weights: dict[str, Floats] = dict(stored)
        self._basis = _fourier_basis()
        self._kernels = [_kernel(weights[f"encoder.{layer}.weight"]) for layer in range(4)]
        self._biases = [weights[f"encoder.{layer}.bias"] for layer in range(4)]
        # From two columns the third layer makes one, and from that the fourth: the other taps meet only padding.
        self._kernels[2] = self._kernels[2][64:]
        self._kernels[3] = self._kernels[3][64:128]
        self._gates = _gates(weights)
        self._gate_bias = weights["lstm.bias"].reshape(2, -1).sum(axis=0)
        self._output = weights["output.weight"].ravel()
        self._output_bias = float(weights["output.bias"][0])
        self.reset()

    def reset(self) -> None:
        """Forget the sound so far."""
        self._sound = np.zeros(_CONTEXT + _WINDOW + _CONTEXT, np.float32)
        self._spectra = np.zeros((_SPECTRA + 2, _BINS), np.float32)  # a row of padding on either side
        self._encoded = np.zeros((_SPECTRA + 2, 128), np.float32)
        # Views of these, made once: making one takes longer than a layer.
        self._frames = sliding_window_view(self._sound, _FOURIER)[::_HOP]
        self._spectra_by_three = _three_rows(self._spectra)
        self._encoded_by_three = _three_rows(self._encoded)[::2]
        self._input = np.zeros(2 * _CELLS, np.float32)  # what the encoder says, and what the LSTM said last
        self._cell = np.zeros(_CELLS, np.float32)

    def hear(self, window: bytes) -> float:
        """How likely it is that somebody speaks in the next 512 samples (int16, little-endian): 0 to 1."""
        sound = self._sound
        sound[:_CONTEXT] = sound[_WINDOW : _WINDOW + _CONTEXT]
        sound[_CONTEXT:-_CONTEXT] = np.frombuffer(window, "<i2")
        sound[_CONTEXT:-_CONTEXT] *= 1 / 32768
        sound[-_CONTEXT:] = sound[-_CONTEXT - 2 : -2 * _CONTEXT - 2 : -1]  # the end, mirrored
        return self._decide(self._encode())

    def _encode(self) -> Floats:
        parts = self._frames @ self._basis
        parts *= parts
        np.sqrt(parts[:, :_BINS] + parts[:, _BINS:], out=self._spectra[1:-1])
        self._encoded[1:-1] = self._layer(0, self._spectra_by_three)
        pair = self._layer(1, self._encoded_by_three)
        return self._layer(3, self._layer(2, pair.ravel()))

    def _layer(self, number: int, rows: Floats) -> Floats:
        out: Floats = rows @ self._kernels[number]
        out += self._biases[number]
        return np.maximum(out, 0, out=out)

    def _decide(self, encoded: Floats) -> float:
        self._input[:_CELLS] = encoded
        gates: Floats = self._input @ self._gates
        gates += self._gate_bias
        taken, shown, kept = _sigmoid(gates[: 3 * _CELLS]).reshape(3, _CELLS)
        self._cell = kept * self._cell + taken * np.tanh(gates[3 * _CELLS :])
        said = self._input[_CELLS:]
        np.multiply(shown, np.tanh(self._cell), out=said)
        strength = float(np.maximum(said, 0) @ self._output) + self._output_bias
        return 0.5 + 0.5 * math.tanh(0.5 * strength)


def _three_rows(rows: Floats) -> Floats:
    """Each row with its neighbours, end to end: what a convolution of width 3 sees. Shape: (n - 2, 3 x width)."""
    height, width = rows.shape
    return sliding_window_view(rows.ravel(), 3 * width)[: (height - 2) * width : width]


def _kernel(weight: Floats) -> Floats:
    """A convolution as a matrix: (out, in, 3) to (3 x in, out)."""
    return np.ascontiguousarray(weight.transpose(2, 1, 0).reshape(-1, weight.shape[0]))


def _gates(weights: dict[str, Floats]) -> Floats:
    both = np.concatenate([weights["lstm.input_weight"][0], weights["lstm.hidden_weight"][0]], axis=1)
    return np.ascontiguousarray(both.T)


def _fourier_basis() -> Floats:
    """Real and imaginary parts of a Hann-windowed Fourier transform; shape (256, 2 x 129)."""
    time = np.arange(_FOURIER)
    angle = 2 * np.pi / _FOURIER * np.outer(time, np.arange(_BINS))
    hann = 0.5 - 0.5 * np.cos(2 * np.pi / _FOURIER * time)
    basis: Floats = (hann[:, None] * np.hstack([np.cos(angle), np.sin(angle)])).astype(np.float32)
    return basis


def _sigmoid(values: Floats) -> Floats:
    # By way of tanh, which cannot overflow.
    half = values * np.float32(0.5)
    np.tanh(half, out=half)
    half += 1
    half *= np.float32(0.5)
    return half
