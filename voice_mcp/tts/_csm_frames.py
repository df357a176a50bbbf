"""CSM's frames, one at a time: 32 codes that stand for 80 ms of sound.

    prompt ─▶ backbone ─▶ hidden state ─▶ first code ─▶ depth decoder, 31 steps ─▶ the other 31 codes
                 ▲                                                                        │
                 └──────────────────── the sum of their embeddings ◀──────────────────────┘

``FrameMaker`` makes the codes of a frame from a hidden state; a ``Line`` is one text under way: what the backbone
remembers of it. A frame whose codes are all zero says that the text is over (source: ``generate`` of transformers,
which looks at all but the last codebook).

How it is drawn: ``argmax(scores / temperature + g)``, where g is Gumbel noise, draws exactly as a softmax would. So
noise is an input like any other, one path serves greedy choice (no noise) and drawing, and nothing is random inside a
recorded graph.

Thread: one at a time. Imports torch: load this file only once the engine is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

import torch

from voice_mcp.tts._csm_layers import Memory, Stack, Tensor, without_gradients

_WARM_UPS = 3
"""How often a step runs before it is recorded: libraries choose their kernels and take their memory meanwhile."""


class Speedup(StrEnum):
    """What is done so that a frame of some thousand small kernels does not wait for Python."""

    NONE = "none"
    """Every kernel is launched by Python."""
    GRAPHS = "graphs"
    """They are recorded once and launched together: CUDA alone."""
    COMPILED = "compiled"
    """Kernels are fused by torch.compile, which needs a C compiler and takes a while."""
    COMPILED_GRAPHS = "compiled-graphs"
    """Both."""

    @property
    def records(self) -> bool:
        """Whether steps are recorded as CUDA graphs."""
        return self in (Speedup.GRAPHS, Speedup.COMPILED_GRAPHS)

    @property
    def compiles(self) -> bool:
        """Whether kernels are fused."""
        return self in (Speedup.COMPILED, Speedup.COMPILED_GRAPHS)


@dataclass(frozen=True, slots=True)
class Draw:
    """How codes are drawn."""

    temperature: float
    """0 takes the likeliest each time."""
    top_k: int
    """From how many of the likeliest."""
    seed: int | None = None
    """None draws anew each time."""


class FrameMaker:
    """Turns hidden states of the backbone into codes, and codes into the next hidden state.

    Args:
        model: A ``CsmForConditionalGeneration`` on the device it is to run on.
        length: The most positions of a text: prompt and frames.
        speedup: How steps are run.
    """

    def __init__(self, model: Any, length: int, speedup: Speedup = Speedup.NONE) -> None:
        config = model.config
        self.speedup = speedup
        self.codebooks = int(config.num_codebooks)
        self.codes_each = int(config.vocab_size)
        self.sounding = min(int(config.codec_config.codebook_size), self.codes_each)
        """Codes from here on stand for no sound, and are never chosen: the codec has no entry for them."""
        self.end_code = int(config.codebook_eos_token_id)
        self.device = model.lm_head.weight.device
        self._model = model
        self.backbone = Stack(model.backbone_model, length)
        self._depth = Stack(model.depth_decoder.model, self.codebooks + 1)
        self._depth_memory = self._depth.memory()
        self._depth_at = torch.arange(self.codebooks, device=self.device)
        self._run_backbone = torch.compile(self.backbone.run, dynamic=False) if speedup.compiles else self.backbone.run
        self._depth_step = torch.compile(self._next_code, dynamic=False) if speedup.compiles else self._next_code

        # Where a recorded frame reads and writes.
        self._hidden = model.lm_head.weight.new_zeros((1, 1, self.backbone.hidden_size))
        self._codes = torch.zeros((1, self.codebooks), dtype=torch.long, device=self.device)
        self._noise = torch.zeros((self.codebooks, self.sounding), dtype=torch.float32, device=self.device)
        self._sharpness = torch.ones((), dtype=torch.float32, device=self.device)
        self._last_kept = torch.zeros((1,), dtype=torch.long, device=self.device)
        self._drawn_as: tuple[float, int] | None = None
        with torch.no_grad():
            self._run_frame = recorded(self._frame) if speedup.records else self._frame

    def line(self, length: int | None = None, *, speaks: bool = True) -> Line:
        """Room for a text of ``length`` positions; one that does not speak can only read, and costs no recording."""
        return Line(self, self.backbone.memory(length), speaks=speaks)

    @without_gradients
    def embed_text(self, token_ids: list[int]) -> Tensor:
        """What the backbone takes for text, (1, n, hidden size)."""
        return self._model.embed_text_tokens(torch.tensor([token_ids], device=self.device))

    @without_gradients
    def embed_codes(self, codes: Tensor) -> Tensor:
        """What the backbone takes for frames of codes (1, n, codebooks), (1, n, hidden size)."""
        return self._model.backbone_model.embed_tokens(codes)

    @without_gradients
    def make(self, hidden: Tensor, draw: Draw, noise: Callable[[Tensor], None] | None) -> Tensor:
        """The codes of a frame, (1, codebooks); good until the next call.

        Args:
            hidden: What the backbone ended with, (1, 1, hidden size).
            draw: How codes are drawn.
            noise: Fills a tensor with Gumbel noise; None for greedy choice.
        """
        self._set(draw)
        if noise is None:
            self._noise.zero_()
        else:
            noise(self._noise)
        self._hidden.copy_(hidden)
        self._run_frame()
        return self._codes

    def backbone_step(self, line_codes: Tensor, at: Tensor, memory: Memory, hidden: Tensor) -> None:
        """Let the backbone hear a frame: codes in, the next hidden state out, the position one on; all in place."""
        x = self._model.backbone_model.embed_tokens(line_codes[None])
        hidden.copy_(self._run_backbone(x, at, memory))
        at.add_(1)

    def _set(self, draw: Draw) -> None:
        wanted = (draw.temperature, draw.top_k)
        if wanted != self._drawn_as:
            self._sharpness.fill_(1.0 / draw.temperature if draw.temperature > 0 else 1.0)
            self._last_kept.fill_(min(max(draw.top_k, 1), self.sounding) - 1)
            self._drawn_as = wanted

    def _frame(self) -> None:
        """One frame, from ``_hidden`` to ``_codes``; what a graph records."""
        model, depth = self._model, self._model.depth_decoder
        code = self._chosen(model.lm_head(self._hidden[:, 0]), self._noise[0])
        self._codes[:, 0] = code
        # The depth decoder reads the hidden state first, of which nothing comes; then each code gives the next.
        state = depth.model.inputs_embeds_projector(self._hidden)
        self._depth.run(state, self._depth_at[:1], self._depth_memory)
        for index in range(1, self.codebooks):
            embedded = depth.model.embed_tokens(code + (index - 1) * self.codes_each)
            head = depth.codebooks_head.weight[index - 1]
            code = self._depth_step(embedded[None], self._depth_at[index : index + 1], head, self._noise[index])
            self._codes[:, index] = code

    def _next_code(self, embedded: Tensor, at: Tensor, head: Tensor, noise: Tensor) -> Tensor:
        x = self._model.depth_decoder.model.inputs_embeds_projector(embedded)
        out = self._depth.run(x, at, self._depth_memory)
        return self._chosen(out[:, 0] @ head, noise)

    def _chosen(self, logits: Tensor, noise: Tensor) -> Tensor:
        """Draw a code, (1,), from scores (1, codes): from the likeliest only, with noise that was drawn before."""
        scores = logits[:, : self.sounding].float() * self._sharpness
        least = scores.sort(dim=-1, descending=True).values.index_select(-1, self._last_kept)
        return (scores + noise).masked_fill(scores < least, float("-inf")).argmax(dim=-1)


class Line:
    """One text under way.

    Args:
        maker: Who makes its frames.
        memory: What the backbone remembers.
        speaks: Whether it makes frames, or only reads.
    """

    def __init__(self, maker: FrameMaker, memory: Memory, *, speaks: bool = True) -> None:
        self._maker = maker
        self.memory = memory
        self.length = int(memory.keys[0].shape[2])
        self.position = 0
        """Positions that are taken: of the prompt, and one for each frame that was heard."""
        self._at = torch.zeros((1,), dtype=torch.long, device=maker.device)
        self._codes = torch.zeros((1, maker.codebooks), dtype=torch.long, device=maker.device)
        self._hidden = maker._hidden.clone()
        self._unheard = False
        self._generator: Any = None
        self._draw = Draw(0.0, 1)
        step = partial(maker.backbone_step, self._codes, self._at, memory, self._hidden)
        with torch.no_grad():
            # Now, while there is nothing yet that the runs before the recording could spoil.
            self._run_step = recorded(step) if speaks and maker.speedup.records else step

    @without_gradients
    def read(self, prompt: Tensor) -> None:
        """Let the backbone read what comes next, (1, n, hidden size): text, or sound of before."""
        count = prompt.shape[1]
        at = torch.arange(self.position, self.position + count, device=self._maker.device)
        self._hidden.copy_(self._maker.backbone.run(prompt, at, self.memory)[:, -1:])
        self.position += count
        self._at.fill_(self.position)
        self._unheard = False

    def go_back(self, position: int) -> None:
        """Forget all but the first ``position`` positions; something must be read next."""
        self.position = position

    def begin(self, draw: Draw) -> None:
        """Say how the frames that follow are drawn."""
        self._draw = draw
        if draw.temperature > 0:
            self._generator = torch.Generator(device=self._maker.device)
            if draw.seed is None:
                self._generator.seed()
            else:
                self._generator.manual_seed(draw.seed)
        else:
            self._generator = None

    @without_gradients
    def next(self) -> Tensor | None:
        """The codes of the next frame, (1, codebooks), good until the next call; None where the text is over.

        A caller counts: there must be room for it below ``length``.
        """
        if self._unheard:
            self._hear()
        noise = None if self._generator is None else partial(_fill_with_gumbel, self._generator)
        self._codes.copy_(self._maker.make(self._hidden, self._draw, noise))
        self._unheard = True
        # The last codebook is not looked at: transformers does not either.
        is_end = all(code == self._maker.end_code for code in self._codes[0, :-1].tolist())
        return None if is_end else self._codes

    def _hear(self) -> None:
        self._run_step()
        self.position += 1
        self._unheard = False


def recorded(step: Callable[[], None]) -> Callable[[], None]:
    """The same step as a CUDA graph. It runs some times before, and leaves its traces."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UPS):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # others may use the device meanwhile
        step()
    replay: Callable[[], None] = graph.replay
    return replay


def _fill_with_gumbel(generator: Any, noise: Tensor) -> None:
    noise.exponential_(generator=generator).clamp_min_(1e-30).log_().neg_()
