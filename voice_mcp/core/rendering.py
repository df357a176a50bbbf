"""Rendering a line of speech: text in, frames out, from whichever engine can. No device, no clock of its own.

When an engine fails in the middle of a line it is asked once more and what was already received is skipped; when it
fails again, the next engine goes on from the word where the sound broke off. So no word is heard twice, and none is
left out.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from voice_mcp.codecs.detect import HEAD_BYTES, choose_decoder
from voice_mcp.core.failover import Roster
from voice_mcp.core.timeline import Run, spoken_chars
from voice_mcp.core.utterance import Trail
from voice_mcp.errors import AllEnginesFailed, CodecError, EngineError, UnknownVoice, VoiceError
from voice_mcp.events import EventType
from voice_mcp.protocols import SpeechEngine, SpeechStream
from voice_mcp.types import PcmFormat, SpeechRequest, WordMark

ENDPOINT_PCM = PcmFormat(24_000, 1)
"""What OpenAI's ``pcm`` is, and what servers that imitate it send."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How something is to be said."""

    voice: str | None = None
    """What was asked for; None takes the first of ``preferences`` an engine has."""
    preferences: tuple[str, ...] = ()
    speed: float = 1.0
    instructions: str | None = None


@dataclass(frozen=True, slots=True)
class Begin:
    """The frames that follow speak the line from ``start`` on."""

    start: int
    format: PcmFormat
    marks: Sequence[WordMark]
    engine: str
    model: str
    voice: str


@dataclass(slots=True)
class _Received:
    """What has come of one request."""

    frames: int = 0
    format: PcmFormat | None = None
    marks: Sequence[WordMark] = ()

    def spoken_chars(self, text: str, speed: float) -> int:
        """How much of ``text`` these frames speak, as far as can be told."""
        if self.format is None:
            return 0
        return spoken_chars(Run(text, 0.0, self.marks), self.format.seconds(self.frames), speed=speed)


