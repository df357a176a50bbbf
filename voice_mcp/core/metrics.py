"""What is measured of one utterance: where the time to its first sound went, and how its sound flowed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

_TOLD_BESIDES = ("ttfa_ms", "underruns")
"""What a result says outside its metrics."""


@dataclass(slots=True)
class FirstSound:
    """The way of the first frame, moment by moment, on the clock of ``Clock.now``; None for what has not come."""

    arrived_s: float
    """The call came."""
    ready_s: float | None = None
    """Its text was ready; the floor was asked for."""
    floor_s: float | None = None
    """It had the floor."""
    request_s: float | None = None
    """An engine was asked."""
    connect_s: float = 0.0
    """How long reaching the engine took."""
    byte_s: float | None = None
    """The first bytes came."""
    frame_s: float | None = None
    """They had become frames."""
    left_s: float | None = None
    """The first frame left for the device."""
    heard_s: float | None = None
    """It could be heard."""

    @property
    def total_ms(self) -> float | None:
        """From the call to the ear."""
        return _ms(self.heard_s - self.arrived_s) if self.heard_s is not None else None

    def split(self) -> dict[str, float] | None:
        """The same by stages, which add up to it; None when nothing was heard."""
        moments = (
            self.arrived_s,
            self.ready_s,
            self.floor_s,
            self.request_s,
            self.byte_s,
            self.frame_s,
            self.left_s,
            self.heard_s,
        )
        known = [moment for moment in moments if moment is not None]
        if len(known) < len(moments):
            return None
        # What is told late must not make the next stage negative.
        steps = [max(0.0, after - before) for before, after in zip(known, known[1:], strict=False)]
        ready, queue, text, answer, decode, prebuffer, device = steps
        connect = min(self.connect_s, answer)
        return {
            "text_ms": _ms(ready + text),
            "queue_ms": _ms(queue),
            "connect_ms": _ms(connect),
            "server_ms": _ms(answer - connect),
            "decode_ms": _ms(decode),
            "prebuffer_ms": _ms(prebuffer),
            "device_ms": _ms(device),
        }


@dataclass(slots=True)
class Metrics:
    """Everything that is measured of one utterance."""

    first: FirstSound
    received_s: float = 0.0
    """Seconds of audio that came, in all."""
    decode_s: float = 0.0
    """Seconds spent on decoding it."""
    decode_errors: int = 0
    """Damaged stretches that were skipped or concealed."""
    paces: list[float] = field(default_factory=list)
    """How fast the audio of each request came, in times real time."""
    requests: int = 0
    """Requests whose audio was used."""
    kept: int = 0
    """Those of them that were answered by phrases kept on disk."""
    resumes: int = 0
    """How often an engine was asked again and went on where it had broken off."""
    switches: int = 0
    """How often another engine took over."""
    device_changes: int = 0
    underruns: int = 0
    inserted_s: float = 0.0
    """Seconds of silence in the gaps."""
    buffer_mean_s: float | None = None
    buffer_least_s: float | None = None

    def as_result(self) -> dict[str, Any]:
        """As whoever asked for the utterance gets it: what is zero, or does not apply, is left out."""
        data = self.as_data()
        data["ttfa"] = {stage: ms for stage, ms in (data["ttfa"] or {}).items() if ms}
        return {name: value for name, value in data.items() if value and name not in _TOLD_BESIDES}

    def as_data(self) -> dict[str, Any]:
        """As it is put on record (docs/events.md)."""
        return {
            "ttfa_ms": self.first.total_ms,
            "ttfa": self.first.split(),
            "underruns": self.underruns,
            "inserted_s": round(self.inserted_s, 3),
            "buffer_mean_ms": _ms_or_none(self.buffer_mean_s),
            "buffer_least_ms": _ms_or_none(self.buffer_least_s),
            "pace": round(sum(self.paces) / len(self.paces), 2) if self.paces else None,
            "decode_ms_per_s": _ms(self.decode_s / self.received_s) if self.received_s else None,
            "decode_errors": self.decode_errors,
            "resumes": self.resumes,
            "switches": self.switches,
            "device_changes": self.device_changes,
            "cached": self.requests > 0 and self.kept == self.requests,
        }


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)


def _ms_or_none(seconds: float | None) -> float | None:
    return _ms(seconds) if seconds is not None else None
