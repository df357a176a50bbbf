"""Who is cut off, who waits how long, and what noise is taken for speech: this project's ear and the peer's.

Both hear the ``table`` part of the corpus (``tests/support/corpus.py``), on which nothing was tuned.
``python -m benchmarks.endpointing`` prints ours on the other part, which is for choosing settings.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import mean

from benchmarks.figures import Figure, median, quantile, table
from benchmarks.hearing import Ear, OurEar, Outcome
from benchmarks.webrtc import WebRtcEar
from tests.support.corpus import Listening, Part, disturbances, sessions
from tests.support.noises import RATE_HZ

CUT_OFF_BAR = 2.0
FALSE_START_BAR = 2.0
CPU_BAR = 3.0


@dataclass(slots=True)
class Tally:
    """What one ear made of the corpus."""

    turns: int = 0
    cut_off: dict[str, int] = field(default_factory=dict)
    """Turns that were ended before they were over, by the manner of the speaker."""
    endless: int = 0
    early: int = 0
    """Starts before anybody spoke, in turns."""
    delays_s: dict[str, list[float]] = field(default_factory=dict)
    """From the last word to the decision, by the manner of the speaker; of turns that were not cut off."""
    spoken_s: float = 0.0
    missed_s: float = 0.0
    heard_s: float = 0.0
    disturbed: dict[str, list[bool]] = field(default_factory=dict)
    """Of each stretch of a noise: whether it was taken for speech."""

    def add_turn(self, manner: str, turn: Listening, outcome: Outcome) -> None:
        """Judge one turn."""
        self.turns += 1
        self.heard_s += len(turn.pcm) / 2 / RATE_HZ
        self.spoken_s += sum(end - start for start, end in turn.speech)
        self.missed_s += _missed_s(turn, outcome)
        self.early += outcome.started_s is not None and outcome.started_s < turn.speech[0][0]
        if outcome.ended_s is None:
            self.endless += 1
        elif outcome.ended_s < turn.turn_end_s:
            self.cut_off[manner] = self.cut_off.get(manner, 0) + 1
        else:
            self.delays_s.setdefault(manner, []).append(outcome.ended_s - turn.turn_end_s)

    def add_disturbance(self, name: str, sound: Listening, outcome: Outcome) -> None:
        """Judge a stretch in which nobody speaks."""
        self.heard_s += len(sound.pcm) / 2 / RATE_HZ
        self.disturbed.setdefault(name, []).append(outcome.started_s is not None)


async def measure() -> list[Figure]:
    """Let both listen to everything."""
    figures = _figures("ours", OurEar(), bars=True)
    try:
        peer = WebRtcEar()
    except (OSError, subprocess.SubprocessError) as exc:
        print(f"without the peer: {exc}", file=sys.stderr)
        return figures
    return figures + _figures("webrtcvad as in voice-mode", peer, bars=False)


def _figures(name: str, ear: Ear, part: Part = "table", *, bars: bool) -> list[Figure]:
    tally = _listen(ear, part)
    delays = [delay for group in tally.delays_s.values() for delay in group] or [0.0]
    false = [is_false for group in tally.disturbed.values() for is_false in group]
    cut_off = sum(tally.cut_off.values())
    by_manner = ", ".join(f"{manner} {median(group):.2f} s" for manner, group in tally.delays_s.items())
    worst = ", ".join(f"{noise} {_percent(group):.0f} %" for noise, group in tally.disturbed.items() if any(group))
    return [
        Figure(
            f"{name}: turns cut off",
            100 * cut_off / tally.turns,
            "%",
            CUT_OFF_BAR if bars else None,
            f"{cut_off} of {tally.turns}: " + (", ".join(f"{m} {n}" for m, n in tally.cut_off.items()) or "none"),
        ),
        Figure(
            f"{name}: noise taken for speech",
            _percent(false),
            "%",
            FALSE_START_BAR if bars else None,
            f"{len(false)} stretches of 10 s" + (f": {worst}" if worst else ""),
        ),
        Figure(f"{name}: starts before anybody spoke", 100 * tally.early / tally.turns, "%", detail="in turns"),
        Figure(f"{name}: turns without an end", 100 * tally.endless / tally.turns, "%", detail="within 5 s"),
        Figure(f"{name}: speech not kept", 100 * tally.missed_s / tally.spoken_s, "%", detail="that of cut turns too"),
        Figure(f"{name}: last word to decision, p50", median(delays), "s", detail=by_manner),
        Figure(f"{name}: the same, p95", quantile(delays, 0.95), "s", detail=f"mean {mean(delays):.2f} s"),
        Figure(
            f"{name}: processor",
            100 * ear.cpu_s / tally.heard_s,
            "% of a core",
            CPU_BAR if bars else None,
            f"{tally.heard_s / 60:.0f} minutes of sound",
        ),
    ]


def _listen(ear: Ear, part: Part) -> Tally:
    tally = Tally()
    try:
        for session in sessions(part):
            ear.meet()
            for turn in session.turns():
                tally.add_turn(session.manner, turn, ear.listen(turn.pcm))
        for disturbance in disturbances(part):
            ear.meet()
            sound = disturbance.sound()
            tally.add_disturbance(disturbance.noise, sound, ear.listen(sound.pcm))
    finally:
        ear.close()
    return tally


def _missed_s(turn: Listening, outcome: Outcome) -> float:
    """Seconds of speech that are not in what was kept."""
    if outcome.keep_s is None:
        return sum(end - start for start, end in turn.speech)
    until_s = outcome.ended_s if outcome.ended_s is not None else turn.turn_end_s
    kept_s = sum(max(0.0, min(end, until_s) - max(start, outcome.keep_s)) for start, end in turn.speech)
    return sum(end - start for start, end in turn.speech) - kept_s


def _percent(flags: Sequence[bool]) -> float:
    return 100 * sum(flags) / len(flags)


if __name__ == "__main__":
    print(table(_figures("ours", OurEar(), "tuning", bars=True)))
