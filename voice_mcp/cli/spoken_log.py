"""Tallies from the event log, one event after the other.

Logs of earlier versions lack most of what the end of an utterance tells now. What the events before it tell is taken
instead: which engine's bytes came, when sound began, how long the gaps were.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from voice_mcp.cli.first_audio import stages_of
from voice_mcp.cli.numbers import count_of, number_of
from voice_mcp.cli.output import local_time
from voice_mcp.cli.tally import Tally
from voice_mcp.events import EventType

NOBODY = ""
"""The engine of an utterance for which no engine spoke."""

_MOST_OPEN = 1000
"""Utterances whose end is still to come; those whose process died wait for ever, and make room for later ones."""


@dataclass(frozen=True, slots=True)
class Told:
    """What one event adds to the figures."""

    day: date
    """On the clock of this place."""
    engine: str
    tally: Tally


@dataclass(slots=True)
class _Open:
    """What is known of an utterance before its end."""

    engine: str = NOBODY
    first_s: float | None = None
    inserted_s: float = 0.0
    switches: int = 0
    failed: bool = False


def told_by(events: Iterable[Mapping[str, Any]]) -> Iterator[Told]:
    """What the lines of an event log add to the figures; lines that make no sense add nothing.

    Needs no more memory for a long log than for a short one.
    """
    opened: OrderedDict[tuple[str, str], _Open] = OrderedDict()
    for event in events:
        kind, data, day = str(event.get("event_type")), event.get("data"), _day(event.get("timestamp"))
        if kind not in _TELLING or not isinstance(data, Mapping) or day is None:
            continue
        utterance = (str(event.get("conversation_id")), str(event.get("utterance_id")))
        if kind == EventType.TTS_PLAYBACK_END:
            before = opened.pop(utterance, _Open())
            yield Told(day, _text(data.get("engine")) or before.engine, _tally(data, before))
            continue
        _note(opened.setdefault(utterance, _Open()), kind, data)
        if len(opened) > _MOST_OPEN:
            opened.popitem(last=False)
        if kind == EventType.TTS_ERROR and (engine := _text(data.get("engine"))):
            yield Told(day, engine, Tally(errors=1))


_TELLING = {
    EventType.TTS_FIRST_BYTE,
    EventType.TTS_PLAYBACK_START,
    EventType.TTS_UNDERRUN,
    EventType.PROVIDER_SWITCH,
    EventType.TTS_ERROR,
    EventType.TTS_PLAYBACK_END,
}


def _note(opened: _Open, kind: str, data: Mapping[str, Any]) -> None:
    match kind:
        case EventType.TTS_FIRST_BYTE:
            opened.engine = _text(data.get("engine")) or opened.engine
        case EventType.TTS_PLAYBACK_START:
            opened.first_s = number_of(data.get("at_s"))
        case EventType.TTS_UNDERRUN:
            opened.inserted_s += number_of(data.get("gap_s")) or 0.0
        case EventType.PROVIDER_SWITCH:
            opened.switches += 1
        case EventType.TTS_ERROR:
            opened.failed = opened.failed or data.get("fatal") is True


def _tally(data: Mapping[str, Any], before: _Open) -> Tally:
    """Of an utterance that is over."""
    inserted_s, switches = data.get("inserted_s", before.inserted_s), data.get("switches", before.switches)
    tally = Tally(
        utterances=1,
        spoken_s=number_of(data.get("duration_s")) or 0.0,
        underruns=count_of(data.get("underruns")),
        inserted_s=number_of(inserted_s) or 0.0,
        resumes=count_of(data.get("resumes")),
        switches=count_of(switches),
        device_changes=count_of(data.get("device_changes")),
        decode_errors=count_of(data.get("decode_errors")),
        failed=int(before.failed),
        interrupted=int(data.get("interrupted") is True),
        cached=int(data.get("cached") is True),
    )
    _sample(tally.paces, data.get("pace"))
    _sample(tally.decode_ms_per_s, data.get("decode_ms_per_s"))
    _sample(tally.buffer_mean_ms, data.get("buffer_mean_ms"))
    _sample(tally.buffer_least_ms, data.get("buffer_least_ms"))
    first_ms = None if before.first_s is None else before.first_s * 1000
    ttfa_ms, stages = number_of(data.get("ttfa_ms", first_ms)), stages_of(data.get("ttfa"))
    _sample(tally.ttfa_ms, ttfa_ms)
    if ttfa_ms is not None and stages is not None:
        tally.splits_ms.extend((ttfa_ms, *stages.values()))
    return tally


def _sample(samples: array[float], value: object) -> None:
    number = number_of(value)
    if number is not None:
        samples.append(number)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _day(timestamp: object) -> date | None:
    try:
        moment = local_time(timestamp)
    except OverflowError:  # a day that this place's clock moves out of the calendar
        return None
    return None if moment is None else moment.date()
