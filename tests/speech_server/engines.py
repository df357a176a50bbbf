"""Engines that go wrong, and one that tells what became of it. They speak in tones."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from voice_mcp.errors import VoiceError
from voice_mcp.protocols import SpeechStream
from voice_mcp.tts.tone import ToneEngine, ToneStream
from voice_mcp.types import PcmFormat, SpeechRequest, WordMark


class WatchedEngine(ToneEngine):
    """Counts what is taken from it.

    Args:
        pace: As of a ``ToneEngine``.
        failure: Raised after ``good_bytes`` of the first segment.
        good_bytes: None: raised before there is a stream at all.
    """

    def __init__(
        self, pace: float | None = None, *, failure: VoiceError | None = None, good_bytes: int | None = None
    ) -> None:
        super().__init__(pace)
        self._failure = failure
        self._good_bytes = good_bytes
        self.opened = 0
        self.closed = 0
        self.taken_bytes = 0

    async def open(self, request: SpeechRequest) -> SpeechStream:  # type: ignore[override]
        if self._failure is not None and self._good_bytes is None:
            raise self._failure
        self.opened += 1
        return _WatchedStream(self, await super().open(request))

    def fail_when_due(self) -> None:
        """Fail when it is time."""
        if self._failure is not None and self.taken_bytes >= (self._good_bytes or 0):
            raise self._failure


class _WatchedStream:
    engine, model, encoding, media_type = "tone", "", "pcm", ""
    connect_s = 0.0
    word_marks: Sequence[WordMark] = ()

    def __init__(self, owner: WatchedEngine, stream: ToneStream) -> None:
        self._owner = owner
        self._stream = stream
        self._open = True

    @property
    def voice(self) -> str:
        return self._stream.voice

    @property
    def pcm_format(self) -> PcmFormat:
        return self._stream.pcm_format

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for block in self._stream:
            self._owner.fail_when_due()
            self._owner.taken_bytes += len(block)
            yield block

    async def aclose(self) -> None:
        await self._stream.aclose()
        self._owner.closed += self._open
        self._open = False
