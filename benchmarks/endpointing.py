"""Who is cut off, who waits how long, and what noise is taken for speech: this project's ear and the peer's.

All hear the ``table`` part of the corpus (``tests/support/corpus.py``), on which nothing was tuned, and ours also that
of a second one, spoken in one breath. ``python -m benchmarks.endpointing`` prints ours on the other part, which is for
choosing settings; ``python -m benchmarks.endpointing natural`` does so with the second corpus.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import TypeVar

from benchmarks.figures import Figure, median, quantile, table
from benchmarks.hearing import Ear, OurEar, Outcome, Senses
from benchmarks.natural_voices import natural_voices
from benchmarks.webrtc import WebRtcEar
from benchmarks.weights import smart_turn_weights
from tests.support.corpus import VOICES, Listening, Part, disturbances, sessions
from tests.support.noises import RATE_HZ
from voice_mcp.core.clear_ends import is_clear_end
from voice_mcp.core.pauses import Eagerness
from voice_mcp.turn.smart_turn import SmartTurn

T = TypeVar("T")

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
    clear_s: list[float] = field(default_factory=list)
    """The same, of turns whose words are a whole answer: "yes please"."""
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
            delay_s = outcome.ended_s - turn.turn_end_s
            self.delays_s.setdefault(manner, []).append(delay_s)
            if is_clear_end(" ".join(turn.phrases)):
                self.clear_s.append(delay_s)

    def add_disturbance(self, name: str, sound: Listening, outcome: Outcome) -> None:
        """Judge a stretch in which nobody speaks."""
        self.heard_s += len(sound.pcm) / 2 / RATE_HZ
        self.disturbed.setdefault(name, []).append(outcome.started_s is not None)


@dataclass(slots=True)
class Contender:
    """Somebody who listens to the corpus."""

    name: str
    ear: Ear
    judged_s: list[float] | None = None
    """Processor time of the judgements, where it is told."""
    has_bars: bool = False
    tally: Tally = field(default_factory=Tally)


async def measure() -> list[Figure]:
    """Let all listen to everything."""
    model = _model()
    contenders = _contenders(model, has_bars=True)
    peer = _fetched(lambda: Contender("webrtcvad as in voice-mode", WebRtcEar()), "the peer")
    figures = _figures([*contenders, *([peer] if peer else [])])
    natural = _fetched(natural_voices, "the second corpus")
    if natural is not None:
        figures += _figures(_contenders(model, has_bars=False), folder=natural, prefix="in one breath, ")
    return figures


def _contenders(model: SmartTurn | None, *, has_bars: bool) -> list[Contender]:
    """Ours with what it may know besides silence, by and by; all hear with the same senses."""
    senses = Senses(model)
    contenders = [
        Contender("ours", OurEar(senses), has_bars=has_bars),
        Contender("with words", OurEar(senses, understands=True)),
    ]
    if model is not None:
        for eagerness in Eagerness:
            name, ear = f"with Smart Turn, {eagerness.name.lower()}", OurEar(senses, eagerness)
            contenders.append(Contender(name, ear, senses.judged_s if eagerness is Eagerness.CAREFUL else None))
        both = OurEar(senses, Eagerness.CAREFUL, understands=True)
        contenders.append(Contender("with Smart Turn, careful, and words", both))
    return contenders


def _model() -> SmartTurn | None:
    return _fetched(lambda: SmartTurn(smart_turn_weights()), "Smart Turn")


def _fetched(fetch: Callable[[], T], what: str) -> T | None:
    try:
        return fetch()
    except (OSError, subprocess.SubprocessError) as exc:
        print(f"without {what}: {exc}", file=sys.stderr)
        return None


def _figures(
    contenders: Sequence[Contender], part: Part = "table", folder: Path = VOICES, prefix: str = ""
) -> list[Figure]:
    _listen(contenders, part, folder)
    return [figure for contender in contenders for figure in _of(contender, prefix)]


def _of(contender: Contender, prefix: str) -> Iterator[Figure]:
    name, tally = prefix + contender.name, contender.tally
    delays = [delay for group in tally.delays_s.values() for delay in group] or [0.0]
    false = [is_false for group in tally.disturbed.values() for is_false in group]
    cut_off = sum(tally.cut_off.values())
    by_manner = ", ".join(f"{manner} {median(group):.2f} s" for manner, group in tally.delays_s.items())
    worst = ", ".join(f"{noise} {_percent(group):.0f} %" for noise, group in tally.disturbed.items() if any(group))
    yield Figure(
        f"{name}: turns cut off",
        100 * cut_off / tally.turns,
        "%",
        CUT_OFF_BAR if contender.has_bars else None,
        f"{cut_off} of {tally.turns}: " + (", ".join(f"{m} {n}" for m, n in tally.cut_off.items()) or "none"),
    )
    yield Figure(f"{name}: last word to decision, p50", median(delays), "s", detail=by_manner)
    yield Figure(f"{name}: the same, p95", quantile(delays, 0.95), "s", detail=f"mean {mean(delays):.2f} s")
    yield Figure(
        f"{name}: the same after a whole answer, p50",
        median(tally.clear_s or [0.0]),
        "s",
        detail=f"{len(tally.clear_s)} turns",
    )
    if contender.judged_s:
        yield Figure(f"{name}: a judgement, p50", 1000 * median(contender.judged_s), "ms of a core")
    if not contender.has_bars and not isinstance(contender.ear, WebRtcEar):
        return
    if false:
        yield Figure(
            f"{name}: noise taken for speech",
            _percent(false),
            "%",
            FALSE_START_BAR if contender.has_bars else None,
            f"{len(false)} stretches of 10 s" + (f": {worst}" if worst else ""),
        )
    yield Figure(f"{name}: starts before anybody spoke", 100 * tally.early / tally.turns, "%", detail="in turns")
    yield Figure(f"{name}: turns without an end", 100 * tally.endless / tally.turns, "%", detail="within 5 s")
    yield Figure(f"{name}: speech not kept", 100 * tally.missed_s / tally.spoken_s, "%", detail="that of cut turns too")
    yield Figure(
        f"{name}: processor",
        100 * contender.ear.cpu_s / tally.heard_s,
        "% of a core",
        CPU_BAR if contender.has_bars else None,
        f"{tally.heard_s / 60:.0f} minutes of sound",
    )


def _listen(contenders: Sequence[Contender], part: Part, folder: Path) -> None:
    try:
        for session in sessions(part, folder):
            for contender in contenders:
                contender.ear.meet()
            for turn in session.turns():
                for contender in contenders:
                    contender.tally.add_turn(session.manner, turn, contender.ear.listen(turn))
        if folder == VOICES:
            _disturb(contenders, part)
    finally:
        for contender in contenders:
            contender.ear.close()


def _disturb(contenders: Sequence[Contender], part: Part) -> None:
    for disturbance in disturbances(part):
        sound = disturbance.sound()
        for contender in contenders:
            contender.ear.meet()
            contender.tally.add_disturbance(disturbance.noise, sound, contender.ear.listen(sound))


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
    from_folder = {"natural": natural_voices}.get(sys.argv[1] if len(sys.argv) > 1 else "", lambda: VOICES)
    print(table(_figures(_contenders(_model(), has_bars=True), "tuning", from_folder())))
