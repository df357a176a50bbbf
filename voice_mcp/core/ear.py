"""Where the ear is in what is being said: seconds of sound to lines and words of a script. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from voice_mcp.core.rendering import Begin
from voice_mcp.core.script import Line, Script
from voice_mcp.core.timeline import Run, expected_seconds, spoken_chars, word_began_s


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A run of audio, and which part of which line it speaks."""

    line: Line
    start: int
    run: Run


class Ear:
    """What of a script has been sent, and how far it has been heard.

    Times are seconds into the utterance's audio.

    Args:
        script: What is said.
        speed: How fast, 1 being the engine's usual pace.
    """

    def __init__(self, script: Script, *, speed: float) -> None:
        self._script = script
        self._speed = speed
        self._stretches: list[_Stretch] = []
        self._shown = 0
        self.heard_s = 0.0
        """Where it is."""
        self.furthest_s = 0.0
        """Where it has been."""
        self.again_s = 0.0
        """Seconds that were played once more, because the utterance was held in the middle of a word."""

    @property
    def played_s(self) -> float:
        """Seconds played in all."""
        return self.heard_s + self.again_s

    # --- what is sent ------------------------------------------------------------------------------------------

    def begin(self, line: Line, begin: Begin, start_s: float) -> None:
        """A run of audio begins.

        Args:
            line: What it belongs to.
            begin: Where in the line it begins, and what is known of its words.
            start_s: Where in the sound.
        """
        if self._stretches and (before := self._stretches[-1]).line is line:
            # Another engine goes on from here: what the one before it was to say ends where this one begins.
            before.run.cut(begin.start - before.start)
        run = Run(line.text[begin.start :], start_s, begin.marks, words=begin.words)
        self._stretches.append(_Stretch(line, begin.start, run))

    @property
    def is_run_open(self) -> bool:
        """Whether the newest run of audio still arrives."""
        return bool(self._stretches) and self._stretches[-1].run.end_s is None

    def end(self, end_s: float) -> None:
        """The newest run of audio is complete, and ends there."""
        self._stretches[-1].run.end_s = end_s

    # --- what is heard -----------------------------------------------------------------------------------------

    def reach(self, heard_s: float) -> None:
        """It is there."""
        self.heard_s = heard_s
        self.furthest_s = max(self.furthest_s, heard_s)

    def go_back(self, heard_s: float) -> None:
        """It hears from there on once more."""
        self.again_s += self.heard_s - heard_s
        self.heard_s = heard_s

    def word_began_s(self, heard_s: float) -> float | None:
        """Where the first word begins that was not wholly heard after ``heard_s``; None when nobody knows."""
        begun = [stretch.run for stretch in self._stretches if stretch.run.start_s <= heard_s]
        return word_began_s(begun[-1], heard_s) if begun else 0.0

    def progress(self) -> tuple[float, float, str] | None:
        """Where it is, how long all of it is expected to last, and what it hears; None before anything was sent."""
        if not self._stretches:
            return None
        while self._shown + 1 < len(self._stretches) and self._stretches[self._shown + 1].run.start_s <= self.heard_s:
            self._shown += 1
        newest = self._stretches[-1].run
        arriving_s = newest.start_s + expected_seconds(len(newest.text), speed=self._speed)
        known_s = newest.end_s if newest.end_s is not None else max(arriving_s, self.heard_s)
        total_s = known_s + expected_seconds(self._script.remaining_chars, speed=self._speed)
        return self.heard_s, total_s, self._stretches[self._shown].line.text

    def divide(self) -> tuple[str, str]:
        """The message, cut after the last word that was heard."""
        begun = [stretch for stretch in self._stretches if stretch.run.start_s < self.furthest_s]
        if not begun:
            return "", self._script.undivided()
        last = begun[-1]
        chars = spoken_chars(last.run, self.furthest_s, speed=self._speed)
        return self._script.divide(last.line.block, last.line.start + last.start + chars)
