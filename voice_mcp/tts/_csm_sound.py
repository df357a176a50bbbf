"""From a prompt to blocks of sound: a line of frames and the codec that makes them heard, used for text after text.

Thread: one at a time. Imports torch: load this file only once the engine is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from voice_mcp.tts._csm_codec import CodecStream
from voice_mcp.tts._csm_frames import Draw, FrameMaker
from voice_mcp.tts._csm_layers import Memory, Tensor, without_gradients

_FULL_SCALE = 32767


@dataclass(frozen=True, slots=True, eq=False)
class Prefix:
    """What a voice says before every text, read by the backbone once."""

    memory: Memory
    positions: int


class Mouth:
    """Says one text after another; costs memory, so there are as many as texts at the same time, and no more.

    Args:
        maker: Who makes frames.
        codec: A ``MimiModel`` in float32.
        length: The most positions of a text, prefix and frames included.
    """

    def __init__(self, maker: FrameMaker, codec: Any, length: int) -> None:
        self._maker = maker
        self._line = maker.line(length)
        self._codec = CodecStream(codec, maker.codebooks, records=maker.speedup.records)
        self.prefix: Prefix | None = None
        """The voice it has read last."""

    @property
    def frames_left(self) -> int:
        """For how many more frames there is room."""
        # The frame that was made last is heard, and takes its position, when the next is made.
        return self._line.length - self._line.position

    def begin(self, prompt: Tensor, draw: Draw, prefix: Prefix | None = None) -> None:
        """Start a text.

        Args:
            prompt: What the backbone is to read, (1, n, hidden size).
            draw: How its sound is drawn.
            prefix: What it has read before.
        """
        if prefix is not None and prefix is not self.prefix:
            self._line.memory.copy_from(prefix.memory, prefix.positions)
        # Nothing below the prefix's end is ever written again, so it stays good for the next text.
        self.prefix = prefix
        self._line.go_back(0 if prefix is None else prefix.positions)
        self._line.read(prompt)
        self._line.begin(draw)
        self._codec.reset()

    def next_sound(self) -> bytes | None:
        """The next 80 ms, signed 16-bit little-endian; None where the text is over."""
        codes = self._line.next()
        return None if codes is None else _as_pcm(self._codec.decode(codes))


def read_prefix(maker: FrameMaker, prompt: Tensor) -> Prefix:
    """Let the backbone read what a voice says before every text, (1, n, hidden size)."""
    line = maker.line(prompt.shape[1], speaks=False)
    line.read(prompt)
    return Prefix(line.memory, line.position)


@without_gradients
def _as_pcm(sound: Tensor) -> bytes:
    samples = (sound.float().clamp(-1.0, 1.0) * _FULL_SCALE).round().to(torch.int16)
    pcm: bytes = samples.cpu().numpy().astype("<i2", copy=False).tobytes()
    return pcm
