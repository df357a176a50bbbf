"""What the front door works with: the voice, the records, and what a call means when it leaves things out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from voice_mcp.clock import Clock
from voice_mcp.core.agent import Agent
from voice_mcp.core.calls import Calls
from voice_mcp.core.casting import Manner
from voice_mcp.core.conversing import Conversing
from voice_mcp.core.dialogue import Dialogue
from voice_mcp.core.endpointing import TurnRules
from voice_mcp.core.floor import Admission, Hold
from voice_mcp.core.listening import Wishes
from voice_mcp.core.relay import Relay
from voice_mcp.core.script import Script
from voice_mcp.core.speaking import Speaker
from voice_mcp.core.speech import Speech
from voice_mcp.core.transcribing import Transcriber
from voice_mcp.core.utterance import Archive
from voice_mcp.errors import InvalidSpeed
from voice_mcp.protocols import ProgressListener
from voice_mcp.storage.conversation_log import ConversationLog
from voice_mcp.types import Urgency

SLOWEST, FASTEST = 0.25, 4.0
MOST_QUESTIONS = 64
"""Conversations whose open question is remembered; an agent may invent conversations without end."""


class OpenQuestions:
    """What each conversation last asked and was not answered yet."""

    def __init__(self) -> None:
        self._questions: dict[str, str] = {}

    def ask(self, conversation_id: str, question: str) -> None:
        """Remember a question in place of the one before."""
        self._questions.pop(conversation_id, None)
        self._questions[conversation_id] = question
        while len(self._questions) > MOST_QUESTIONS:
            del self._questions[next(iter(self._questions))]

    def pending(self, conversation_id: str) -> str | None:
        """The question that waits for an answer, if one does."""
        return self._questions.get(conversation_id)

    def settle(self, conversation_id: str) -> None:
        """It was answered, or the user chose not to."""
        self._questions.pop(conversation_id, None)


@dataclass(frozen=True, slots=True)
class Session:
    """One connection's view of the house."""

    clock: Clock
    speaker: Speaker
    dialogue: Dialogue
    transcriber: Transcriber
    archive: Archive
    conversations: ConversationLog
    """To read; whether it is written is the archive's business."""
    conversation_id: str
    """The conversation of this connection."""
    agent: Agent
    """Who speaks here."""
    default_speed: float
    preferred_voices: tuple[str, ...]
    call_limit_s: float
    """Longest a call may take where the host must not be kept waiting."""
    turn_rules: TurnRules
    """What counts as the user's speech, and as the end of it, where a call does not say otherwise."""
    warm_up: Callable[[], None]
    """Load in the background what the first words need. Returns at once; a second call does nothing."""
    questions: OpenQuestions = field(default_factory=OpenQuestions)
    calls: Calls = field(default_factory=Calls)
    """What is being answered now."""
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held from the look whether a question is open to the next one's beginning, so that there are never two."""
    _in_order: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def begin(
        self,
        message: str,
        manner: Manner,
        conversation_id: str,
        arrived_s: float,
        progress: ProgressListener,
        admission: Admission | None = None,
    ) -> Speech:
        """Begin to say a message, after those that were asked for before it, however long their texts.

        Raises:
            NothingToSay: It holds nothing that can be spoken.
            MessageTooLong: It is longer than anybody would listen to.
        """
        async with self._in_order:
            script = await asyncio.to_thread(Script.of, message)
            manner = await self._in_character(manner)
            return self.speaker.start(script, manner, conversation_id, arrived_s, progress, admission)

    async def ask(
        self, message: str | None, manner: Manner, wishes: Wishes, conversation_id: str, arrived_s: float
    ) -> Conversing:
        """Begin to say a message, if there is one, and to listen for what the user has to say to it.

        Raises:
            NothingToSay: It holds nothing that can be spoken.
            MessageTooLong: It is longer than anybody would listen to.
        """
        relay = Relay()

        async def say(message: str, progress: ProgressListener, hold: Hold) -> Speech:
            whose = conversation_id, self.clock.now()
            return await self.begin(message, manner, *whose, progress, Admission(Urgency.NOW, hold=hold))

        speech = None
        if message is not None:
            question = Admission(Urgency.NOW, is_question=True)
            speech = await self.begin(message, manner, conversation_id, arrived_s, relay.update, question)
            self.questions.ask(conversation_id, message)
        return self.dialogue.start(conversation_id, wishes, relay, message=message, speech=speech, say=say)

    async def _in_character(self, manner: Manner) -> Manner:
        """How this agent says it, at its own place and, if it asked for none, in its own voice."""
        character = await self.agent.character()
        if character.seat is not None:
            self.speaker.seating.reserve(self.conversation_id, character.seat)
        if character.voice is None:
            return manner
        return replace(manner, preferences=(character.voice, *manner.preferences))

    def manner(self, voice: str | None, speed: float | None, instructions: str | None) -> Manner:
        """How to say something, with what is not said filled in.

        Raises:
            InvalidSpeed: The speed is out of range.
        """
        speed = self.default_speed if speed is None else speed
        if not SLOWEST <= speed <= FASTEST:
            raise InvalidSpeed(f"The speed {speed:g} is out of range.")
        return Manner(voice or None, self.preferred_voices, speed, instructions or None)

    def wishes(self, least_s: float | None, most_s: float | None, *, by_hand: bool = False) -> Wishes:
        """How to listen, with what is not said filled in.

        Args:
            least_s: Nobody is listened to for less, whether somebody speaks or not.
            most_s: Nobody is listened to for longer, in however many turns.
            by_hand: Whether the user begins and ends turns by a key.
        """
        rules = self.turn_rules
        most_s = rules.most_s if most_s is None else most_s
        least_s = least_s or 0.0
        no_speech_s = min(max(rules.no_speech_s, least_s), most_s)
        rules = replace(rules, least_s=least_s, most_s=most_s, no_speech_s=no_speech_s)
        return Wishes(rules, by_hand=by_hand)
