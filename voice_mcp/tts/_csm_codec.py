"""Mimi's decoder with a memory: a frame of codes in, 80 ms of sound out, as if all had been decoded at once.

Mimi is causal, so nothing later ever changes what was given out. What of earlier frames is still needed is kept:

* the last inputs of each convolution that looks back,
* what each transposed convolution has already added to samples that come later,
* keys and values of the transformer's window, in a ring.

Transformers itself keeps only the last of the three when decoding; without the other two there is a click at every
joint. State lies in tensors of a fixed place and is changed in place, so that a step can be recorded as a CUDA graph.

Thread: one at a time. Imports torch: load this file only once the engine is used.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch.nn import functional

from voice_mcp.errors import EngineError
from voice_mcp.tts._csm_frames import recorded
from voice_mcp.tts._csm_layers import ALIGNMENT, Tensor, attend, mask_of, turned, without_gradients

_LONG_AGO = -(10**9)
"""The position of a place in the ring that holds nothing yet: no window reaches back so far."""

Step = Callable[[Tensor], Tensor]


class CodecStream:
    """The sound of one run of codes.

    Args:
        codec: A ``MimiModel``, in float32: eight bits of mantissa would be heard.
        codebooks: How many codes a frame has; as many as the codec knows, if not said.
        records: Whether steps are recorded as CUDA graphs.

    Raises:
        EngineError: It is not causal, or pads its sound in a way that cannot be continued.
    """

    def __init__(self, codec: Any, codebooks: int | None = None, *, records: bool = False) -> None:
        _check(codec.config)
        self._codec = codec
        self._records = records
        self._state: list[tuple[Tensor, float]] = []
        like = next(codec.decoder.parameters()).detach()
        self._like = like
        self._position = torch.zeros((1,), dtype=torch.long, device=like.device)
        self._state.append((self._position, 0))
        upsample = codec.upsample
        self._steps: list[Step] = [] if upsample is None else [self._transposed(upsample)]
        self._steps.append(
            self._transformer(codec.decoder_transformer, 1 if upsample is None else upsample.conv.stride[0])
        )
        self._steps += [self._layer(layer) for layer in sounding_layers(codec)]
        count = codebooks or codec.config.num_quantizers
        self._codes = torch.zeros((1, count, 1), dtype=torch.long, device=like.device)
        self._sound = like.new_zeros((1, 1, 1))
        with torch.no_grad(), _exact(like.device):
            self._run = recorded(self._step) if records else self._step
        self.reset()

    @without_gradients
    def decode(self, codes: Tensor) -> Tensor:
        """The sound of the next frame.

        Args:
            codes: One for each codebook, (1, codebooks).

        Returns:
            Samples, (1,920,) at 24 kHz for Mimi as it was trained; float32, about -1 to 1; good until the next call.
        """
        self._codes.copy_(codes[:, :, None])
        if self._records:
            self._run()
        else:
            with _exact(self._like.device):
                self._run()
        return self._sound[0, 0]

    def reset(self) -> None:
        """Forget what was decoded: the next frame is a first one."""
        for tensor, value in self._state:
            tensor.fill_(value)

    def _step(self) -> None:
        x = self._codec.quantizer.decode(self._codes)
        for step in self._steps:
            x = step(x)
        self._sound = x

    def _keep(self, shape: tuple[int, ...], value: float = 0.0, *, whole: bool = False) -> Tensor:
        """A tensor of state that ``reset`` sets to ``value``."""
        tensor = torch.full(shape, value, dtype=torch.long if whole else self._like.dtype, device=self._like.device)
        self._state.append((tensor, value))
        return tensor

    def _layer(self, layer: Any) -> Step:
        if hasattr(layer, "block"):
            return self._block(layer)
        if not hasattr(layer, "conv"):
            return partial(layer)  # an activation, which has no memory
        if isinstance(layer.conv, torch.nn.ConvTranspose1d):
            return self._transposed(layer)
        return self._looking_back(layer)

    def _block(self, block: Any) -> Step:
        steps = [self._layer(layer) for layer in block.block]
        shortcut = self._layer(block.shortcut)

        def step(x: Tensor) -> Tensor:
            out = x
            for each in steps:
                out = each(out)
            return shortcut(x) + out

        return step

    def _looking_back(self, layer: Any) -> Step:
        conv = layer.conv
        before = (conv.kernel_size[0] - 1) * conv.dilation[0] + 1 - conv.stride[0]
        if before <= 0:
            return partial(conv)
        last = self._keep((1, conv.in_channels, before))

        def step(x: Tensor) -> Tensor:
            x = torch.cat((last, x), dim=2)
            last.copy_(x[:, :, -before:])
            return conv(x)

        return step

    def _transposed(self, layer: Any) -> Step:
        conv = layer.conv
        stride = conv.stride[0]
        later = conv.kernel_size[0] - stride
        begun = self._keep((1, conv.out_channels, later))

        def step(x: Tensor) -> Tensor:
            whole = functional.conv_transpose1d(x, conv.weight, None, stride=stride, groups=conv.groups)
            whole[:, :, :later] += begun
            ready = x.shape[2] * stride
            begun.copy_(whole[:, :, ready:])
            out = whole[:, :, :ready]
            return out if conv.bias is None else out + conv.bias[None, :, None]

        return step

    def _transformer(self, transformer: Any, count: int) -> Step:
        """Steps of ``count`` positions each."""
        config = transformer.config
        window, heads, size = int(config.sliding_window), int(config.num_key_value_heads), int(config.head_dim)
        # The oldest of a step still sees all of its window. A multiple of the step, which so never wraps around, and of
        # what fast kernels ask of a mask's rows.
        ring = -(-(window + count - 1) // (ALIGNMENT * count)) * ALIGNMENT * count
        filled = self._keep((ring,), _LONG_AGO, whole=True)
        memories = [
            (self._keep((1, heads, ring, size)), self._keep((1, heads, ring, size))) for _ in transformer.layers
        ]
        steps = torch.arange(count, device=self._like.device)
        group = int(config.num_attention_heads) // heads

        def step(x: Tensor) -> Tensor:
            x = x.transpose(1, 2)
            at = self._position + steps
            place = at % ring
            filled.index_copy_(0, place, at)
            ago = at[:, None] - filled[None, :]
            mask = mask_of((ago >= 0) & (ago < window), group, x)
            cos, sin = transformer.rotary_emb(x, at[None])
            for layer, (keys, values) in zip(transformer.layers, memories, strict=True):
                x = _attended(layer, x, place, (cos[0], sin[0]), mask, keys, values)
                x = x + layer.mlp_layer_scale(layer.mlp(layer.post_attention_layernorm(x)))
            self._position.add_(count)
            return x.transpose(1, 2)

        return step


def sounding_layers(codec: Any) -> Any:
    """The convolutions that end in samples; transformers 5.24 keeps them one level deeper than 5.17 does."""
    return getattr(codec.decoder, "decoder_seanet", codec.decoder).layers


def _attended(
    layer: Any, x: Tensor, place: Tensor, angles: tuple[Tensor, Tensor], mask: Tensor, keys: Tensor, values: Tensor
) -> Tensor:
    attention, normed, (_, _, _, size) = layer.self_attn, layer.input_layernorm(x), keys.shape
    q, k, v = (
        project(normed).view(1, x.shape[1], -1, size).transpose(1, 2)
        for project in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    keys.index_copy_(2, place, turned(k, *angles))
    values.index_copy_(2, place, v)
    heard = attention.o_proj(attend(turned(q, *angles), keys, values, mask))
    return x + layer.self_attn_layer_scale(heard)


def _check(config: Any) -> None:
    if not config.use_causal_conv or config.trim_right_ratio != 1.0 or config.pad_mode != "constant":
        raise EngineError(
            "The codec of this checkpoint cannot be decoded as a stream.",
            hint="Use a checkpoint whose codec is Mimi as it was published, such as sesame/csm-1b.",
        )


def _exact(device: Any) -> AbstractContextManager[Any]:
    """On CUDA convolutions run in TF32 unless told otherwise: 60 dB below the sound there would be noise."""
    if device.type != "cuda":
        return nullcontext()
    context: AbstractContextManager[Any] = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=False, allow_tf32=False
    )
    return context
