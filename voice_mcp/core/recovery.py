"""Whether an engine that failed is back, found out by asking it, and not at the user's expense.

Without this, the first words after a rest would wait for a server that may still not be there.
"""

from __future__ import annotations

import asyncio
from typing import Generic

from voice_mcp.core.failover import E, Roster
from voice_mcp.errors import EngineBusy, EngineRefused, VoiceError

CHECK_AFTER = 0.9
"""The share of a rest after which an engine is looked at: when it ends, the answer is known."""


class Recovery(Generic[E]):
    """Looks after engines that rest.

    Args:
        roster: Tells which do, and is told which are back.
    """

    def __init__(self, roster: Roster[E]) -> None:
        self._roster = roster
        self._watches: dict[int, asyncio.Task[None]] = {}
        roster.on_failure(self._look_after)

    async def settled(self) -> None:
        """Wait until nobody needs to be looked after."""
        if self._watches:
            await asyncio.wait(self._watches.values())

    async def aclose(self) -> None:
        """Look after nobody any more."""
        for watch in self._watches.values():
            watch.cancel()
        await self.settled()

    def _look_after(self, engine: E) -> None:
        # An engine on this machine costs nothing to ask, so it is simply asked when its time has come.
        if not engine.is_remote or id(engine) in self._watches:
            return
        watch = asyncio.create_task(self._watch(engine), name=f"recovery of {engine.name}")
        self._watches[id(engine)] = watch
        watch.add_done_callback(lambda _: self._watches.pop(id(engine)))

    async def _watch(self, engine: E) -> None:
        while (rest_s := self._roster.rests_for_s(engine)) > 0:
            if _said_when(self._roster.last_error(engine)):
                return  # to ask before it is time would only make it worse
            await asyncio.sleep(rest_s * CHECK_AFTER)
            if self._roster.rests_for_s(engine) > 0:
                await self._check(engine)

    async def _check(self, engine: E) -> None:
        try:
            await engine.check()
        except EngineRefused:
            self._roster.wake(engine)  # it is there, and a list is not speech: some keys may not even see one
        except EngineBusy:
            await asyncio.sleep(self._roster.rests_for_s(engine))  # so is this one, and it may speak by then
        except VoiceError as exc:
            self._roster.failed(engine, exc)
        else:
            self._roster.wake(engine)


def _said_when(error: VoiceError | None) -> bool:
    return isinstance(error, EngineBusy) and error.retry_after_s is not None
