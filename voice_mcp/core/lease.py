"""The microphone for as long as one conversation needs it: opened ahead of need, tried again, let go of at once.

    begin ──▶ opening ──▶ open ──▶ aclose ──▶ (begin)
      ▲          │          │
      └─ failed ─┘          └─ keep_from: nothing is forgotten that is heard after that moment

Whoever wants to hear waits with ``have``; what was lost meanwhile is opened again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from voice_mcp.core.open_microphone import Clean, OpenMicrophone
from voice_mcp.core.utterance import Trail
from voice_mcp.events import EventType
from voice_mcp.types import CaptureCondition

Open = Callable[[Clean | None, Callable[[str], None]], Awaitable[OpenMicrophone]]
"""Opens the microphone, given what everything heard goes through, and whom to tell why when it was gone."""


class Lease:
    """At most one open microphone at a time.

    Args:
        open_microphone: Opens it.
        trail: Told when it is open, lost and closed.
    """

    def __init__(self, open_microphone: Open, trail: Trail) -> None:
        self._open_microphone = open_microphone
        self._trail = trail
        self._opening: asyncio.Task[OpenMicrophone] | None = None
        self._microphone: OpenMicrophone | None = None
        self._kept_from_s: float | None = None

    @property
    def is_begun(self) -> bool:
        """Whether it is open, or being opened, or could not be."""
        return self._opening is not None

    @property
    def condition(self) -> CaptureCondition | None:
        """How the microphone is doing; None while it is closed."""
        return self._microphone.condition if self._microphone is not None else None

    def begin(self, clean: Clean | None) -> asyncio.Task[OpenMicrophone]:
        """Open it, unless that was begun already; it is tried again where it failed. Returns at once.

        Args:
            clean: What everything heard goes through.
        """
        if self._opening is None or _has_failed(self._opening):
            self._opening = asyncio.create_task(self._open(clean), name="microphone")
            self._opening.add_done_callback(self._tell_open)
        return self._opening

    async def have(self, clean: Clean | None) -> OpenMicrophone:
        """The open microphone; one that was lost is opened again.

        Raises:
            MicrophoneUnavailable, ListeningUnavailable: There is none that can be opened.
        """
        microphone = await asyncio.shield(self.begin(clean))
        if microphone.is_over:  # it was lost while the message was said, and the answer is only due now
            await asyncio.shield(self.aclose())
            microphone = await asyncio.shield(self.begin(clean))
        return microphone

    def keep_from(self, moment_s: float | None) -> None:
        """Forget nothing that is heard from a moment on, however long it takes until somebody listens.

        Args:
            moment_s: On the clock; it counts for a microphone that is only being opened, too. None: no longer.
        """
        self._kept_from_s = moment_s
        self._mark()

    def let_go(self) -> None:
        """Hear nothing more, however long the rest takes to end: somebody else may want to hear at once."""
        if self._opening is None:
            return
        self._opening.cancel()
        if self._opening.done() and not self._opening.cancelled() and self._opening.exception() is None:
            self._opening.result().close()

    async def aclose(self) -> None:
        """Close it; it is closed when this returns. It can be opened again."""
        opening, self._opening, self._microphone = self._opening, None, None
        if opening is None:
            return
        opening.cancel()  # nobody would listen any more: it is not to open first, to be closed then
        await asyncio.wait([opening])
        if opening.cancelled() or opening.exception() is not None:
            return  # what could not be opened need not be closed
        microphone = opening.result()
        try:
            await microphone.aclose()
        finally:
            self._trail.event(EventType.RECORDING_END, {"seconds": round(microphone.heard_s, 3)})

    async def _open(self, clean: Clean | None) -> OpenMicrophone:
        return await self._open_microphone(clean, self._tell_loss)

    def _tell_open(self, opening: asyncio.Task[OpenMicrophone]) -> None:
        if not opening.cancelled() and opening.exception() is None:
            self._microphone = opening.result() if opening is self._opening else None
            self._trail.event(EventType.RECORDING_START)
            self._mark()

    def _tell_loss(self, reason: str) -> None:
        self._trail.event(EventType.DEVICE_LOST, {"message": reason})

    def _mark(self) -> None:
        if self._microphone is not None and self._kept_from_s is not None:
            self._microphone.tape.mark(self._microphone.tape.frame_at(self._kept_from_s))


def _has_failed(task: asyncio.Task[OpenMicrophone]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is not None
