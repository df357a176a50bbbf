"""What left this machine, and when a microphone was open: what the event log says of it. Pure.

Lines are read generously: other versions write the same log, and one day's lines may lack what another's have. Words go
out with ``TTS_REQUEST`` and sound comes back with ``TTS_RECEIVED``; sound goes out with ``STT_START``, ``STT_REQUEST``
or ``STT_COMPLETE``, whichever says how much. ``host`` names the server; in lines without it an engine that is called
like one is one. Where there was no connection, ``TTS_ERROR`` or ``STT_ERROR`` says that nothing was sent after all;
without that word for it, it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from voice_mcp.offline import is_this_machine

TEXT_OUT, SOUND_IN = "TTS_REQUEST", "TTS_RECEIVED"
SOUND_REQUEST = "STT_REQUEST"
SOUND_OUT = ("STT_START", SOUND_REQUEST, "STT_COMPLETE")
FAILURES = ("TTS_ERROR", "STT_ERROR")
MICROPHONE_OPENS, MICROPHONE_CLOSES = "RECORDING_START", "RECORDING_END"
"""Kinds of lines that are read. Names, not members of ``EventType``: what is read may be older or newer than we are."""


@dataclass(slots=True)
class Traffic:
    """What went to one host, and came from it."""

    host: str
    text_chars: int = 0
    audio_up_bytes: int = 0
    audio_up_s: float = 0.0
    audio_down_bytes: int = 0
    requests: int = 0
    _told: dict[str, tuple[int, int, float]] = field(default_factory=dict)
    """Of sound that went out, for each kind of line: how often, how many bytes, how many seconds."""

    @property
    def is_nothing(self) -> bool:
        """Whether nothing went there, and nothing came."""
        return not (self.requests or self.audio_down_bytes)

    @property
    def beyond(self) -> bool:
        """Whether the host is another machine."""
        return not is_this_machine(urlsplit(f"//{self.host}").hostname or "")

    def asked_to_speak(self, chars: int, requests: int = 1) -> None:
        """Words went out; negative numbers: they did not after all."""
        self.requests += requests
        self.text_chars += chars

    def heard_of(self, kind: str, size_bytes: int, seconds: float, requests: int = 1) -> None:
        """Sound went out; negative numbers: it did not after all.

        Several kinds of lines may tell of the same: whichever tells most is believed.
        """
        count, total_bytes, total_s = self._told.get(kind, (0, 0, 0.0))
        self._told[kind] = count + requests, total_bytes + size_bytes, max(total_s + seconds, 0.0)
        counts, sizes, durations = zip(*self._told.values(), strict=True)
        self.requests, self.audio_up_bytes, self.audio_up_s = max(counts), max(sizes), max(durations)

    def add(self, other: Traffic) -> None:
        """Count another's traffic with the same host as well."""
        self.text_chars += other.text_chars
        self.audio_up_bytes += other.audio_up_bytes
        self.audio_up_s += other.audio_up_s
        self.audio_down_bytes += other.audio_down_bytes
        self.requests += other.requests


@dataclass(slots=True)
class Sent:
    """What one utterance, said or heard, sent to whom."""

    timestamp: datetime
    conversation_id: str
    utterance_id: str
    hosts: dict[str, Traffic] = field(default_factory=dict)

    def to(self, host: str) -> Traffic:
        """The traffic with one host."""
        return self.hosts.setdefault(host, Traffic(host))


@dataclass(slots=True)
class OpenMicrophone:
    """A time a microphone was open."""

    opened: datetime
    conversation_id: str
    closed: datetime | None = None
    """None: it still is, or its process died; the microphone closes with it."""

    @property
    def seconds(self) -> float | None:
        """How long."""
        return None if self.closed is None else max((self.closed - self.opened).total_seconds(), 0.0)


@dataclass(frozen=True, slots=True)
class Departures:
    """All that the event log says."""

    sent: list[Sent]
    """Utterances of which something went to a server, in the order in which they began."""
    microphone: list[OpenMicrophone]

    def by_host(self) -> list[Traffic]:
        """The traffic with each host, other machines first, then by name."""
        totals: dict[str, Traffic] = {}
        for utterance in self.sent:
            for traffic in utterance.hosts.values():
                totals.setdefault(traffic.host, Traffic(traffic.host)).add(traffic)
        return sorted(totals.values(), key=lambda traffic: (not traffic.beyond, traffic.host))


