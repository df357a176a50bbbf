"""A stack of Llama layers that takes a few positions at a time and remembers the ones before.

Both of CSM's transformers are such stacks. The weights, norms and feed-forward parts are those that transformers
loaded; what is done here is attention over keys and values that lie in tensors of a fixed size and place. So a step
asks nothing of the processor, and can be recorded once as a CUDA graph and played back for every frame.

Imports torch: load this file only once the engine is used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch
from torch.nn import functional

Tensor = Any
"""A torch tensor; nothing is known of torch where it is not installed, so types stop here."""

F = TypeVar("F", bound=Callable[..., Any])

ALIGNMENT = 8
"""Rows of a mask begin at multiples of so many, which the fast attention kernels ask for."""


def without_gradients(function: F) -> F:
    """The same function, of which torch keeps nothing for training."""
    return cast(F, torch.no_grad()(function))


class Memory:
    """Keys and values of the positions that were run so far, for one text. Shapes: (1, heads, length, head size)."""

    def __init__(self, layers: int, heads: int, length: int, head_size: int, like: Tensor) -> None:
        shape = (1, heads, length, head_size)
        self.keys = [like.new_zeros(shape) for _ in range(layers)]
        self.values = [like.new_zeros(shape) for _ in range(layers)]

    def copy_from(self, other: Memory, positions: int) -> None:
        """Take over what ``other`` knows of the first ``positions`` positions."""
        for mine, theirs in zip((*self.keys, *self.values), (*other.keys, *other.values), strict=True):
            mine[:, :, :positions].copy_(theirs[:, :, :positions])


class Stack:
    """The layers of one transformer; holds no state but the weights.

    Args:
        module: A model of transformers' with ``layers``, ``norm``, ``rotary_emb`` and ``config``.
        length: The most positions a text may have; rounded up to a multiple of 8.
    """

    def __init__(self, module: Any, length: int) -> None:
        config = module.config
        self._layers = tuple(module.layers)
        self._norm = module.norm
        self._eps = float(config.rms_norm_eps)
        self._heads = int(config.num_attention_heads)
        self._key_heads = int(config.num_key_value_heads)
        self._head_size = int(config.head_dim)
        self.hidden_size = int(config.hidden_size)
        self.length = -(-length // ALIGNMENT) * ALIGNMENT
        self._like = module.norm.weight.detach()
        self._columns = torch.arange(self.length, device=self._like.device)
        with torch.no_grad():
            # The model's own angles, with whatever scaling it was trained with.
            cos, sin = module.rotary_emb(self._like, position_ids=self._columns[None])
        self._cos, self._sin = cos[0].contiguous(), sin[0].contiguous()

    def memory(self, length: int | None = None) -> Memory:
        """Room for a text of ``length`` positions, the most there may be if not said."""
        size = self.length if length is None else length
        return Memory(len(self._layers), self._key_heads, size, self._head_size, self._like)

    def run(self, x: Tensor, at: Tensor, memory: Memory) -> Tensor:
        """Run positions that follow one another.

        Args:
            x: What goes in, (1, n, hidden size).
            at: Their positions, (n,), whole numbers on the same device.
            memory: What is known of the positions before; these are added.

        Returns:
            What comes out, normalised, (1, n, hidden size).
        """
        cos, sin = self._cos.index_select(0, at), self._sin.index_select(0, at)
        mask = mask_of(at[:, None] >= self._columns[None, : memory.keys[0].shape[2]], self._heads // self._key_heads, x)
        for layer, keys, values in zip(self._layers, memory.keys, memory.values, strict=True):
            heard = self._attend(
                layer.self_attn, self._normed(x, layer.input_layernorm), at, (cos, sin), mask, keys, values
            )
            x = x + heard
            x = x + layer.mlp(self._normed(x, layer.post_attention_layernorm))
        return self._normed(x, self._norm)

    def _normed(self, x: Tensor, norm: Any) -> Tensor:
        return functional.rms_norm(x, (x.shape[-1],), norm.weight, self._eps)

    def _attend(
        self,
        attention: Any,
        x: Tensor,
        at: Tensor,
        angles: tuple[Tensor, Tensor],
        mask: Tensor,
        keys: Tensor,
        values: Tensor,
    ) -> Tensor:
        count = x.shape[1]
        q = attention.q_proj(x).view(1, count, self._heads, self._head_size).transpose(1, 2)
        k = attention.k_proj(x).view(1, count, self._key_heads, self._head_size).transpose(1, 2)
        v = attention.v_proj(x).view(1, count, self._key_heads, self._head_size).transpose(1, 2)
        keys.index_copy_(2, at, turned(k, *angles))
        values.index_copy_(2, at, v)
        return attention.o_proj(attend(turned(q, *angles), keys, values, mask))


def turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding: the two halves of each head are turned against one another."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


def mask_of(visible: Tensor, group: int, like: Tensor) -> Tensor:
    """What ``attend`` adds to its scores, made once for all layers.

    Args:
        visible: What each position may see, (n, length).
        group: How many heads share a key.
        like: A tensor of the type that scores have.

    Returns:
        0 and minus infinity, (group * n, length).
    """
    nothing = like.new_zeros(visible.shape)
    return nothing.masked_fill_(~visible, float("-inf")).repeat(group, 1)


def attend(q: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    """Attention in which several heads share a key.

    Heads that share one stand below one another as if they were further positions, so that no key is ever copied.

    Args:
        q: (1, heads, n, head size).
        keys: (1, key heads, length, head size); ``values`` likewise.
        values: See ``keys``.
        mask: From ``mask_of``, the same for each key head.

    Returns:
        (1, n, heads * head size).
    """
    _, heads, count, size = q.shape
    key_heads = keys.shape[1]
    grouped = q.reshape(1, key_heads, heads // key_heads * count, size)
    out = functional.scaled_dot_product_attention(grouped, keys, values, attn_mask=mask)
    return out.reshape(1, heads, count, size).transpose(1, 2).reshape(1, count, heads * size)
