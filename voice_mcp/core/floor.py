"""The floor: one voice at a time in the room, whichever process it belongs to.

Who comes first is the room's to know (``protocols.Room``); here is what the owner of a claim does about it: waits, is
told how many come first, gives up or is given up, speaks, or holds the floor for a dialogue.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from voice_mcp.clock import Clock, SystemClock
from voice_mcp.core.room import OwnRoom
from voice_mcp.protocols import Ducking, Room
from voice_mcp.types import Claim, Urgency

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 0.02
"""How often the next in the row looks whether it is its turn, where a process cannot be told by another; the one after
it looks half as often."""
LOOK_AT_LEAST_EVERY_S = 0.2
"""How often the others look; those in front of them may all have died. With fifty of them more would be felt."""
SHOW_EVERY_S = 1.0
"""How often those look who wait for their own process: nothing can have changed, but others see that they are there."""
LAST_SOUND_S = 0.06
"""What the audio process of a server that was killed gets to fall silent, before the next one is heard."""
TRY_AGAIN_S = 0.5
"""When the floor is handed back once more, after that has failed."""
LINGER_S = 2.0
"""How long a dialogue keeps the floor after the answer: what the agent says to it belongs to it."""
LONGEST_HOLD_S = 300.0
"""How long a dialogue may have the floor without a break."""

OnWait = Callable[[int], None]
"""Told how many come first, whenever that changes; not told when the floor is free."""


@dataclass(frozen=True, slots=True)
class Admission:
    """How an utterance comes to the floor."""

    urgency: Urgency = Urgency.NORMAL
    is_question: bool = False
    """What follows it at once belongs to it: the floor is kept for its conversation for a while."""
    hold: Hold | None = None
    """What it is said under: as long as that has the floor, it need not wait."""


class NotSaid(Exception):
    """Somebody who had time to wait waited in vain.

    Args:
        why: As the end of a sentence: "it waited for longer than 30 s".
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Hold:
    """The floor as one conversation has it, from its turn to its release.

    Whoever speaks under it (``Admission``) needs not wait for anybody but the others under it.
    """

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.blocks = 0
        """Dialogues and utterances that need the floor."""
        self.voices = 0
        """Those that speak, or wait for their turn within the hold."""
        self.lingers = False
        """A dialogue has been held under it, and what follows at once belongs to it."""
        self.overdue = False
        """It has lasted for too long."""
        self.one_voice = asyncio.Lock()
        self.linger: asyncio.TimerHandle | None = None
        self.limit: asyncio.TimerHandle | None = None

    def is_of(self, claim: Claim) -> bool:
        """Whether ``claim`` belongs to the same conversation."""
        return self.claim.conversation_id == claim.conversation_id

    def stop_timers(self) -> None:
        """Nobody waits for its end any more."""
        for timer in (self.linger, self.limit):
            if timer is not None:
                timer.cancel()


@dataclass(slots=True, eq=False)
class _Waiter:
    """Somebody of this process who waits."""

    claim: Claim
    on_wait: OnWait
    turn: asyncio.Future[Hold]
    voices: int
    """1 if it is to speak, 0 if it only needs the floor."""
    told: int = 0
    expiry: asyncio.TimerHandle | None = field(default=None)


