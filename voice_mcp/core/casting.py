"""Who is asked to say something, and in which voice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from voice_mcp.core.pacing import SpeechRoster
from voice_mcp.errors import AllEnginesFailed, UnknownVoice, VoiceError
from voice_mcp.protocols import SpeechEngine
from voice_mcp.types import Sampling, SpeechRequest


@dataclass(frozen=True, slots=True)
class Manner:
    """How something is to be said."""

    voice: str | None = None
    """What was asked for; None takes the first of ``preferences`` an engine has."""
    preferences: tuple[str, ...] = ()
    speed: float = 1.0
    instructions: str | None = None
    sampling: Sampling | None = None


@dataclass(frozen=True, slots=True)
class Casting:
    """Finds speakers for one manner of speaking.

    Args:
        roster: Who can speak.
        manner: How it is to be said.
    """

    roster: SpeechRoster
    manner: Manner

    def order(self) -> list[SpeechEngine]:
        """The engines to ask: those that may have the voice first, the others as a last resort.

        Raises:
            UnknownVoice: Nobody has it.
        """
        candidates = self.roster.candidates()
        wanted = self.manner.voice
        if wanted is None:
            return candidates
        # Judged over all of them: one that is resting may have the voice, and then a stand-in is better than an error.
        if all(engine.knows_voice(wanted) is False for engine in self.roster.engines):
            raise UnknownVoice(f"No engine has a voice named {wanted!r}.")
        able = [engine for engine in candidates if self.has_voice(engine)]
        return able + [engine for engine in candidates if engine not in able]

    def preferred(self) -> Iterator[SpeechEngine]:
        """Who would speak if nobody rested, most wanted first, up to the one that will be asked."""
        first = self.order()[0]
        for engine in self.roster.engines:
            if self.has_voice(engine):
                yield engine
            if engine is first:
                return

    def has_voice(self, engine: SpeechEngine) -> bool:
        """Whether it may have the voice that was asked for."""
        return self.manner.voice is None or engine.knows_voice(self.manner.voice) is not False

    def voice_for(self, engine: SpeechEngine) -> str | None:
        """The voice to ask it for; None leaves it to the engine."""
        if self.manner.voice is not None:
            return self.manner.voice if self.has_voice(engine) else None
        return next((name for name in self.manner.preferences if engine.knows_voice(name) is not False), None)

    def request(self, engine: SpeechEngine, text: str) -> SpeechRequest:
        """What to ask it."""
        manner = self.manner
        return SpeechRequest(text, self.voice_for(engine), manner.speed, manner.instructions, manner.sampling)

    def voice_is_wrong(self, engine: SpeechEngine, problems: Sequence[VoiceError]) -> bool:
        """Whether the voice is simply not to be had: a stand-in is for engines that fail, not for a wrong name."""
        refused = bool(problems) and all(isinstance(problem, UnknownVoice) for problem in problems)
        return refused and not self.has_voice(engine)


def nobody(problems: Sequence[VoiceError]) -> VoiceError:
    """What to say when nobody could speak."""
    if len(problems) == 1 or all(isinstance(problem, UnknownVoice) for problem in problems):
        return problems[0]
    return AllEnginesFailed(" ".join(dict.fromkeys(problem.message for problem in problems)))
