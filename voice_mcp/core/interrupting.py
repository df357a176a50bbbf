"""Listening while a message is said: whoever interrupts is heard out, and after a false alarm the agent goes on.

being said ── somebody speaks ─▶ held, and listened to ┬─ words ─▶ it ends there
▲                                                  │
└────────────────── none ──────────────────────────┘
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from voice_mcp.core.barge_in import BargeIn
from voice_mcp.core.interruption import FalseAlarm, Interrupted
from voice_mcp.core.lease import Lease
from voice_mcp.core.listening import Heard
from voice_mcp.core.open_microphone import OpenMicrophone
from voice_mcp.core.speech import Speech
from voice_mcp.core.tape import Tape
from voice_mcp.core.utterance import Trail
from voice_mcp.errors import VoiceError
from voice_mcp.events import EventType
from voice_mcp.types import CapturedSound

logger = logging.getLogger(__name__)

T = TypeVar("T")

SPEECH_COMES_S = 1.0
"""Whoever interrupts speaks already: if no voice is found within this time, there was none."""

TakeTurn = Callable[[OpenMicrophone, int, float], Coroutine[Any, Any, Heard]]
"""Listens to a turn, from that frame on; a voice is waited for for so many seconds."""


class Interrupting:
    """Who may interrupt the agent in one conversation.

    Args:
        barge_in: Tells when somebody does.
        lease: The microphone.
        trail: Told what happens.
        take_turn: Listens to what somebody says.
        drop_turn: Ends that listening, with nothing heard; whether there was any yet.
    """

    def __init__(
        self, barge_in: BargeIn, lease: Lease, trail: Trail, take_turn: TakeTurn, drop_turn: Callable[[], bool]
    ) -> None:
        self._barge_in = barge_in
        self._lease = lease
        self._trail = trail
        self._take_turn = take_turn
        self._drop_turn = drop_turn
        self._decisions: asyncio.Queue[Interrupted | FalseAlarm] = asyncio.Queue()
        self._stopping = False

    def stop(self) -> None:
        """Nobody is listened to any longer than the turn that is being taken."""
        self._stopping = True

    def clean(self, sound: CapturedSound) -> CapturedSound:
        """What is worth keeping of what was heard; who interrupts is noticed on the way."""
        heard = self._barge_in.add(sound)
        for decision in heard.decisions:
            self._decisions.put_nowait(decision)
        return heard.sound

    async def listen_during(self, speech: Speech) -> Heard | None:
        """Listen while a message is said; what somebody said who interrupted it, None when nobody did."""
        ended = asyncio.ensure_future(speech.ended())
        try:
            if (microphone := await self._open_while_it_speaks(speech, ended)) is None:
                return None
            self._decisions = asyncio.Queue()  # what was decided before is not about this message
            self._barge_in.agent_speaks()
            while (decision := await _unless(ended, self._decisions.get())) is not None:
                if isinstance(decision, Interrupted):
                    heard = await self._be_interrupted(speech, microphone, decision)
                    if heard is not None:
                        return heard
        finally:
            ended.cancel()
            self._barge_in.agent_is_silent()
        return None

    async def _open_while_it_speaks(self, speech: Speech, ended: asyncio.Future[Any]) -> OpenMicrophone | None:
        """Open the microphone once it is the message's turn; None where nobody can listen before it is over.

        Until then others speak, and what is said to them is none of ours.
        """
        if not await _unless(ended, speech.turn_came()) or ended.done():
            return None
        opening = self._lease.begin(self.clean)
        await asyncio.wait([opening, ended], return_when=asyncio.FIRST_COMPLETED)
        if not opening.done() or opening.cancelled():
            return None
        if isinstance(problem := opening.exception(), VoiceError):
            logger.warning("%s", problem.advice)  # it is tried again, and told, when the answer is due
            return None
        return opening.result()

    async def _be_interrupted(
        self, speech: Speech, microphone: OpenMicrophone, interrupted: Interrupted
    ) -> Heard | None:
        """Fall silent and listen; go on with the word that was cut off if nobody says one."""
        if speech.is_held:  # by a key: whoever speaks in a pause of their own speaks to somebody else
            self._barge_in.agent_speaks()
            return None
        speech.hold()
        self._trail.event(EventType.BARGE_IN, {"confirmed_s": round(interrupted.at_s - interrupted.speech_s, 3)})
        tape = microphone.tape
        start = tape.frame_at(interrupted.speech_s)
        tape.mark(start)
        heard = await self._heard_out(microphone, start, SPEECH_COMES_S)
        while heard is not None and self._goes_on(heard, tape):
            heard = await self._heard_out(microphone, heard.over_at, 0.0)
        if heard is not None and heard.has_words:
            self._barge_in.words_came()
            speech.stop(keeps_floor=True)
            return heard
        tape.unmark()
        self._barge_in.no_words_came()
        self._barge_in.agent_speaks()
        self._trail.event(EventType.BARGE_IN, {"resumed": True})
        speech.go_on()
        return None

    def _goes_on(self, heard: Heard, tape: Tape) -> bool:
        """Whether somebody spoke on while it was found out that there were no words."""
        spoke_on = self._barge_in.speech_end_s > tape.moment(heard.over_at)
        return spoke_on and not heard.has_words and not self._stopping

    async def _heard_out(self, microphone: OpenMicrophone, start: int, comes_s: float) -> Heard | None:
        """A turn of somebody who interrupts; None where it turns out meanwhile to have been a false alarm.

        Args:
            microphone: From where.
            start: The frame from which on.
            comes_s: How long a voice is waited for.
        """
        turn = asyncio.ensure_future(self._take_turn(microphone, start, comes_s))
        was_false = False
        try:
            while not was_false and (decision := await _unless(turn, self._decisions.get())) is not None:
                was_false = isinstance(decision, FalseAlarm)
            if was_false and not self._drop_turn():
                turn.cancel()  # what listening takes is still being made
            await asyncio.wait([turn])
        finally:
            turn.cancel()
        heard = None if turn.cancelled() else turn.result()
        return None if was_false and not (heard is not None and heard.has_words) else heard


async def _unless(ended: asyncio.Future[Any], coming: Coroutine[Any, Any, T]) -> T | None:
    """Wait for what is coming; None when something has ended first."""
    task = asyncio.ensure_future(coming)
    try:
        await asyncio.wait([ended, task], return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        task.cancel()
