"""What the picture of a conversation knows of waits and gaps."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from voice_mcp.cli.export_record import Sound
from voice_mcp.cli.timeline import Timeline, timings_of
from voice_mcp.core.joining import Placed
from voice_mcp.storage.conversation_log import Exchange, ExchangeType


def event(kind: str, utterance_id: object = "utt_1", **data: Any) -> dict[str, Any]:
    return {"event_type": kind, "utterance_id": utterance_id, "data": data}


def sound(start_s: float, end_s: float, kind: ExchangeType = "tts", *, goes_on: bool = False, **metadata: Any) -> Sound:
    exchange = Exchange(datetime.now(UTC), "talk", "utt_1", kind, "Hello.", metadata=metadata)
    return Sound(Placed(b"", start_s, end_s), kind, exchange, goes_on)


UNDERRUNS = [
    event("TTS_PLAYBACK_START", at_s=0.2),
    event("TTS_UNDERRUN", at_s=1.5, gap_s=0.3),
    event("TTS_UNDERRUN", at_s=2.5, gap_s=0.5),
]


def test_gaps_lie_where_the_recording_was_when_they_began() -> None:
    timing = timings_of(UNDERRUNS)["utt_1"]
    assert timing.first_sound_s == 0.2
    assert [gap.into_s for gap in timing.gaps] == pytest.approx([1.0, 1.5])
    assert [gap.gap_s for gap in timing.gaps] == [0.3, 0.5]


def test_gaps_are_placed_in_the_whole_and_never_outside_their_utterance() -> None:
    timeline = Timeline(timings_of(UNDERRUNS))
    timeline.add(sound(10.0, 11.2, underruns=3, ttfa_ms=210.0))
    (stretch,) = timeline.stretches
    assert stretch.gaps == ((11.0, 0.3), (11.2, 0.5))
    assert (stretch.unplaced_gaps, stretch.ttfa_ms) == (1, 210.0)


def test_the_wait_comes_from_the_events_where_the_log_does_not_say() -> None:
    timeline = Timeline(timings_of(UNDERRUNS))
    timeline.add(sound(0.0, 3.0))
    assert timeline.stretches[0].ttfa_ms == 200.0


def test_parts_of_an_utterance_are_one_stretch() -> None:
    timeline = Timeline({})
    timeline.add(sound(0.0, 1.0, status="interrupted"))
    timeline.add(sound(1.0, 2.5, goes_on=True))
    timeline.add(sound(3.1, 4.0, "stt"))
    assert [(each.kind, each.start_s, each.end_s, each.cut_short) for each in timeline.stretches] == [
        ("tts", 0.0, 2.5, True),
        ("stt", 3.1, 4.0, False),
    ]


@pytest.mark.parametrize(
    "strange",
    [
        {},
        {"event_type": "TTS_UNDERRUN", "utterance_id": "utt_1", "data": None},
        event("TTS_UNDERRUN", at_s="soon"),
        event("TTS_UNDERRUN", at_s=1.0),
        event("TTS_PLAYBACK_START", utterance_id=7, at_s=1.0),
    ],
)
def test_lines_that_make_no_sense_are_passed_over(strange: dict[str, Any]) -> None:
    assert timings_of([strange]) == {}
