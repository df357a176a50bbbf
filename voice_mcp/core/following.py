"""Understanding while somebody still speaks: frames go to a recogniser as they come, and it says what it has so far."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from voice_mcp.errors import EngineError
from voice_mcp.protocols import Recognition, StreamingRecognizer
from voice_mcp.types import RecognitionHints, Transcript

logger = logging.getLogger(__name__)


class Following:
    """One turn as a ``StreamingRecognizer`` takes it. A failure costs the partial results, and no word.

    Args:
        recognizer: Who listens.
        hints: What helps.
        tell: Told what has been understood so far, whenever that changes.
    """

    def __init__(self, recognizer: StreamingRecognizer, hints: RecognitionHints, tell: Callable[[str], None]) -> None:
        self._recognizer = recognizer
        self._hints = hints
        self._tell = tell
        self._frames: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.text = ""
        """What has been understood so far."""
        self._task = asyncio.create_task(self._follow(), name="following words")

    def add(self, frames: bytes) -> None:
        """The next frames of the turn. Returns at once."""
        self._frames.put_nowait(frames)

    async def finish(self) -> Transcript | None:
        """No more will come: what was said; None when it failed on the way."""
        self._frames.put_nowait(None)
        return await self._task

    async def aclose(self) -> None:
        """Nobody needs it any more. May be called twice."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _follow(self) -> Transcript | None:
        try:
            return await self._recognize()
        except EngineError as exc:
            logger.warning("%s", exc.advice)
        except Exception:  # whatever it is, the recording can still be transcribed
            logger.exception("%s failed unexpectedly", self._recognizer.name)
        return None

    async def _recognize(self) -> Transcript:
        recognition: Recognition | None = None
        try:
            recognition = await self._recognizer.open(self._hints)
            while (frames := await self._frames.get()) is not None:
                if (text := await recognition.add(frames)) != self.text:
                    self.text = text
                    self._tell(text)
            return await recognition.finish()
        finally:
            if recognition is not None:
                await asyncio.shield(recognition.aclose())