class Floor:
    """One voice at a time; see ``turn`` and ``hold``. Belongs to one event loop.

    Args:
        room: Everybody who may want to speak; None for this process alone.
        clock: Tells since when somebody waits.
        whenever_s: How long a message waits that is worth nothing later.
        linger_s: How long a dialogue keeps the floor after its end.
        longest_hold_s: How long a dialogue may have it without a break.
        ducking: Told when somebody has the floor, and when nobody has.
    """

    def __init__(
        self,
        room: Room | None = None,
        clock: Clock | None = None,
        *,
        whenever_s: float = 30.0,
        linger_s: float = LINGER_S,
        longest_hold_s: float = LONGEST_HOLD_S,
        ducking: Ducking | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._room = room or OwnRoom(self._clock)
        self._whenever_s = whenever_s
        self._linger_s = linger_s
        self._longest_hold_s = longest_hold_s
        self._ducking = ducking
        self._waiters: list[_Waiter] = []
        self._leaving: list[Claim] = []
        self._hold: Hold | None = None
        self._quiet_from_s = 0.0
        self._news = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many of this process wait."""
        return sum(not waiter.turn.done() for waiter in self._waiters)

    @property
    def is_held(self) -> bool:
        """Whether somebody of this process has the floor."""
        return self._hold is not None

    @property
    def is_busy(self) -> bool:
        """Whether somebody waits, or what was let go of is still being handed back."""
        return self._keeper is not None and not self._keeper.done()

    @asynccontextmanager
    async def turn(
        self,
        on_wait: OnWait,
        conversation_id: str = "",
        admission: Admission | None = None,
    ) -> AsyncIterator[Hold]:
        """Have the floor for one utterance. After a question it is kept for a while, unless ``lingers`` is made False.

        Everything may be made ready; whoever makes a sound first waits ``until_quiet``.

        Args:
            on_wait: Told where it stands while it waits.
            conversation_id: Whose utterance it is: what follows a dialogue of the same conversation belongs to it.
            admission: How urgent it is, which decides who comes first; of several that have time (``whenever``) only
                the newest waits. And what it is said under.

        Raises:
            NotSaid: It had time (``whenever``), and its time is over.
        """
        admission = admission or Admission()
        hold = admission.hold
        if hold is None or hold is not self._hold or hold.overdue:
            hold = await self._acquire(on_wait, admission.urgency, conversation_id, voices=1)
        else:
            hold.blocks += 1
            hold.voices += 1
        hold.lingers = hold.lingers or admission.is_question
        try:
            async with hold.one_voice:
                yield hold
        except BaseException:
            hold.lingers = False
            raise
        finally:
            hold.voices -= 1
            self._leave_block(hold)

    @asynccontextmanager
    async def hold(
        self, conversation_id: str, on_wait: OnWait, *, urgency: Urgency = Urgency.NOW
    ) -> AsyncIterator[Hold]:
        """Keep the floor for a dialogue: from its turn to the end of the block, and ``linger_s`` longer.

        A question that was just asked in the same conversation (``Admission.is_question``) has kept it for this. While
        the block lasts only what is given the hold is said; afterwards the next turn or hold of the same conversation
        goes on with it. A block that fails or is cancelled lets go at once, or when what is said under it
        has fallen silent. After ``longest_hold_s`` the floor goes to others all the same; the block is not disturbed.

        Args:
            conversation_id: Whose dialogue it is.
            on_wait: Told where it stands while it waits.
            urgency: A question comes before whatever only tells something.
        """
        hold = await self._acquire(on_wait, urgency, conversation_id, voices=0)
        try:
            await self.until_quiet()
            yield hold
        except BaseException:
            hold.lingers = False
            raise
        else:
            hold.lingers = True
        finally:
            self._leave_block(hold)

    async def until_quiet(self) -> None:
        """Wait for the last sound of whoever had the floor before, and died. Mostly there was nobody."""
        wait_s = self._quiet_from_s - self._clock.now()
        if wait_s > 0:
            await asyncio.sleep(wait_s)

    async def aclose(self, timeout_s: float) -> None:
        """Let go of everything: nobody waits any more, and nobody is to be heard. Bounded by ``timeout_s`` seconds."""
        if self._hold is not None:
            self._release(self._hold)
        if self._keeper is not None and not self._waiters:
            await asyncio.wait([self._keeper], timeout=timeout_s)

    # --- waiting -----------------------------------------------------------------------------------------------

    async def _acquire(self, on_wait: OnWait, urgency: Urgency, conversation_id: str, *, voices: int) -> Hold:
        claim = Claim(secrets.token_hex(8), urgency, self._clock.now(), conversation_id)
        waiter = _Waiter(claim, on_wait, asyncio.get_running_loop().create_future(), voices)
        if urgency is Urgency.WHENEVER:
            self._prepare_to_give_up(waiter)
        self._waiters.append(waiter)
        if self._hold is not None and not self._hold.blocks and self._hold.is_of(claim):
            self._go_on(self._hold)
        self._tell()
        try:
            return await waiter.turn
        except asyncio.CancelledError:
            if waiter.turn.done() and not waiter.turn.cancelled() and waiter.turn.exception() is None:
                hold = waiter.turn.result()  # it became ours in the moment we stopped wanting it
                hold.voices -= voices
                self._leave_block(hold)
            raise
        finally:
            if waiter.expiry is not None:
                waiter.expiry.cancel()
            if waiter in self._waiters:
                self._take_out(waiter)

    def _prepare_to_give_up(self, waiter: _Waiter) -> None:
        for older in self._waiters:
            if older.claim.urgency is Urgency.WHENEVER:
                _refuse(older, "a newer message took its place")
        why = f"nobody would listen within {self._whenever_s:g} s"
        waiter.expiry = asyncio.get_running_loop().call_later(self._whenever_s, _refuse, waiter, why)

    def _take_out(self, waiter: _Waiter) -> None:
        self._waiters.remove(waiter)
        self._leaving.append(waiter.claim)
        self._tell()

    # --- having it ---------------------------------------------------------------------------------------------

    def _grant(self, waiter: _Waiter, hold: Hold) -> None:
        self._waiters.remove(waiter)
        hold.blocks += 1
        hold.voices += waiter.voices  # now: it must not be taken for silent before it has woken up
        waiter.turn.set_result(hold)

    def _leave_block(self, hold: Hold) -> None:
        hold.blocks -= 1
        if hold is not self._hold:
            return
        if hold.overdue and not hold.voices:
            self._release(hold)
        elif not hold.blocks:
            self._go_on(hold)

    def _go_on(self, hold: Hold) -> None:
        """Nobody needs the floor: whoever belongs to the dialogue goes on with it, else it waits a while or goes on."""
        lingered, hold.lingers = hold.lingers, False
        mine = [waiter for waiter in self._waiters if not waiter.turn.done() and hold.is_of(waiter.claim)]
        if hold.linger is not None:
            hold.linger.cancel()
        if not lingered or hold.overdue:
            self._release(hold)
        elif mine:
            now_s = self._clock.now()
            first = min(mine, key=lambda waiter: waiter.claim.rank(now_s))
            self._grant(first, hold)
            self._leaving.append(first.claim)
            self._tell()
        else:
            hold.lingers = True
            hold.linger = asyncio.get_running_loop().call_later(self._linger_s, self._let_go, hold)

    def _let_go(self, hold: Hold) -> None:
        """The while is over."""
        if hold is self._hold and not hold.blocks:
            self._release(hold)

    def _become_overdue(self, hold: Hold) -> None:
        hold.overdue = True
        if hold is self._hold and not hold.voices:
            self._release(hold)

    def _release(self, hold: Hold) -> None:
        self._hold = None
        hold.stop_timers()
        self._leaving.append(hold.claim)
        if self._ducking is not None:
            self._ducking.restore()
        self._tell()

    # --- the room ----------------------------------------------------------------------------------------------

    def _tell(self) -> None:
        """There is something to tell the room."""
        self._news.set()
        if self._keeper is None or self._keeper.done():
            self._keeper = asyncio.get_running_loop().create_task(self._keep(), name="floor")
            self._keeper.add_done_callback(self._see_it_end)

    async def _keep(self) -> None:
        """Tell the room who comes and who goes, and look whose turn it is, for as long as anybody waits."""
        while self._leaving or self._waiters:
            self._news.clear()
            if self._leaving:
                leaving, self._leaving = self._leaving, []
                try:
                    await self._room.leave(leaving)
                except BaseException:
                    self._leaving[:0] = leaving
                    raise
            if waiters := {waiter.claim: waiter for waiter in self._waiters if not waiter.turn.done()}:
                await self._advance(waiters)
            await self._until_news()

    async def _advance(self, waiters: dict[Claim, _Waiter]) -> None:
        standing = await self._room.advance(tuple(waiters))
        if standing.granted is not None:
            if standing.died:
                self._quiet_from_s = self._clock.now() + LAST_SOUND_S
            self._take(waiters[standing.granted])
        for claim, in_front in standing.in_front.items():
            waiter = waiters[claim]
            if not waiter.turn.done() and waiter.told != in_front:
                waiter.told = in_front
                waiter.on_wait(in_front)

    def _take(self, waiter: _Waiter) -> None:
        """It is this one's turn, if it still wants it."""
        if waiter.turn.done():
            self._leaving.append(waiter.claim)
            self._news.set()
            return
        hold = self._hold = Hold(waiter.claim)
        hold.limit = asyncio.get_running_loop().call_later(self._longest_hold_s, self._become_overdue, hold)
        if self._ducking is not None:
            self._ducking.lower()
        self._grant(waiter, hold)

    async def _until_news(self) -> None:
        """Wait for somebody of this process to come or go, or until it is time to look what other processes do."""
        if self._leaving or not self._waiters:
            return
        try:
            async with asyncio.timeout(self._look_again_s()):
                await self._news.wait()
        except TimeoutError:
            return  # time to look

    def _look_again_s(self) -> float:
        if self._hold is not None:
            return SHOW_EVERY_S
        place = min((waiter.told for waiter in self._waiters if waiter.told), default=1)
        return LOOK_EVERY_S * place if place <= 2 else LOOK_AT_LEAST_EVERY_S

    def _see_it_end(self, keeper: asyncio.Task[None]) -> None:
        if keeper.cancelled():
            return
        if (mistake := keeper.exception()) is not None:
            logger.error("the floor failed unexpectedly", exc_info=mistake)
            for waiter in self._waiters:
                if not waiter.turn.done():
                    waiter.turn.set_exception(mistake)
            if self._leaving:  # others wait for it
                keeper.get_loop().call_later(TRY_AGAIN_S, self._tell)
        elif self._leaving or self._waiters:
            self._tell()  # it came while it was ending


def _refuse(waiter: _Waiter, why: str) -> None:
    if not waiter.turn.done():
        waiter.turn.set_exception(NotSaid(why))
