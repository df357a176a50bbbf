"""Rendering a line of speech: text in, frames out, from whichever engine can. No device, no clock of its own.

When an engine fails in the middle of a line it is asked once more, and what was already received is skipped. When it
fails again, the next engine goes on from the last word that was spoken for sure: exactly there where the engine said
where its words are, and otherwise a few words early rather than one too late.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from voice_mcp.audio.downmix import downmix
from voice_mcp.codecs.detect import choose_decoder, undecided
from voice_mcp.codecs.whole import WholeFileDecoder
from voice_mcp.core.failover import Roster
from voice_mcp.core.timeline import Run, expected_seconds, spoken_chars
from voice_mcp.core.utterance import Trail
from voice_mcp.errors import AllEnginesFailed, CodecError, EngineError, UnknownVoice, VoiceError
from voice_mcp.events import EventType
from voice_mcp.protocols import SpeechEngine, SpeechStream
from voice_mcp.types import PcmFormat, SpeechRequest, WordMark

MOST_CHANNELS = 2
"""Every device has two; speech in more is mixed down."""
SLOW_SPEECH = 0.6
"""The share of the usual pace at which the slowest voices speak; nobody who goes on from there leaves out a word."""
PACE_LEAST_S, PACE_MOST_S = 0.1, 1.0
"""Seconds of audio that say something of an engine's pace."""
BOUND_FACTOR, LEAST_BOUND_S = 10.0, 60.0
"""A line may last so many times as long as expected, and this many seconds more."""


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
class _Pace:
    """How fast audio comes, judged by its first second: later the ear sets the pace, through what it leaves unread."""

    began_s: float = 0.0
    first_s: float | None = None
    value: float | None = None
    """Times real time; None while too little has come."""

    def add(self, received_s: float, now_s: float) -> None:
        """So much has come by now."""
        if self.first_s is None:
            self.began_s, self.first_s = now_s, received_s
        elif received_s - self.first_s >= PACE_LEAST_S and received_s <= PACE_MOST_S:
            self.value = (received_s - self.first_s) / max(now_s - self.began_s, 1e-4)


@dataclass(slots=True)
class _Received:
    """What has come of one request."""

    frames: int = 0
    format: PcmFormat | None = None
    marks: Sequence[WordMark] = ()
    pace: _Pace = field(default_factory=_Pace)

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.format.seconds(self.frames) if self.format is not None else 0.0

    def spoken_chars(self, text: str, speed: float) -> int:
        """How much of ``text`` these frames speak for sure: where an engine does not say, a slow one is assumed."""
        return spoken_chars(Run(text, 0.0, self.marks), self.seconds, speed=speed * SLOW_SPEECH)


