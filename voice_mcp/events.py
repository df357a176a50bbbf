"""What happens, as it is told to the event log: the vocabulary, the shape and the sink."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol


class EventType(StrEnum):
    """Everything that is worth a line in the log; docs/events.md says what each carries."""

    TOOL_REQUEST_START = "TOOL_REQUEST_START"
    TOOL_REQUEST_END = "TOOL_REQUEST_END"
    TOOL_CANCELLED = "TOOL_CANCELLED"
    FLOOR_WAIT = "FLOOR_WAIT"
    FLOOR_ACQUIRED = "FLOOR_ACQUIRED"
    FLOOR_RELEASED = "FLOOR_RELEASED"
    TTS_START = "TTS_START"
    TTS_REQUEST = "TTS_REQUEST"
    TTS_FIRST_BYTE = "TTS_FIRST_BYTE"
    TTS_PLAYBACK_START = "TTS_PLAYBACK_START"
    TTS_FIRST_AUDIO = "TTS_FIRST_AUDIO"
    TTS_UNDERRUN = "TTS_UNDERRUN"
    TTS_RESUMED = "TTS_RESUMED"
    TTS_HELD = "TTS_HELD"
    TTS_WENT_ON = "TTS_WENT_ON"
    TTS_ERROR = "TTS_ERROR"
    TTS_PLAYBACK_END = "TTS_PLAYBACK_END"
    PROVIDER_SWITCH = "PROVIDER_SWITCH"
    STT_START = "STT_START"
    STT_COMPLETE = "STT_COMPLETE"
    STT_NO_SPEECH = "STT_NO_SPEECH"
    STT_ERROR = "STT_ERROR"
    DEVICE_LOST = "DEVICE_LOST"
    DEVICE_CHANGED = "DEVICE_CHANGED"


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the event log."""

    timestamp: datetime
    """UTC."""
    event_type: EventType
    conversation_id: str
    utterance_id: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


class EventSink(Protocol):
    """Takes events; returns at once and never raises."""

    def __call__(self, event: Event) -> None: ...


class EventRecorder:
    """A sink that keeps what it was told; for tests and for the demo's report."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def of(self, event_type: EventType) -> list[Event]:
        """The events of one type, in order."""
        return [event for event in self.events if event.event_type is event_type]
