"""Listening while the agent speaks: captured sound in; out come what is worth keeping of it, and who interrupts.

    CapturedSound ─▶ EchoRemoval ─▶ VoiceDetector ─▶ Interruption ─▶ Interrupted, FalseAlarm
                     (open speakers)     └──────────── EchoGuard ──┘

With headphones there is no echo, and nothing to remove.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from voice_mcp.core.echo_guard import EchoGuard
from voice_mcp.core.echo_removal import BREAK_S, Cleaned, EchoRemoval
from voice_mcp.core.interruption import CONFIRM_S, Decision, FalseAlarm, Interruption, InterruptionRules
from voice_mcp.core.played_sound import PlayedSound
from voice_mcp.errors import ListeningUnavailable
from voice_mcp.protocols import EchoCanceller, VoiceDetector
from voice_mcp.types import LISTENING_FORMAT, CapturedSound

BargeInMode = Literal["off", "headphones", "on"]


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of the frames that were added."""

    sound: CapturedSound
    """What is to be kept and transcribed: without the agent's voice, as many frames as were added."""
    probabilities: tuple[float, ...]
    """That somebody speaks, for each window that is now complete: what an ``Endpointer`` takes."""
    decisions: tuple[Decision, ...]
    """While the agent speaks: mostly none."""


class BargeIn:
    """One microphone. Pure but for the canceller and the detector, which compute; all on one thread.

    It lasts as long as the session: after a gap in the sound it begins anew, but for what it knows of the room.

    Args:
        detector: Tells speech from noise; nobody else uses it.
        echo: Takes the agent's voice out; None where there is no echo.
        rules: What counts as speech.
    """

    def __init__(
        self, detector: VoiceDetector, echo: EchoRemoval | None = None, rules: InterruptionRules | None = None
    ) -> None:
        self._detector = detector
        self._echo = echo
        self._rules = rules
        self._window_s = LISTENING_FORMAT.seconds(detector.window_frames)
        self._guard = EchoGuard(self._window_s, CONFIRM_S) if echo is not None else None
        self._interruption: Interruption | None = None
        self._waiting = Waiting()
        self._due_s: float | None = None

    @property
    def is_interrupted(self) -> bool:
        """Whether somebody interrupts the agent, as far as is known."""
        return self._interruption is not None and self._interruption.is_interrupted

    @property
    def speech_end_s(self) -> float:
        """When whoever interrupts was last heard, on the clock; meaningless where nobody does."""
        return self._interruption.speech_end_s if self._interruption is not None else 0.0

    def agent_speaks(self) -> None:
        """The agent begins to speak, or goes on after a false alarm: from now on it can be interrupted."""
        self._interruption = Interruption(self._window_s, self._rules)

    def agent_is_silent(self) -> None:
        """It is through: whoever speaks now interrupts nobody."""
        self._interruption = None

    def words_came(self) -> None:
        """The interruption had words in it: no silence takes it back any more."""
        if self._interruption is not None:
            self._interruption.words_came()

    def no_words_came(self) -> FalseAlarm | None:
        """It had none; None where there is no interruption that could be taken back."""
        return self._interruption.no_words_came() if self._interruption is not None else None

    def add(self, sound: CapturedSound) -> Heard:
        """Take the next frames; takes about 3 % of their duration with a canceller, 0.3 % without."""
        if self._due_s is not None and abs(sound.at_s - self._due_s) > BREAK_S:
            self._detector.reset()
            self._waiting = Waiting()
            if self._interruption is not None:
                self._interruption.break_off()
        self._due_s = sound.at_s + LISTENING_FORMAT.seconds(LISTENING_FORMAT.frames(len(sound.frames)))
        cleaned = self._echo.add(sound) if self._echo is not None else Cleaned(sound, b"", b"")
        began_s = cleaned.sound.at_s - LISTENING_FORMAT.seconds(self._waiting.frames)
        self._waiting.add(cleaned)
        probabilities = tuple(self._detector.add(cleaned.sound.frames))
        decisions: list[Decision] = []
        for number, probability in enumerate(probabilities):
            decision = self._judge(began_s + number * self._window_s, probability)
            if decision is not None:
                decisions.append(decision)
        return Heard(cleaned.sound, probabilities, tuple(decisions))

    def _judge(self, at_s: float, probability: float) -> Decision | None:
        heard, left, played = self._waiting.take(self._detector.window_frames)
        if self._guard is not None:
            self._guard.add(heard, left, played)
        if self._interruption is None:
            return None
        is_echo = self._guard is not None and self._guard.is_echo
        return self._interruption.add(at_s, probability, is_echo=is_echo)


class Waiting:
    """Frames that do not fill a window yet, in three versions."""

    def __init__(self) -> None:
        self._lines = bytearray(), bytearray(), bytearray()

    @property
    def frames(self) -> int:
        """How many wait."""
        return LISTENING_FORMAT.frames(len(self._lines[1]))

    def add(self, cleaned: Cleaned) -> None:
        """Take the next frames."""
        for line, frames in zip(self._lines, (cleaned.heard, cleaned.sound.frames, cleaned.played), strict=True):
            line += frames

    def take(self, frames: int) -> tuple[bytes, bytes, bytes]:
        """The next window: heard, left of it, played."""
        size = frames * LISTENING_FORMAT.frame_bytes
        heard, left, played = (bytes(line[:size]) for line in self._lines)
        for line in self._lines:
            del line[:size]
        return heard, left, played


def barge_in(
    mode: BargeInMode,
    make_detector: Callable[[], VoiceDetector],
    make_canceller: Callable[[], EchoCanceller],
    played: PlayedSound | None,
) -> BargeIn | None:
    """Whoever listens while the agent speaks; None where nobody is to. Decided when a call begins, never in its middle.

    Args:
        mode: Whether, and whether there is an echo.
        make_detector: Called only where somebody listens.
        make_canceller: Called only where there is an echo.
        played: What is played; known only where there is an echo.

    Raises:
        ListeningUnavailable: There would be an echo, and nothing to remove it.
    """
    if mode == "off":
        return None
    if mode == "headphones":
        return BargeIn(make_detector())
    if played is None:
        raise ListeningUnavailable("Nobody tells what the agent says.", hint="Set VOICEMODE_BARGE_IN=headphones.")
    echo = EchoRemoval(make_canceller(), played)  # first: it may not be installed
    return BargeIn(make_detector(), echo)
