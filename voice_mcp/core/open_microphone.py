"""An open microphone, and what it hears while several look at it.

Opening a device takes a moment, and whoever answers quickly is not to lose a syllable to that: the microphone is opened
ahead of need, what it hears runs onto a tape, and a turn begins wherever on the tape it began.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from voice_mcp.core.tape import Tape
from voice_mcp.errors import MicrophoneUnavailable, VoiceError
from voice_mcp.protocols import Capture, Microphone
from voice_mcp.types import LISTENING_FORMAT, CaptureCondition, CapturedSound

logger = logging.getLogger(__name__)

TRY_AGAIN = "Call again; if it happens again, what the server wrote to its standard error tells why."

Clean = Callable[[CapturedSound], CapturedSound]
"""Takes what was heard; gives as many frames, without what is not the user's voice."""


class OpenMicrophone:
    """One opening of the microphone. Made by ``OpenMicrophone.begin``; close it in any case.

    Args:
        capture: The open microphone.
        clean: What everything goes through before it is on the tape.
        on_loss: Told why, when the microphone was gone for a while and is back.
    """

    def __init__(
        self, capture: Capture, clean: Clean | None = None, on_loss: Callable[[str], None] | None = None
    ) -> None:
        self.tape = Tape()
        self._capture = capture
        self._clean = clean
        self._on_loss = on_loss
        self._more = asyncio.Condition()
        self._ended = self._is_lost = False
        self._problem: VoiceError | None = None
        self._reader = asyncio.create_task(self._read(), name="open-microphone")

    @classmethod
    async def begin(
        cls, microphone: Microphone, clean: Clean | None = None, on_loss: Callable[[str], None] | None = None
    ) -> OpenMicrophone:
        """Open the microphone.

        Raises:
            MicrophoneUnavailable: There is none that can be opened.
        """
        return cls(await microphone.open(), clean, on_loss)

    @property
    def condition(self) -> CaptureCondition:
        """How the microphone is doing."""
        return self._capture.condition

    @property
    def heard_s(self) -> float:
        """Seconds of sound it has heard."""
        return LISTENING_FORMAT.seconds(self.tape.end)

    @property
    def is_over(self) -> bool:
        """Whether it hears nothing more: it is closed, or gone."""
        return self._ended

    async def after(self, frame: int) -> bytes:
        """What comes from frame number ``frame`` on; waits until there is something, and is empty at the end.

        Raises:
            MicrophoneUnavailable: The microphone is gone.
            ValueError: That frame is forgotten: nobody has marked the tape.
        """
        if frame < self.tape.first:
            raise ValueError(f"frame {frame} is forgotten: the first one left is {self.tape.first}")
        async with self._more:
            await self._more.wait_for(lambda: self.tape.end > frame or self._ended)
        if self.tape.end > frame:
            return self.tape.read(frame)
        if self._problem is not None:
            raise self._problem
        return b""

    def close(self) -> None:
        """Hear nothing more; ``aclose`` waits until it is closed. Returns at once."""
        self._capture.close()

    async def aclose(self) -> None:
        """Close the microphone; it is closed when this returns. May be called twice."""
        self._reader.cancel()
        try:
            await asyncio.wait([self._reader])
        finally:
            await self._capture.aclose()

    async def _read(self) -> None:
        try:
            async for sound in self._capture:
                if sound.lost and not self._is_lost and self._on_loss is not None:
                    self._on_loss(sound.lost)
                self._is_lost = bool(sound.lost)
                self.tape.add(replace(self._clean(sound), lost=sound.lost) if self._clean is not None else sound)
                async with self._more:
                    self._more.notify_all()
        except VoiceError as exc:
            self._problem = exc
        except Exception:  # a mistake of ours, or of a library: whoever listens is told, and does not hear silence
            logger.exception("what the microphone hears cannot be taken")
            self._problem = MicrophoneUnavailable(
                "What the microphone hears cannot be taken: this program failed unexpectedly.", hint=TRY_AGAIN
            )
        finally:
            self._ended = True
            async with self._more:
                self._more.notify_all()
