"""Rendering a line of speech: text in, frames out, from whichever engine can. No device, no clock of its own.

When an engine fails in the middle of a line it is asked once more; when it fails again, the next one is. Whoever says
the same to the bit, as most engines and two servers of one kind do, goes on at the very frame: what was received before
is skipped. Anybody else goes on from the last word that was spoken for sure, which is exact where the engine said
where its words are, and otherwise a few words early rather than one too late.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace

from voice_mcp.core.casting import Casting, nobody
from voice_mcp.core.discretion import leaves_this_machine
from voice_mcp.core.failover import failure_data
from voice_mcp.core.metrics import Metrics
from voice_mcp.core.phrases import Phrases
from voice_mcp.core.reception import Receiver, Reception
from voice_mcp.core.spans import Span, within
from voice_mcp.core.splice import Splice
from voice_mcp.core.utterance import EventTrail
from voice_mcp.core.words import STAND_IN, Words
from voice_mcp.errors import CodecError, EngineError, EngineStalled, EngineUnreachable, UnknownVoice, VoiceError
from voice_mcp.events import EventType
from voice_mcp.protocols import FrameConverter, MakeMarker, SpeechEngine, SpeechStream
from voice_mcp.types import PcmFormat, SpeechRequest, WordMark

PATIENCE_FACTOR, LEAST_PATIENCE_S = 3.0, 1.0
"""An engine that broke off may take so many times as long to answer again as it took the first time, and at least this
long: the user sits in silence meanwhile."""


@dataclass(frozen=True, slots=True)
class Begin:
    """The frames that follow speak the line from ``start`` on."""

    start: int
    format: PcmFormat
    marks: Sequence[WordMark]
    words: Words | None = None
    """What the engine was given for the line from there on, where that is something else."""


@dataclass(frozen=True, slots=True)
class Again:
    """What follows is asked for anew: it goes on with what came before, but nobody knows when."""


@dataclass(frozen=True, slots=True)
class SpokenBy:
    """Who speaks."""

    engine: str | None = None
    model: str | None = None
    voice: str | None = None


@dataclass(frozen=True, slots=True)
class _Source:
    """An engine, or what was kept of it."""

    engine: SpeechEngine
    kept: SpeechStream | None = None


@dataclass(slots=True)
class _Line:
    """How far a line has come."""

    text: str
    hidden: tuple[Span, ...] = ()
    """What of it must not leave this machine."""
    began_s: float = 0.0
    """What came of the utterance before it, in seconds; the same each time it is asked for."""
    start: int = 0
    """Where in it the rendition begins that is under way."""
    earlier: Reception | None = None
    """The furthest that rendition has come before."""
    received: Reception | None = None
    """What comes of it now."""
    splice: Splice | None = None
    asked: int = 0
    """How often the engine whose turn it is has been asked."""

    def words(self, engine: SpeechEngine, start: int) -> Words:
        """What ``engine`` is given for the text from ``start`` on."""
        hidden = within(self.hidden, start, len(self.text)) if leaves_this_machine(engine) else ()
        return Words.without(self.text[start:], hidden)

    @property
    def furthest(self) -> Reception | None:
        """Whatever came furthest."""
        tried = [reception for reception in (self.earlier, self.received) if reception is not None]
        return max(tried, key=lambda reception: reception.seconds, default=None)

    def begin_again(self) -> None:
        """The same rendition is asked for anew."""
        furthest = self.furthest
        self.earlier = furthest if furthest is not None and furthest.frames else None
        self.received = None
        if self.splice is not None:
            self.splice.restart()

    def reject(self) -> bytes:
        """What comes is another rendition, of which nothing was passed on: ask for the text from the last word on."""
        self.received = None
        if self.asked == 1:
            self.asked = 0  # another engine's first try, which has only shown that it is another
        return self.go_on_from_the_word()

    def go_on_from_the_word(self) -> bytes:
        """Another rendition goes on, of the text from the last word on. Returns what was held back, fading."""
        if (furthest := self.furthest) is not None:
            self.start += furthest.spoken_chars
        self.earlier = self.received = None
        splice, self.splice = self.splice, None
        return splice.break_off() if splice is not None else b""


class _AnotherRendition(Exception):
    """An engine that might have gone on with what came before says it differently."""


class Rendering:
    """Renders the lines of one utterance.

    Args:
        casting: Whom to ask, and for what.
        trail: Told what happens.
        metrics: Told what is measured.
        phrases: What was kept of what is said often, if anything is.
        streaming: Whether frames are passed on while audio arrives, or when all of a line is there.
        make_marker: Makes what marks the sound as synthetic, if it is to be marked.
    """

    def __init__(
        self,
        casting: Casting,
        trail: EventTrail,
        metrics: Metrics,
        *,
        phrases: Phrases | None = None,
        streaming: bool = True,
        make_marker: MakeMarker | None = None,
    ) -> None:
        self._casting = casting
        self._roster = casting.roster
        self._trail = trail
        self._metrics = metrics
        self._phrases = phrases
        self._streaming = streaming
        self._make_marker = make_marker
        self._passed_over: list[str] = []
        self.spoken_by = SpokenBy()
        """Who spoke last; nobody yet, if nothing came."""
        self.notes: list[str] = []
        """What the user should know, one sentence each."""
        self.instructions_beyond = casting.manner.instructions
        """How engines on other machines are told to say it."""

    def expected_format(self) -> PcmFormat:
        """What the first frames will most likely be."""
        return self._casting.order()[0].expected_format

    def prebuffer_s(self, most_s: float) -> float:
        """How much of them to collect before sound starts."""
        return self._roster.prebuffer_s(self._casting.order()[0], most_s)

    async def render(self, text: str, hidden: tuple[Span, ...] = ()) -> AsyncGenerator[Begin | Again | bytes, None]:
        """The frames of ``text``: a ``Begin`` whenever a stretch of sound starts, then whole frames.

        An ``Again`` stands wherever something broke off. What is ``hidden`` is told to no engine on another machine.

        Raises:
            UnknownVoice: Nobody has the voice that was asked for.
            EngineError: Nobody could speak it, or the rest of it.
            CodecError: What the only engine sent cannot be played.
        """
        line, problems = _Line(text, hidden, began_s=self._metrics.received_s), list[VoiceError]()
        sources = deque(await self._sources(line))
        while sources and not self._casting.voice_is_wrong(sources[0].engine, problems):
            source = sources[0]
            voice = self._casting.voice_for(source.engine)
            try:
                async with aclosing(self._attempt(source, line)) as pieces:
                    async for piece in pieces:
                        yield piece
                return
            except _AnotherRendition:
                if fading := line.reject():
                    yield fading
                continue
            except UnknownVoice as exc:
                if self._casting.manner.voice is None and self._casting.voice_for(source.engine) != voice:
                    line.asked = 0
                    continue  # it was only a preference, and the engine has learnt that it lacks it: ask for the next
                problem: VoiceError = exc
            except (EngineError, CodecError) as exc:
                yield Again()
                if self._may_try_again(source, line, exc, is_last=len(sources) == 1):
                    continue
                problem = exc
            problems.append(problem)
            sources.popleft()
            if fading := self._hand_over(line, source, voice, sources):
                yield fading
            self._pass_on(source, problem, sources)
        raise nobody(problems)

    def _hand_over(self, line: _Line, source: _Source, voice: str | None, successors: Sequence[_Source]) -> bytes:
        """The next engine takes over: in the same rendition if that is possible. Returns what fades out if not."""
        line.asked = 0
        engine, other = source.engine, successors[0].engine if successors else source.engine
        # Two servers with the same model and voice may say it in the very same way.
        alike = other is not engine and engine.model == other.model and engine.is_remote and other.is_remote
        alike = alike and line.words(engine, line.start) == line.words(other, line.start)
        begun = line.furthest is not None and line.furthest.frames > 0
        if begun and alike and voice is not None and self._casting.voice_for(other) == voice:
            line.begin_again()
            return b""
        return line.go_on_from_the_word()

    def _may_try_again(self, source: _Source, line: _Line, exc: VoiceError, *, is_last: bool) -> bool:
        """An engine failed: whether it gets a second chance.

        It does when it had begun to speak. One that was only silent gets it when there is nobody else: another engine
        is sooner heard than the second silence of this one.
        """
        self._trail.event(EventType.TTS_ERROR, failure_data(source.engine, exc))
        if source.kept is not None:
            return False
        begun = line.received is not None and line.received.frames > 0
        lost = isinstance(exc, EngineStalled) or (isinstance(exc, EngineUnreachable) and exc.hung_up)
        if line.asked == 1 and (begun or (lost and is_last)):
            line.begin_again()
            return True
        self._roster.failed(source.engine, exc)
        return False

    async def _sources(self, line: _Line) -> list[_Source]:
        """Whom to ask, in order. A phrase that is at hand comes first: it needs nobody to be awake."""
        sources = [_Source(engine) for engine in self._casting.order()]
        if self._phrases is not None and not line.hidden:
            for engine in self._casting.preferred():
                kept = await self._phrases.find(engine, self._request(engine, line.text))
                if kept is not None:
                    return [_Source(engine, kept), *sources]
        return sources

    # --- one attempt -------------------------------------------------------------------------------------------

    async def _attempt(self, source: _Source, line: _Line) -> AsyncGenerator[Begin | bytes, None]:
        """Have the line spoken from where it stands, and pass on what comes after what came earlier."""
        words = line.words(source.engine, line.start)
        request = self._request(source.engine, words.text)
        line.asked += 1
        deadline_s = self._deadline(line.earlier) if line.asked > 1 else None
        resumes = int(line.asked > 1)
        stream, line.received = None, self._asked(source, request, again=line.asked > 1 or line.earlier is not None)
        line.received.words = words if words.cuts else None
        try:
            async with _until(deadline_s, source.engine):
                stream = await self._open(source, request, line)
            async with aclosing(self._frames(source, stream, line)) as blocks:
                async with _until(deadline_s, source.engine):
                    block = await self._opening(blocks, line)
                if block:
                    async for piece in self._beginning(source, stream, line):
                        yield piece
                while block:
                    assert line.splice is not None
                    if fresh := line.splice.push(block):
                        self._metrics.resumes += resumes
                        resumes = 0
                        yield fresh
                    block = await anext(blocks, b"")
            if line.splice is not None and (rest := line.splice.end()):
                yield rest
            self._came_to_its_end(source, stream, line.received)
        finally:
            self._account(source, line.received)
            if stream is not None:
                await asyncio.shield(stream.aclose())

    async def _opening(self, blocks: AsyncIterator[bytes], line: _Line) -> bytes:
        """The first frames: where something broke off, enough of them to tell that this is the same rendition.

        Raises:
            _AnotherRendition: It is not.
        """
        opening = await anext(blocks, b"")
        if line.earlier is None:
            return opening
        assert line.received is not None
        while (alike := line.received.opens_like(line.earlier)) is None:
            block = await anext(blocks, b"")
            if not block:
                break
            opening += block
        if not alike:
            raise _AnotherRendition
        return opening

    def _request(self, engine: SpeechEngine, text: str) -> SpeechRequest:
        request = self._casting.request(engine, text)
        return replace(request, instructions=self.instructions_beyond) if leaves_this_machine(engine) else request

    def _asked(self, source: _Source, request: SpeechRequest, *, again: bool) -> Reception:
        data: dict[str, object] = {"engine": source.engine.name, "chars": len(request.text)}
        if source.engine.is_remote and source.kept is None:
            data["host"] = source.engine.name
        if again:
            data["again"] = True
        if source.kept is not None:
            data["cached"] = True
        self._trail.event(EventType.TTS_REQUEST, data)
        now_s = self._roster.clock.now()
        if self._metrics.first.request_s is None:
            self._metrics.first.request_s = now_s
        return Reception(request.text, request.speed, now_s)

    async def _open(self, source: _Source, request: SpeechRequest, line: _Line) -> SpeechStream:
        if source.kept is not None:
            return source.kept
        stream = await source.engine.open(request)
        if self._phrases is not None and line.start == 0 and not line.hidden:
            return self._phrases.keeping(source.engine, request, stream)
        return stream

    def _frames(self, source: _Source, stream: SpeechStream, line: _Line) -> AsyncGenerator[bytes, None]:
        assert line.received is not None

        def tell_first_byte() -> None:
            self._trail.event(EventType.TTS_FIRST_BYTE, {"engine": stream.engine})

        receiver = Receiver(
            stream,
            source.engine.expected_format,
            line.received,
            self._roster.clock,
            tell_first_byte,
            streaming=self._streaming,
        )
        frames = receiver.frames()
        if (make_marker := self._make_marker) is None:
            return frames
        return _marked(frames, line.received, lambda fmt: make_marker(fmt, line.began_s))

    async def _beginning(
        self, source: _Source, stream: SpeechStream, line: _Line
    ) -> AsyncGenerator[Begin | bytes, None]:
        """The first frames are there: say what they are, unless they go on with the stretch of sound before them."""
        received, earlier = line.received, line.earlier
        assert received is not None and received.format is not None
        self._spoke(source.engine, stream)
        if received.words is not None:
            self.note(f"What looks like a secret was not sent to {source.engine.name}: it said {STAND_IN!r} instead.")
        first, opens = self._metrics.first, self._metrics.first.frame_s is None
        if opens:
            first.byte_s, first.frame_s, first.connect_s = received.byte_s, received.frame_s, stream.connect_s
        if line.splice is not None and line.splice.format == received.format:
            return
        if line.splice is not None:
            yield line.splice.break_off()
        line.splice = Splice(received.format, earlier.seconds if earlier is not None else 0.0, opens=opens)
        said = earlier.spoken_chars if earlier is not None else 0
        yield self._begin(source.engine, line, line.start + said, stream.word_marks)

    def _begin(self, engine: SpeechEngine, line: _Line, start: int, marks: Sequence[WordMark]) -> Begin:
        assert line.received is not None and line.received.format is not None
        words = line.words(engine, start)
        return Begin(start, line.received.format, words.marks(marks), words if words.cuts else None)

    def _came_to_its_end(self, source: _Source, stream: SpeechStream, received: Reception) -> None:
        if source.kept is not None:
            self._metrics.kept += 1
            return
        self._roster.worked(source.engine)
        if (pace := received.jitter.pace) is not None:
            self._roster.came(source.engine, pace, received.jitter.reserve_s)
        if self._phrases is not None and received.is_plausible:
            self._phrases.keep(stream)

    def _account(self, source: _Source, received: Reception) -> None:
        """Whatever became of it, it came."""
        metrics = self._metrics
        if source.engine.is_remote and source.kept is None:
            data = {"host": source.engine.name, "bytes": received.size_bytes, "seconds": round(received.seconds, 3)}
            self._trail.event(EventType.TTS_RECEIVED, data)
        if received.frames:
            metrics.requests += 1
        metrics.received_s += received.seconds
        metrics.decode_s += received.decode_s
        metrics.decode_errors += received.decode_errors
        if (pace := received.jitter.pace) is not None and source.kept is None:
            metrics.paces.append(pace)
        if received.decode_errors:
            self.note(f"{source.engine.name} sent damaged audio; what could be decoded was played.")

    def _deadline(self, earlier: Reception | None) -> float | None:
        """By when an engine must have gone on that broke off, on the event loop's clock; None before that."""
        if earlier is None:
            return None
        answer_s = (earlier.byte_s or earlier.asked_s) - earlier.asked_s
        return asyncio.get_running_loop().time() + max(LEAST_PATIENCE_S, PATIENCE_FACTOR * answer_s)

    # --- what went wrong ---------------------------------------------------------------------------------------

    def _pass_on(self, source: _Source, problem: VoiceError, successors: Sequence[_Source]) -> None:
        if source.kept is not None:
            return  # what was kept was no good, so it is said again, by whoever said it then
        self._passed_over.append(problem.message)
        if successors:
            self._metrics.switches += 1
            to = successors[0].engine.name
            self._trail.event(
                EventType.PROVIDER_SWITCH,
                {"from": source.engine.name, "to": to, "reason": problem.code, "message": problem.message},
            )

    def _spoke(self, engine: SpeechEngine, stream: SpeechStream) -> None:
        """Somebody speaks: say it if it is not who, or not the voice, that was wanted."""
        self.spoken_by = SpokenBy(stream.engine, stream.model, stream.voice)
        if self._passed_over:
            self.note(" ".join((*dict.fromkeys(self._passed_over), f"{stream.engine} spoke instead.")))
            self._passed_over.clear()
        if not self._casting.has_voice(engine):
            wanted = self._casting.manner.voice
            self.note(f"The voice {wanted} is not available on {stream.engine}; {stream.voice} spoke.")

    def note(self, sentence: str) -> None:
        """Add to what the user should know; what is known already is not said again."""
        if sentence not in self.notes:
            self.notes.append(sentence)


async def _marked(
    blocks: AsyncGenerator[bytes, None], received: Reception, make: Callable[[PcmFormat], FrameConverter]
) -> AsyncGenerator[bytes, None]:
    """The same frames, marked: a few milliseconds later, as many in the end."""
    marker: FrameConverter | None = None
    async with aclosing(blocks):
        async for block in blocks:
            if marker is None:
                assert received.format is not None
                marker = make(received.format)
            if frames := marker.convert(block):
                yield frames
    if marker is not None and (rest := marker.flush()):
        yield rest


@asynccontextmanager
async def _until(deadline_s: float | None, engine: SpeechEngine) -> AsyncGenerator[None, None]:
    """Bound what is done inside by a moment of the event loop's clock; None bounds nothing.

    Raises:
        EngineStalled: It took longer.
    """
    limit = asyncio.timeout_at(deadline_s)
    try:
        async with limit:
            yield
    except TimeoutError as exc:
        if not limit.expired():
            raise
        raise EngineStalled(f"{engine.name} broke off, was asked again and did not answer in time.") from exc