@dataclass(slots=True)
class Rendering:
    """Renders the lines of one utterance.

    Args:
        roster: Whom to ask.
        manner: How to say it.
        trail: Told what happens.
        streaming: Whether frames are passed on while audio arrives, or when all of a line is there.
    """

    roster: Roster
    manner: Manner
    trail: Trail
    streaming: bool = True
    notes: list[str] = field(default_factory=list)
    """What the user should know, one sentence each."""
    decode_errors: int = 0
    """Damaged stretches that were skipped or concealed."""
    _passed_over: list[str] = field(default_factory=list)

    def expected_format(self) -> PcmFormat:
        """What the first frames will most likely be."""
        return self._order()[0].expected_format

    def prebuffer_s(self, most_s: float) -> float:
        """How much of them to collect before sound starts."""
        return self.roster.prebuffer_s(self._order()[0], most_s)

    async def render(self, text: str) -> AsyncGenerator[Begin | bytes, None]:
        """The frames of ``text``: a ``Begin`` whenever an engine starts, then whole frames.

        Raises:
            UnknownVoice: Nobody has the voice that was asked for.
            EngineError: Nobody could speak it, or the rest of it.
            CodecError: What the only engine sent cannot be played.
        """
        engines, problems = deque(self._order()), list[VoiceError]()
        start, earlier = 0, _Received()
        while engines and not self._voice_is_wrong(engines[0], problems):
            engine, voice, received = engines[0], self._voice_for(engines[0]), _Received()
            try:
                async with aclosing(self._attempt(engine, text, start, earlier, received)) as pieces:
                    async for piece in pieces:
                        yield piece
                return
            except UnknownVoice as exc:
                if self.manner.voice is None and self._voice_for(engine) != voice:
                    continue  # it was only a preference, and the engine has learnt that it lacks it: ask for the next
                problem: VoiceError = exc
            except (EngineError, CodecError) as exc:
                self._tell_failure(engine, exc)
                if received.frames and not earlier.frames:
                    earlier = received
                    continue
                self.roster.failed(engine, exc)
                problem = exc
            problems.append(problem)
            furthest = max(earlier, received, key=lambda tried: tried.seconds)
            start += furthest.spoken_chars(text[start:], self.manner.speed)
            earlier = _Received()
            engines.popleft()
            self._pass_on(engine, problem, engines)
        raise _nobody(problems)

    # --- whom to ask -------------------------------------------------------------------------------------------

    def _order(self) -> list[SpeechEngine]:
        """The engines to ask: those that may have the voice first, the others as a last resort."""
        candidates = self.roster.candidates()
        wanted = self.manner.voice
        if wanted is None:
            return candidates
        # Judged over all of them: one that is resting may have the voice, and then a stand-in is better than an error.
        if all(engine.knows_voice(wanted) is False for engine in self.roster.engines):
            raise UnknownVoice(f"No engine has a voice named {wanted!r}.")
        able = [engine for engine in candidates if engine.knows_voice(wanted) is not False]
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
        self, engine: SpeechEngine, text: str, start: int, earlier: _Received, received: _Received
    ) -> AsyncGenerator[Begin | bytes, None]:
        """Ask one engine for the line from ``start`` on, and pass on what comes after what came ``earlier``."""
        request = SpeechRequest(text[start:], self._voice_for(engine), self.manner.speed, self.manner.instructions)
        self.trail.event(EventType.TTS_REQUEST, {"engine": engine.name, "chars": len(request.text)})
        stream = await engine.open(request)
        try:
            begun = False
            async with aclosing(self._frames(engine, stream, request.text, received)) as blocks:
                async for block in blocks:
                    assert received.format is not None
                    # The same shape as before: the same stretch of sound goes on, and needs no new beginning.
                    if not begun and received.format != earlier.format:
                        said = earlier.spoken_chars(request.text, self.manner.speed)
                        yield Begin(
                            start + said, received.format, stream.word_marks, stream.engine, stream.model, stream.voice
                        )
                    if not begun:
                        self._spoke(engine, stream)
                    begun = True
                    received.pace.add(received.seconds, self.roster.clock.now())
                    if fresh := _after(block, earlier, received):
                        yield fresh
            self.roster.worked(engine)
            if (pace := received.pace.value) is not None:
                self.roster.came_at(engine, pace)
        finally:
            await asyncio.shield(stream.aclose())

    async def _frames(
        self, engine: SpeechEngine, stream: SpeechStream, text: str, received: _Received
    ) -> AsyncGenerator[bytes, None]:
        """The stream's bytes as whole frames, with the format set on ``received`` before the first of them."""
        received.marks = stream.word_marks
        blocks = aiter(stream)
        head = await self._head(stream, blocks)
        decoder = choose_decoder(head, stream.media_type, stream.encoding, stream.pcm_format or engine.expected_format)
        if not self.streaming:
            decoder = WholeFileDecoder(decoder)
        try:
            block: bytes | None = head
            while block is not None:
                if frames := decoder.decode(block):
                    yield _count(frames, decoder.format, received)
                    self._bound(stream, text, received)
                block = await anext(blocks, None)
            # In a thread: where all of it was collected, all of it is decoded now.
            if rest := await asyncio.to_thread(decoder.flush):
                yield _count(rest, decoder.format, received)
            if not received.frames and _has_words(text):
                raise EngineError(f"{stream.engine} sent no audio.")
        finally:
            self._note_damage(stream, decoder.decode_errors)

    async def _head(self, stream: SpeechStream, blocks: AsyncIterator[bytes]) -> bytes:
        """The first bytes, enough of them to tell what they are."""
        head = b""
        while undecided(head, stream.media_type, stream.encoding):
            block = await anext(blocks, None)
            if block is None:
                break
            if not head:
                self.trail.event(EventType.TTS_FIRST_BYTE, {"engine": stream.engine})
            head += block
        return head

    # --- what went wrong ---------------------------------------------------------------------------------------

    def _bound(self, stream: SpeechStream, text: str, received: _Received) -> None:
        """No sentence lasts for ever, whatever a server sends."""
        most_s = LEAST_BOUND_S + BOUND_FACTOR * expected_seconds(len(text), speed=self.manner.speed)
        if received.seconds > most_s:
            raise EngineError(f"{stream.engine} sent {received.seconds:.0f} s of audio for {len(text)} characters.")

    def _tell_failure(self, engine: SpeechEngine, exc: VoiceError) -> None:
        self.trail.event(EventType.TTS_ERROR, {"engine": engine.name, "code": exc.code, "message": exc.message})

    def _pass_on(self, engine: SpeechEngine, problem: VoiceError, successors: Sequence[SpeechEngine]) -> None:
        self._passed_over.append(problem.message)
        if successors:
            self.trail.event(
                EventType.PROVIDER_SWITCH,
                {"from": engine.name, "to": successors[0].name, "reason": problem.code, "message": problem.message},
            )

    def _spoke(self, engine: SpeechEngine, stream: SpeechStream) -> None:
        """Somebody speaks: say it if it is not who, or not the voice, that was wanted."""
        if self._passed_over:
            self.note(" ".join((*dict.fromkeys(self._passed_over), f"{stream.engine} spoke instead.")))
            self._passed_over.clear()
        wanted = self.manner.voice
        if wanted is not None and engine.knows_voice(wanted) is False:
            self.note(f"The voice {wanted} is not available on {stream.engine}; {stream.voice} spoke.")

    def _note_damage(self, stream: SpeechStream, errors: int) -> None:
        if errors:
            self.decode_errors += errors
            self.note(f"{stream.engine} sent damaged audio; what could be decoded was played.")

    def note(self, sentence: str) -> None:
        """Add to what the user should know; what is known already is not said again."""
        if sentence not in self.notes:
            self.notes.append(sentence)


def _count(frames: bytes, fmt: PcmFormat | None, received: _Received) -> bytes:
    assert fmt is not None
    if fmt.channels > MOST_CHANNELS:
        frames, fmt = downmix(frames, fmt.channels), PcmFormat(fmt.rate_hz, 1)
    received.format = fmt
    received.frames += fmt.frames(len(frames))
    return frames


def _after(block: bytes, earlier: _Received, received: _Received) -> bytes:
    """What of the newest block lies behind what came earlier."""
    assert received.format is not None
    fresh_frames = received.frames - received.format.frames_in(earlier.seconds)
    size = fresh_frames * received.format.frame_bytes
    return block if size >= len(block) else block[len(block) - max(0, size) :]


def _has_words(text: str) -> bool:
    return any(char.isalnum() for char in text)


def _nobody(problems: list[VoiceError]) -> VoiceError:
    if len(problems) == 1 or all(isinstance(problem, UnknownVoice) for problem in problems):
        return problems[0]
    return AllEnginesFailed(" ".join(dict.fromkeys(problem.message for problem in problems)))
