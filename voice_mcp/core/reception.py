"""One request's audio while it comes: bytes in, whole frames out, and what there is to know of them."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from voice_mcp.audio.downmix import downmix
from voice_mcp.clock import Clock
from voice_mcp.codecs.detect import choose_decoder, undecided
from voice_mcp.codecs.whole import WholeFileDecoder
from voice_mcp.core.timeline import Run, expected_seconds, spoken_chars
from voice_mcp.core.words import Words
from voice_mcp.errors import CodecError, EngineError
from voice_mcp.playback.jitter import BURST_S, Jitter
from voice_mcp.protocols import Decoder, SpeechStream
from voice_mcp.types import PcmFormat, WordMark

MOST_CHANNELS = 2
"""Every device has two; speech in more is mixed down."""
LEAD_S = 1.0
"""So far ahead the ear sets the pace, through what it leaves unread, and no longer the sender."""
OPENING_S = 0.25
"""Of the first sound so much is remembered: no two renditions that differ have as much in common."""
NOISE_FLOOR = 104
"""Peak above which a sample counts as sound: -50 dBFS of 16 bits. All renditions begin with much the same silence."""
LEAST_SHARE = 0.4
"""The share of the expected length below which something is missing: a connection may end early and look complete."""
BOUND_FACTOR, LEAST_BOUND_S = 10.0, 60.0
"""A line may last so many times as long as expected, and this many seconds more."""


@dataclass(slots=True)
class Reception:
    """What has come of one request for ``text``, which is spoken at ``speed``."""

    text: str
    speed: float
    asked_s: float
    """When it was asked for, on the clock of ``Clock.now``."""
    byte_s: float | None = None
    """When its first bytes came."""
    frame_s: float | None = None
    """When they had become frames."""
    opening_s: float = 0.0
    """How much came with the first of them."""
    ahead: bool = False
    """Whether it has ever been ``LEAD_S`` ahead of the ear."""
    frames: int = 0
    format: PcmFormat | None = None
    """Set before the first frames are given out."""
    marks: Sequence[WordMark] = ()
    silent_frames: int = 0
    """How many frames came before the first sound."""
    opening: bytes = b""
    """The first ``OPENING_S`` seconds from there on, as far as they have come."""
    jitter: Jitter = field(default_factory=Jitter)
    """How evenly it comes, judged until ``LEAD_S`` seconds are ahead of the ear, and only while it is read: where the
    sentences before are still to be heard, the ear sets the pace from the first frame on."""
    decode_s: float = 0.0
    decode_errors: int = 0
    size_bytes: int = 0
    """Bytes that came, as they came."""
    words: Words | None = None
    """How ``text`` came of what is to be said; None where it is that."""

    @property
    def seconds(self) -> float:
        """How long what came lasts."""
        return self.format.seconds(self.frames) if self.format is not None else 0.0

    @property
    def spoken_chars(self) -> int:
        """How much of what is to be said is spoken for sure."""
        said = spoken_chars(Run(self.text, 0.0, self.marks), self.seconds, speed=self.speed)
        return said if self.words is None else self.words.origin(said)

    @property
    def is_plausible(self) -> bool:
        """Whether it is undamaged, and not so short that only a part of the text can be in it."""
        least_s = LEAST_SHARE * expected_seconds(len(self.text), speed=self.speed)
        return not self.decode_errors and self.seconds >= least_s

    def opens_like(self, other: Reception) -> bool | None:
        """Whether this is the same rendition as ``other``, to the bit; None while too little has come to tell."""
        size = min(len(self.opening), len(other.opening))
        if not other.opening or self.format != other.format or self.opening[:size] != other.opening[:size]:
            return False
        if size and self.silent_frames != other.silent_frames:
            return False
        return True if size == len(other.opening) else None

    def _remember_opening(self, frames: bytes, fmt: PcmFormat) -> None:
        if not self.opening:
            samples = array("h", frames)
            first = next((at for at, sample in enumerate(samples) if abs(sample) >= NOISE_FLOOR), len(samples))
            silent = first // fmt.channels
            self.silent_frames += silent
            frames = frames[silent * fmt.frame_bytes :]
        missing = fmt.frames_in(OPENING_S) * fmt.frame_bytes - len(self.opening)
        self.opening += frames[:missing]

    def took(self, frames: bytes, fmt: PcmFormat, now_s: float, *, unread_s: float = 0.0) -> None:
        """These frames came just now; for ``unread_s`` of the time before nobody took any."""
        self.format = fmt
        count = fmt.frames(len(frames))
        self.frames += count
        if len(self.opening) < fmt.frames_in(OPENING_S) * fmt.frame_bytes:
            self._remember_opening(frames, fmt)
        self.came(fmt.seconds(count), now_s, unread_s=unread_s)

    def came(self, audio_s: float, now_s: float, *, unread_s: float = 0.0) -> None:
        """So many seconds of frames came just now; for ``unread_s`` of the time before nobody took any."""
        if self.frame_s is None:
            self.frame_s, self.opening_s = now_s, audio_s
        if not self.ahead:
            self.jitter.add(audio_s, now_s, excused_s=unread_s if unread_s > BURST_S else 0.0)
            self.ahead = self.seconds - self.opening_s - (now_s - self.frame_s) > LEAD_S

    @property
    def most_s(self) -> float:
        """No sentence lasts longer, whatever a server sends."""
        return LEAST_BOUND_S + BOUND_FACTOR * expected_seconds(len(self.text), speed=self.speed)


class Receiver:
    """Takes one stream.

    Args:
        stream: What comes.
        expected: What its bytes are if nobody says otherwise.
        reception: Where to keep what there is to know.
        clock: What time is told by.
        on_first_byte: Called when something has come.
        streaming: Whether frames are given out while bytes come, or when all have.
    """

    def __init__(
        self,
        stream: SpeechStream,
        expected: PcmFormat,
        reception: Reception,
        clock: Clock,
        on_first_byte: Callable[[], None],
        *,
        streaming: bool,
    ) -> None:
        self._stream = stream
        self._expected = expected
        self._reception = reception
        self._clock = clock
        self._on_first_byte = on_first_byte
        self._streaming = streaming
        self._unread_s = 0.0  # since the frames before were given out

    async def frames(self) -> AsyncGenerator[bytes, None]:
        """Whole frames, in order.

        Raises:
            EngineError: The stream failed, or brought nothing, or far too much.
            CodecError: Its bytes cannot be played.
        """
        reception = self._reception
        reception.marks = self._stream.word_marks
        blocks = aiter(self._stream)
        head = await self._head(blocks)
        decoder = self._decoder(head)
        try:
            block: bytes | None = head
            while block is not None:
                if frames := self._timed(decoder, block):
                    counted, given_s = self._count(frames, decoder), self._clock.now()
                    yield counted
                    self._unread_s = self._clock.now() - given_s
                block = await anext(blocks, None)
                reception.size_bytes += len(block or b"")
            began_s = self._clock.now()
            # In a thread: where all of it was collected, all of it is decoded now.
            rest = await asyncio.to_thread(decoder.flush)
            reception.decode_s += self._clock.now() - began_s
            if rest:
                yield self._count(rest, decoder)
            if not reception.frames and any(char.isalnum() for char in reception.text):
                raise EngineError(f"{self._stream.engine} sent no audio.")
        except CodecError as exc:
            raise exc.of(self._stream.engine) from exc.__cause__
        finally:
            reception.decode_errors = decoder.decode_errors

    async def _head(self, blocks: AsyncIterator[bytes]) -> bytes:
        """The first bytes, enough of them to tell what they are."""
        head = b""
        while undecided(head, self._stream.media_type, self._stream.encoding):
            block = await anext(blocks, None)
            if block is None:
                break
            if block and self._reception.byte_s is None:
                self._reception.byte_s = self._clock.now()
                self._on_first_byte()
            head += block
            self._reception.size_bytes += len(block)
        return head

    def _decoder(self, head: bytes) -> Decoder:
        stream = self._stream
        decoder = choose_decoder(head, stream.media_type, stream.encoding, stream.pcm_format or self._expected)
        return decoder if self._streaming else WholeFileDecoder(decoder)

    def _timed(self, decoder: Decoder, block: bytes) -> bytes:
        began_s = self._clock.now()
        frames = decoder.decode(block)
        self._reception.decode_s += self._clock.now() - began_s
        return frames

    def _count(self, frames: bytes, decoder: Decoder) -> bytes:
        fmt, reception = decoder.format, self._reception
        assert fmt is not None
        if fmt.channels > MOST_CHANNELS:
            frames, fmt = downmix(frames, fmt.channels), PcmFormat(fmt.rate_hz, 1)
        reception.took(frames, fmt, self._clock.now(), unread_s=self._unread_s)
        if reception.seconds > reception.most_s:
            raise EngineError(
                f"{self._stream.engine} sent {reception.seconds:.0f} s of audio for {len(reception.text)} characters."
            )
        return frames
