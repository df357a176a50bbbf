"""Sesame's CSM: a voice that is drawn frame by frame, in the context of how it sounded before.

    text ─▶ _csm_prompt ─▶ _csm_frames: 32 codes a frame ─▶ _csm_codec: 80 ms of sound ─▶ blocks, as they come

One thread does all of the work (``_threaded``), and a block is a frame: streams take turns frame by frame, none is more
than one from being stopped, and the first block is the first frame.

torch and the weights are loaded when the engine first speaks, or is warmed up; nothing is ever downloaded here.
Speed is not heeded: the model has no way to be told.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voice_mcp.errors import EngineError
from voice_mcp.tts._csm_loading import SAMPLES_A_SECOND, Checkpoint, load
from voice_mcp.tts._csm_voices import DEFAULT_VOICE, Example, Voices
from voice_mcp.tts._threaded import SpeakingThread, Speech, ThreadedStream
from voice_mcp.types import PcmFormat, Sampling, SpeechRequest, Voice

if TYPE_CHECKING:
    from voice_mcp.tts._csm_frames import Draw
    from voice_mcp.tts._csm_sound import Mouth, Prefix

DEFAULT_MODEL = "sesame/csm-1b"

_NAME = "csm"
_FORMAT = PcmFormat(SAMPLES_A_SECOND, channels=1)
_LEAST_S, _LONGEST_CHARACTER_S = 4.0, 0.25
"""A text lasts no longer than the one, and the other for each character: twice as long as a slow speaker takes. Only a
model that does not find the end comes so far."""
_TEXT_SHARE = 4
"""The share of a text's positions, one in so many, that its words may take; a voice's example may take one in two."""
_SPARE_MOUTHS = 2
"""How many are kept for the next text; more are made where more texts are spoken at once."""
_VOICES_IN_MEMORY = 8


@dataclass(frozen=True, slots=True)
class _Order:
    """What is to be spoken, ready for the model."""

    token_ids: list[int]
    draw: Draw
    most_frames: int
    prefix: Prefix | None


class CsmEngine:
    """Speaks with CSM.

    Args:
        model: A folder with a checkpoint, or the name of a repository that was downloaded before.
        device: ``auto`` (the first there is of cuda, mps, cpu), or one of them.
        dtype: ``auto`` (bfloat16 on cuda, else float32), ``bfloat16``, ``float16`` or ``float32``.
        voices: A folder of ``NAME.wav`` and ``NAME.txt``; None for speakers 0 to 9 alone.
    """

    def __init__(
        self, model: str = DEFAULT_MODEL, *, device: str = "auto", dtype: str = "auto", voices: Path | None = None
    ) -> None:
        self._model = model
        self._voices = Voices(voices)
        self._studio = _Studio(partial(load, model, device, dtype))
        self._thread = SpeakingThread(_NAME, self._studio.clear)

    @property
    def name(self) -> str:
        return _NAME

    @property
    def model(self) -> str:
        return Path(self._model).name

    @property
    def is_remote(self) -> bool:
        return False

    @property
    def expected_format(self) -> PcmFormat:
        return _FORMAT

    async def warm_up(self) -> None:
        """Load the weights ahead of need, and speak a moment of sound that nobody hears.

        Raises:
            EngineError: They are not there, or cannot be used.
        """
        await self._thread.do(self._studio.warm_up)

    def knows_voice(self, name: str) -> bool | None:
        return self._voices.knows(name)

    async def open(self, request: SpeechRequest) -> ThreadedStream:
        voice, speaker, example = self._voices.choose(request.voice or DEFAULT_VOICE)
        order = await self._thread.do(partial(self._studio.prepare, request, speaker, example))
        return self._thread.speak(Speech(self.model, voice, _FORMAT, partial(self._studio.blocks, order)))

    async def check(self) -> None:
        await self._thread.do(self._studio.load)

    async def voices(self) -> list[Voice]:
        return [Voice(name, _NAME, "en", _description(name)) for name in self._voices.names()]

    async def aclose(self) -> None:
        await self._thread.aclose()


class _Studio:
    """The model, the voices it has read, and the mouths that speak. Thread: the engine's."""

    def __init__(self, load_checkpoint: Callable[[], Checkpoint]) -> None:
        self._load_checkpoint = load_checkpoint
        self._checkpoint: Checkpoint | None = None
        self._maker: Any = None
        self._free: list[Mouth] = []
        self._prefixes: dict[Example, Prefix] = {}

    def load(self) -> Checkpoint:
        """The model, loaded if it is not yet.

        Raises:
            EngineError: It is not there, or cannot be used.
        """
        if self._checkpoint is None:
            checkpoint = self._load_checkpoint()
            from voice_mcp.tts._csm_frames import FrameMaker, Speedup

            on_cuda = checkpoint.model.device.type == "cuda"
            self._maker = FrameMaker(
                checkpoint.model, checkpoint.positions, Speedup.GRAPHS if on_cuda else Speedup.NONE
            )
            self._checkpoint = checkpoint
        return self._checkpoint

    def clear(self) -> None:
        """Drop everything: the engine is closed, and somebody may hold it for long."""
        self._checkpoint = self._maker = None
        self._free.clear()
        self._prefixes.clear()
        # What holds the weights also holds itself, and in an idle process nobody would look for that.
        gc.collect()

    def warm_up(self) -> None:
        """Load everything and speak for a moment."""
        blocks = self.blocks(self.prepare(SpeechRequest("Hello."), 0, None))
        next(blocks, None)
        blocks.close()

    def prepare(self, request: SpeechRequest, speaker: int, example: Example | None) -> _Order | None:
        """Read the voice, if it is new, and turn the text into tokens; None where the text has no words.

        Raises:
            EngineError: The text is too long, or the voice's files cannot be used.
        """
        checkpoint = self.load()
        from voice_mcp.tts._csm_frames import Draw
        from voice_mcp.tts._csm_prompt import token_ids

        if not any(map(str.isalnum, request.text)):
            return None  # the model would make words up
        wish = request.sampling or Sampling()
        draw = Draw(
            temperature=checkpoint.temperature if wish.temperature is None else wish.temperature,
            top_k=checkpoint.top_k if wish.top_k is None else wish.top_k,
            seed=wish.seed,
        )
        most_s = _LEAST_S + _LONGEST_CHARACTER_S * len(request.text) if wish.most_s is None else wish.most_s
        most_tokens = checkpoint.positions // _TEXT_SHARE
        return _Order(
            token_ids=token_ids(checkpoint.tokenizer, speaker, request.text, most_tokens),
            draw=draw,
            most_frames=max(1, int(most_s / checkpoint.frame_s + 1e-6)),
            prefix=None if example is None else self._prefix(checkpoint, speaker, example),
        )

    def blocks(self, order: _Order | None) -> Generator[bytes, None, None]:
        """Its sound, a frame a block.

        Raises:
            EngineError: There was no room for all of it; what came before is good.
        """
        if order is None:
            return
        mouth, is_good = self._mouth(order), True
        try:
            mouth.begin(self._maker.embed_text(order.token_ids), order.draw, order.prefix)
            room = mouth.frames_left
            for _ in range(min(order.most_frames, room)):
                if (sound := mouth.next_sound()) is None:
                    return
                yield sound
        except Exception:
            is_good = False  # in what state it is nobody knows
            raise
        finally:
            if is_good and len(self._free) < _SPARE_MOUTHS:
                self._free.append(mouth)
        if room < order.most_frames:
            # Not how a text ends: words are missing, and somebody has to know.
            raise EngineError(
                f"The text was cut off after {room * self.load().frame_s:.1f} s: csm has no more room for it.",
                hint="Send it in shorter pieces, or give the voice a shorter example.",
            )

    def _mouth(self, order: _Order) -> Mouth:
        """A free one, or a new one where all are speaking."""
        from voice_mcp.tts._csm_sound import Mouth

        checkpoint = self.load()
        if not self._free:
            return Mouth(self._maker, checkpoint.model.codec_model, checkpoint.positions)
        # One that has read the voice already saves copying it.
        chosen = max(self._free, key=lambda mouth: mouth.prefix is order.prefix)
        self._free.remove(chosen)
        return chosen

    def _prefix(self, checkpoint: Checkpoint, speaker: int, example: Example) -> Prefix:
        known = self._prefixes.pop(example, None)
        if known is None:
            known = self._read(checkpoint, speaker, example)
        self._prefixes[example] = known  # now the one that was used last
        while len(self._prefixes) > _VOICES_IN_MEMORY:
            del self._prefixes[next(iter(self._prefixes))]
        return known

    def _read(self, checkpoint: Checkpoint, speaker: int, example: Example) -> Prefix:
        from voice_mcp.tts._csm_prompt import example as prompt_of
        from voice_mcp.tts._csm_prompt import token_ids
        from voice_mcp.tts._csm_sound import read_prefix

        room = checkpoint.positions // 2
        ids = token_ids(checkpoint.tokenizer, speaker, example.text(), room)
        prompt = prompt_of(self._maker, checkpoint.model.codec_model, ids, example.samples())
        if prompt.shape[1] > room:
            raise EngineError(
                f"The example of the voice {example.name} is too long: {prompt.shape[1]} positions, of {room} at most.",
                hint="Use one of five to twenty seconds.",
            )
        return read_prefix(self._maker, prompt)


def _description(name: str) -> str:
    return f"speaker {name} of a dialogue, in a voice that CSM makes up" if len(name) == 1 else "from an example"
