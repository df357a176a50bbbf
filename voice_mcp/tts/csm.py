"""Sesame's CSM: a voice that is drawn frame by frame, in the context of how it sounded before.

    text ─▶ _csm_prompt ─▶ _csm_frames: 32 codes a frame ─▶ _csm_codec: 80 ms of sound ─▶ blocks, as they come

One thread does all of the work, one frame of one stream after another, so streams take turns and none is more than a
frame from being stopped. A stream that nobody reads stops asking for frames once ``LOOK_AHEAD_S`` of sound wait. The
first block is the first frame.

torch and the weights are loaded when the engine first speaks, or is warmed up; nothing is ever downloaded here.
Speed is not heeded: the model has no way to be told.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from voice_mcp.errors import EngineError, VoiceError
from voice_mcp.tts._csm_loading import SAMPLES_A_SECOND, Checkpoint, load
from voice_mcp.tts._csm_voices import DEFAULT_VOICE, Example, Voices
from voice_mcp.types import PcmFormat, Sampling, SpeechRequest, Voice, WordMark

if TYPE_CHECKING:
    from voice_mcp.tts._csm_frames import Draw
    from voice_mcp.tts._csm_sound import Mouth, Prefix

T = TypeVar("T")

LOOK_AHEAD_S = 2.0
"""Seconds of unread audio at which a stream stops asking for more."""
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
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix=_NAME)
        self._streams: WeakSet[CsmStream] = WeakSet()
        self._closed = False

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
        await self._in_worker(self._studio.warm_up)

    def knows_voice(self, name: str) -> bool | None:
        return self._voices.knows(name)

    async def open(self, request: SpeechRequest) -> CsmStream:
        voice, speaker, example = self._voices.choose(request.voice or DEFAULT_VOICE)
        order = await self._in_worker(partial(self._studio.prepare, request, speaker, example))
        stream = CsmStream(self._studio, self._worker, order, voice, self.model)
        self._streams.add(stream)
        return stream

    async def check(self) -> None:
        await self._in_worker(self._studio.load)

    async def voices(self) -> list[Voice]:
        return [Voice(name, _NAME, "en", _description(name)) for name in self._voices.names()]

    async def aclose(self) -> None:
        self._closed = True
        for stream in list(self._streams):
            await stream.aclose()
        # Not waited for: what is still queued sees that its stream is closed and returns at once.
        self._worker.shutdown(wait=False)

    async def _in_worker(self, work: Callable[[], T]) -> T:
        if self._closed:
            raise EngineError("The csm engine has been closed.")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._worker, work)
        except VoiceError:
            raise
        except Exception as exc:
            raise EngineError("csm failed while it got ready to speak.") from exc


class CsmStream:
    """A segment that CSM is speaking.

    Begins to speak at once. Its own state belongs to the event loop; the worker thread only makes frames.
    """

    def __init__(self, studio: _Studio, worker: ThreadPoolExecutor, order: _Order, voice: str, model: str) -> None:
        self._studio = studio
        self._worker = worker
        self._voice = voice
        self._model = model
        self._loop = asyncio.get_running_loop()
        self._making = False
        self._made_all = False
        self._failure: BaseException | None = None
        self._closed = False
        self._blocks: deque[bytes] = deque()
        self._unread_bytes = 0
        self._news = asyncio.Event()

        # Only the worker thread touches these, one frame after another.
        self._order: _Order | None = order
        self._mouth: Mouth | None = None
        self._frames_left = order.most_frames

        self._make_more()

    @property
    def engine(self) -> str:
        return _NAME

    @property
    def model(self) -> str:
        return self._model

    @property
    def voice(self) -> str:
        return self._voice

    @property
    def encoding(self) -> str:
        return "pcm"

    @property
    def connect_s(self) -> float:
        return 0.0

    @property
    def media_type(self) -> str:
        return ""

    @property
    def pcm_format(self) -> PcmFormat:
        return _FORMAT

    @property
    def word_marks(self) -> Sequence[WordMark]:
        return ()

    @property
    def unread_s(self) -> float:
        """Seconds of audio that are made and not yet read."""
        return _FORMAT.seconds(_FORMAT.frames(self._unread_bytes))

    def __aiter__(self) -> CsmStream:
        return self

    async def __anext__(self) -> bytes:
        while not self._blocks:
            if self._closed or (self._made_all and self._failure is None):
                raise StopAsyncIteration
            if self._failure is not None:
                raise self._translated(self._failure)
            self._news.clear()
            await self._news.wait()
        block = self._blocks.popleft()
        self._unread_bytes -= len(block)
        self._make_more()
        return block

    async def aclose(self) -> None:
        # Nothing is waited for: the worker thread looks at the flag before and after every frame.
        self._closed = True
        self._blocks.clear()
        self._unread_bytes = 0
        self._news.set()
        if not self._making and not self._made_all:
            self._made_all = True
            with suppress(RuntimeError):  # the engine is closed: nobody needs the mouth any more
                self._worker.submit(self._let_go)

    # --- event loop --------------------------------------------------------------------------------------------

    def _make_more(self) -> None:
        if self._making or self._made_all or self._closed or self.unread_s >= LOOK_AHEAD_S:
            return
        self._making = True
        self._worker.submit(self._make).add_done_callback(self._post_made)

    def _made(self, block: bytes | None, failure: BaseException | None) -> None:
        self._making = False
        self._failure = failure
        self._made_all = block is None
        if block is not None and not self._closed:
            self._blocks.append(block)
            self._unread_bytes += len(block)
        self._news.set()
        self._make_more()

    def _translated(self, failure: BaseException) -> VoiceError:
        if isinstance(failure, VoiceError):
            return failure
        error = EngineError("csm failed while it was speaking.")
        error.__cause__ = failure
        return error

    # --- worker thread -----------------------------------------------------------------------------------------

    def _make(self) -> bytes | None:
        """The next frame; None, and the mouth is free for others, where there is none."""
        try:
            block = self._next_block()
        except BaseException:
            self._mouth = None  # in what state it is nobody knows
            raise
        if block is None or self._closed:
            self._let_go()
            return None
        return block

    def _next_block(self) -> bytes | None:
        if self._closed or self._frames_left <= 0:
            return None
        if self._order is not None:
            self._mouth = self._studio.begin(self._order)
            self._order = None
            self._frames_left = min(self._frames_left, self._mouth.frames_left)
        assert self._mouth is not None
        self._frames_left -= 1
        return self._mouth.next_sound()

    def _let_go(self) -> None:
        self._order = None
        if self._mouth is not None:
            self._studio.take_back(self._mouth)
            self._mouth = None

    def _post_made(self, future: Future[bytes | None]) -> None:
        failure = future.exception()
        block = None if failure is not None else future.result()
        try:
            self._loop.call_soon_threadsafe(self._made, block, failure)
        except RuntimeError:  # the loop is closed, so nobody can be listening
            self._closed = True
            self._let_go()


class _Studio:
    """What the worker thread has: the model, the voices it has read, and the mouths that speak. Thread: the worker."""

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

    def warm_up(self) -> None:
        """Load everything and speak for a moment."""
        order = self.prepare(SpeechRequest("Hello."), 0, None)
        mouth = self.begin(order)
        mouth.next_sound()
        self.take_back(mouth)

    def prepare(self, request: SpeechRequest, speaker: int, example: Example | None) -> _Order:
        """Read the voice, if it is new, and turn the text into tokens.

        Raises:
            EngineError: The text is too long, or the voice's files cannot be used.
        """
        checkpoint = self.load()
        from voice_mcp.tts._csm_frames import Draw
        from voice_mcp.tts._csm_prompt import token_ids

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

    def begin(self, order: _Order) -> Mouth:
        """A mouth that is about to say it."""
        from voice_mcp.tts._csm_sound import Mouth

        checkpoint = self.load()
        # One that has read the voice already saves copying it.
        self._free.sort(key=lambda mouth: mouth.prefix is order.prefix)
        mouth = (
            self._free.pop() if self._free else Mouth(self._maker, checkpoint.model.codec_model, checkpoint.positions)
        )
        mouth.begin(self._maker.embed_text(order.token_ids), order.draw, order.prefix)
        return mouth

    def take_back(self, mouth: Mouth) -> None:
        """It has spoken."""
        if len(self._free) < _SPARE_MOUTHS:
            self._free.append(mouth)

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