def departures(events: Iterable[Mapping[str, Any]]) -> Departures:
    """Read the event log's lines, in their order."""
    reader = _Reader()
    for event in events:
        reader.take(event)
    return Departures(reader.departed(), reader.microphone)


class _Reader:
    def __init__(self) -> None:
        self.sent: dict[tuple[str, str], Sent] = {}
        self.microphone: list[OpenMicrophone] = []
        self._open: dict[tuple[str, str], OpenMicrophone] = {}
        self._last: dict[tuple[str, str, str], tuple[str, float]] = {}
        """The last request of an utterance to a host: its kind, and its characters or seconds."""

    def departed(self) -> list[Sent]:
        """The utterances of which something went out, each without the hosts that were not reached."""
        for sent in self.sent.values():
            sent.hosts = {host: traffic for host, traffic in sent.hosts.items() if not traffic.is_nothing}
        return [sent for sent in self.sent.values() if sent.hosts]

    def take(self, event: Mapping[str, Any]) -> None:
        """Take the next line."""
        kind, data, moment = event.get("event_type"), event.get("data"), _moment(event.get("timestamp"))
        if not isinstance(kind, str) or moment is None:
            return
        key = (str(event.get("conversation_id") or ""), str(event.get("utterance_id") or ""))
        if kind in (MICROPHONE_OPENS, MICROPHONE_CLOSES):
            self._take_recording(kind, key, moment)
        elif isinstance(data, Mapping) and kind in FAILURES and data.get("sent") is False:
            self._take_back(key, str(data.get("engine")))
        elif isinstance(data, Mapping) and (host := _host(data)) is not None:
            self._take_traffic(kind, key, moment, host, data)

    def _take_recording(self, kind: str, key: tuple[str, str], moment: datetime) -> None:
        if kind == MICROPHONE_OPENS:
            self._open[key] = OpenMicrophone(moment, key[0])
            self.microphone.append(self._open[key])
        elif (one := self._open.pop(key, None)) is not None:
            one.closed = moment

    def _take_traffic(
        self, kind: str, key: tuple[str, str], moment: datetime, host: str, data: Mapping[Any, Any]
    ) -> None:
        if kind not in (TEXT_OUT, SOUND_IN, *SOUND_OUT):
            return
        size_bytes = int(_number(data.get("bytes")))
        traffic = self.sent.setdefault(key, Sent(moment, *key)).to(host)
        if kind == TEXT_OUT:
            chars = int(_number(data.get("chars")))
            traffic.asked_to_speak(chars)
            self._last[*key, host] = kind, chars
        elif kind == SOUND_IN:
            traffic.audio_down_bytes += size_bytes
        else:
            seconds = _number(data.get("seconds"))
            traffic.heard_of(kind, size_bytes, seconds)
            if kind == SOUND_REQUEST:
                self._last[*key, host] = kind, seconds

    def _take_back(self, key: tuple[str, str], host: str) -> None:
        """The last request did not get there. One that nobody has told of cannot be taken back."""
        kind, amount = self._last.pop((*key, host), ("", 0.0))
        if kind == TEXT_OUT:
            self.sent[key].to(host).asked_to_speak(-int(amount), requests=-1)
        elif kind == SOUND_REQUEST:
            self.sent[key].to(host).heard_of(kind, 0, -amount, requests=-1)


def _host(data: Mapping[Any, Any]) -> str | None:
    """The server an event is about; None where there was none."""
    if data.get("cached") is True:
        return None
    host = data.get("host")
    if isinstance(host, str) and host:
        return host
    engine = data.get("engine")
    return engine if isinstance(engine, str) and ("." in engine or ":" in engine or engine == "localhost") else None


def _number(value: object) -> float:
    """``value`` if a count or a duration can be that; else 0."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e15 else 0.0


def _moment(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