@dataclass(slots=True)
class Rendering:
    """Renders the lines of one utterance.

    Args:
        roster: Whom to ask.
        manner: How to say it.
        trail: Told what happens.
    """

    roster: Roster
    manner: Manner
    trail: Trail
    notes: list[str] = field(default_factory=list)
    """What the user should know, one sentence each."""
    _spoke_last: str | None = None

    def expected_format(self) -> PcmFormat:
        """What the first frames will most likely be."""
        return self._order()[0].expected_format

    async def render(self, text: str) -> AsyncGenerator[Begin | bytes, None]:
        """The frames of ``text``: a ``Begin`` whenever an engine starts, then whole frames.

        Raises:
            UnknownVoice: Nobody has the voice that was asked for.
            EngineError: Nobody could speak it, or the rest of it.
        """
        engines, problems = deque(self._order()), list[VoiceError]()
        start, skip_frames = 0, 0
        first_try = _Received()
        while engines and not self._voice_is_wrong(engines[0], problems):
            engine = engines[0]
            received = _Received()
            try:
                async with aclosing(self._attempt(engine, text, start, skip_frames, received)) as pieces:
                    async for piece in pieces:
                        yield piece
            except UnknownVoice as exc:
                if self.manner.voice is None:
                    continue  # it was only a preference, and the engine has learnt that it lacks it: ask for the next
                problems.append(exc)
                engines.popleft()
            except (EngineError, CodecError) as problem:
                self.trail.event(
                    EventType.TTS_ERROR, {"engine": engine.name, "code": problem.code, "message": problem.message}
                )
                if received.frames and not skip_frames:
                    first_try, skip_frames = received, received.frames
                    continue
                problems.append(problem)
                furthest = max(first_try, received, key=lambda tried: tried.frames)
                start += furthest.spoken_chars(text[start:], self.manner.speed)
                first_try, skip_frames = _Received(), 0
                engines.popleft()
                self._give_up(engine, problem, engines[0] if engines else None)
            else:
                return
        raise _nobody(problems)

    # --- whom to ask -------------------------------------------------------------------------------------------

    def _order(self) -> list[SpeechEngine]:
        """The engines to ask: those that may have the voice first, the others as a last resort."""
        candidates = self.roster.candidates()
        wanted = self.manner.voice
        if wanted is None:
            return candidates
        able = [engine for engine in candidates if engine.knows_voice(wanted) is not False]
        if not able:
            raise UnknownVoice(f"No engine has a voice named {wanted!r}.")
        return able + [engine for engine in candidates if engine not in able]

    def _voice_is_wrong(self, engine: SpeechEngine, problems: list[VoiceError]) -> bool:
        """Whether the voice is simply not to be had: a stand-in is for engines that fail, not for a wrong name."""
        wanted = self.manner.voice
        refused = bool(problems) and all(isinstance(problem, UnknownVoice) for problem in problems)
        return refused and wanted is not None and engine.knows_voice(wanted) is False

    def _voice_for(self, engine: SpeechEngine) -> str | None:
        wanted = self.manner.voice
        if wanted is not None:
            return wanted if engine.knows_voice(wanted) is not False else None
        return next((name for name in self.manner.preferences if engine.knows_voice(name) is not False), None)

    # --- one attempt -------------------------------------------------------------------------------------------

    async def _attempt(
        self, engine: SpeechEngine, text: str, start: int, skip_frames: int, received: _Received
    ) -> AsyncGenerator[Begin | bytes, None]:
        """Ask one engine for the line from ``start`` on and pass on what comes after ``skip_frames`` frames."""
        request = SpeechRequest(text[start:], self._voice_for(engine), self.manner.speed, self.manner.instructions)
        self.trail.event(EventType.TTS_REQUEST, {"engine": engine.name, "chars": len(request.text)})
        stream = await engine.open(request)
        try:
            begun = skip_frames > 0
            async with aclosing(self._frames(stream, request.text, received)) as blocks:
                async for block in blocks:
                    if not begun:
                        assert received.format is not None
                        yield _begin(start, received.format, stream)
                        begun = True
                    if fresh := _after(block, skip_frames, received):
                        yield fresh
            self.roster.worked(engine)
            self._note_voice(engine, stream)
        finally:
            await asyncio.shield(stream.aclose())

    async def _frames(self, stream: SpeechStream, text: str, received: _Received) -> AsyncGenerator[bytes, None]:
        """The stream's bytes as whole frames, with the format set on ``received`` before the first of them."""
        received.marks = stream.word_marks
        blocks = aiter(stream)
        head = await self._head(stream, blocks, text)
        decoder = choose_decoder(head, stream.media_type, stream.encoding, stream.pcm_format or ENDPOINT_PCM)
        block: bytes | None = head
        while block is not None:
            if frames := decoder.decode(block):
                yield _count(frames, decoder.format, received)
            block = await anext(blocks, None)
        if rest := decoder.flush():
            yield _count(rest, decoder.format, received)

    async def _head(self, stream: SpeechStream, blocks: AsyncIterator[bytes], text: str) -> bytes:
        """The first bytes, enough of them to tell what they are."""
        head = b""
        while len(head) < HEAD_BYTES:
            block = await anext(blocks, None)
            if block is None:
                break
            if not head:
                self.trail.event(EventType.TTS_FIRST_BYTE, {"engine": stream.engine})
            head += block
        if not head and any(char.isalnum() for char in text):
            raise EngineError(f"{stream.engine} sent no audio.")
        return head

    # --- what went wrong ---------------------------------------------------------------------------------------

    def _give_up(self, engine: SpeechEngine, problem: VoiceError, successor: SpeechEngine | None) -> None:
        self.roster.failed(engine, problem)
        if successor is not None:
            self.trail.event(
                EventType.PROVIDER_SWITCH,
                {"from": engine.name, "to": successor.name, "reason": problem.code, "message": problem.message},
            )
            self._note(f"{problem.message} {successor.name} spoke instead.")

    def _note_voice(self, engine: SpeechEngine, stream: SpeechStream) -> None:
        wanted = self.manner.voice
        if wanted is not None and engine.knows_voice(wanted) is False and self._spoke_last != stream.engine:
            self._note(f"The voice {wanted} is not available on {stream.engine}; {stream.voice} spoke.")
        self._spoke_last = stream.engine

    def _note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)


def _begin(start: int, fmt: PcmFormat, stream: SpeechStream) -> Begin:
    return Begin(start, fmt, stream.word_marks, stream.engine, stream.model, stream.voice)


def _count(frames: bytes, fmt: PcmFormat | None, received: _Received) -> bytes:
    assert fmt is not None
    received.format = fmt
    received.frames += fmt.frames(len(frames))
    return frames


def _after(block: bytes, skip_frames: int, received: _Received) -> bytes:
    """What of the newest block lies behind the first ``skip_frames`` frames."""
    assert received.format is not None
    size = (received.frames - skip_frames) * received.format.frame_bytes
    return block if size >= len(block) else block[len(block) - max(0, size) :]


def _nobody(problems: list[VoiceError]) -> VoiceError:
    if len(problems) == 1 or all(isinstance(problem, UnknownVoice) for problem in problems):
        return problems[0]
    return AllEnginesFailed(" ".join(dict.fromkeys(problem.message for problem in problems)))
