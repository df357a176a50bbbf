"""Who spoke when, how long one waited for it, and where it had gaps: what a plot of a conversation shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from voice_mcp.cli.export_record import Sound
from voice_mcp.storage.conversation_log import ExchangeType


@dataclass(frozen=True, slots=True)
class Gap:
    """Silence that was put in because the sound came too late. It is heard, and no recording has it."""

    into_s: float
    """Where in the utterance's audio."""
    gap_s: float
    """How long; 0 when the device itself ran dry."""


@dataclass(frozen=True, slots=True)
class Timing:
    """What the event log knows of an utterance."""

    first_sound_s: float | None
    """Seconds from the call to the first sound."""
    gaps: tuple[Gap, ...]


@dataclass(frozen=True, slots=True)
class Stretch:
    """An utterance in its place, in seconds of the whole."""

    kind: ExchangeType
    start_s: float
    end_s: float
    ttfa_ms: float | None
    """Milliseconds from the call to the first sound, where that is known."""
    gaps: tuple[tuple[float, float], ...]
    """Where, and how long."""
    unplaced_gaps: int
    """Gaps that are known of, but not where."""
    cut_short: bool
    """Whether it was interrupted, or failed on the way."""


def timings_of(events: Iterable[Mapping[str, Any]]) -> dict[str, Timing]:
    """What the events of a conversation tell of its utterances, by their IDs.

    ``at_s`` counts from the call. A gap is told when sound goes on after it, and its length is in ``at_s``; the
    recording has neither the wait before the first sound nor the gaps.
    """
    first: dict[str, float] = {}
    gaps: dict[str, list[Gap]] = {}
    for event in events:
        utterance, data = event.get("utterance_id"), event.get("data")
        at_s = _number(data.get("at_s")) if isinstance(data, Mapping) else None
        if not isinstance(utterance, str) or not isinstance(data, Mapping) or at_s is None:
            continue
        if event.get("event_type") == "TTS_PLAYBACK_START":
            first.setdefault(utterance, at_s)
        elif event.get("event_type") == "TTS_UNDERRUN" and utterance in first:
            gap_s, known = _number(data.get("gap_s")) or 0.0, gaps.setdefault(utterance, [])
            silent_s = gap_s + sum(gap.gap_s for gap in known)
            known.append(Gap(max(0.0, at_s - first[utterance] - silent_s), gap_s))
    return {name: Timing(start_s, tuple(gaps.get(name, ()))) for name, start_s in first.items()}


class Timeline:
    """Collects the stretches while the recordings are joined.

    Args:
        timings: From ``timings_of``.
    """

    def __init__(self, timings: Mapping[str, Timing]) -> None:
        self._timings = timings
        self._sounds: list[list[Sound]] = []

    def add(self, sound: Sound) -> None:
        """The next recording. What it sounds like is not kept."""
        placed = sound.placed
        bare = Sound(type(placed)(b"", placed.start_s, placed.end_s), sound.kind, sound.exchange, sound.goes_on)
        if sound.goes_on and self._sounds:
            self._sounds[-1].append(bare)
        else:
            self._sounds.append([bare])

    @property
    def stretches(self) -> list[Stretch]:
        """Who spoke when."""
        return [self._stretch(sounds) for sounds in self._sounds]

    def _stretch(self, sounds: Sequence[Sound]) -> Stretch:
        start_s, end_s = sounds[0].placed.start_s, sounds[-1].placed.end_s
        exchange = sounds[0].exchange
        if exchange is None or exchange.type == "stt":
            return Stretch(sounds[0].kind, start_s, end_s, None, (), 0, cut_short=False)
        timing = self._timings.get(exchange.utterance_id, Timing(None, ()))
        ttfa_ms = _number(exchange.metadata.get("ttfa_ms"))
        if ttfa_ms is None and timing.first_sound_s is not None:
            ttfa_ms = timing.first_sound_s * 1000
        underruns = int(_number(exchange.metadata.get("underruns")) or 0)
        return Stretch(
            kind=exchange.type,
            start_s=start_s,
            end_s=end_s,
            ttfa_ms=ttfa_ms,
            gaps=tuple((min(start_s + gap.into_s, end_s), gap.gap_s) for gap in timing.gaps),
            unplaced_gaps=max(0, underruns - len(timing.gaps)),
            cut_short=exchange.metadata.get("status") in ("interrupted", "failed"),
        )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
