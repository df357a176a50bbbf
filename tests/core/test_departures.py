"""What the event log says of what left this machine."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from voice_mcp.core.departures import Departures, departures

NOON = "2026-11-20T12:00:{:02}.000000+00:00"


def line(kind: str, second: int = 0, utterance: str | None = "utt_1", **data: Any) -> dict[str, Any]:
    return {
        "timestamp": NOON.format(second),
        "event_type": kind,
        "conversation_id": "conv_1",
        "utterance_id": utterance,
        "session_id": "conv_1",
        "data": data,
    }


def totals(found: Departures) -> dict[str, tuple[int, int, int, int]]:
    return {
        host.host: (host.requests, host.text_chars, host.audio_up_bytes, host.audio_down_bytes)
        for host in found.by_host()
    }


def test_words_that_went_out_and_sound_that_came_back_are_counted_by_host() -> None:
    found = departures(
        [
            line("TTS_REQUEST", engine="127.0.0.1:8880", host="127.0.0.1:8880", chars=10),
            line("TTS_RECEIVED", host="127.0.0.1:8880", bytes=480, seconds=0.01),
            line("TTS_REQUEST", 1, engine="api.openai.com", host="api.openai.com", chars=8),
            line("TTS_RECEIVED", 2, host="api.openai.com", bytes=48_000, seconds=1.0),
            line("TTS_REQUEST", 3, "utt_2", engine="api.openai.com", host="api.openai.com", chars=5),
        ]
    )
    assert totals(found) == {"api.openai.com": (2, 13, 0, 48_000), "127.0.0.1:8880": (1, 10, 0, 480)}
    assert [host.beyond for host in found.by_host()] == [True, False]
    assert [(sent.utterance_id, sorted(sent.hosts)) for sent in found.sent] == [
        ("utt_1", ["127.0.0.1:8880", "api.openai.com"]),
        ("utt_2", ["api.openai.com"]),
    ]


def test_what_no_server_saw_is_not_told() -> None:
    found = departures(
        [
            line("TTS_REQUEST", engine="espeak", chars=10),
            line("TTS_REQUEST", engine="api.openai.com", chars=10, cached=True),
            line("STT_START", engine="whisper", bytes=96_000, seconds=3.0),
            line("FLOOR_ACQUIRED"),
        ]
    )
    assert found.sent == []


def test_lines_of_a_version_that_named_no_host_are_understood() -> None:
    found = departures([line("TTS_REQUEST", engine="api.openai.com", chars=7), line("TTS_FIRST_BYTE")])
    assert totals(found) == {"api.openai.com": (1, 7, 0, 0)}


def test_sound_that_went_out_is_counted_once_whether_its_beginning_or_its_end_tells_how_much() -> None:
    sound: dict[str, Any] = {"engine": "api.openai.com", "bytes": 96_044, "seconds": 3.0}
    for told in (
        [line("STT_START", **sound), line("STT_COMPLETE", engine="api.openai.com")],
        [line("STT_START", engine="api.openai.com"), line("STT_COMPLETE", **sound)],
        [line("STT_START", **sound), line("STT_COMPLETE", **sound)],
    ):
        assert totals(departures(told)) == {"api.openai.com": (1, 0, 96_044, 0)}
    again = [line("STT_START", **sound), line("STT_COMPLETE", **sound)] * 2
    assert totals(departures(again)) == {"api.openai.com": (2, 0, 192_088, 0)}


def test_each_server_that_was_sent_the_sound_is_told_also_one_that_failed() -> None:
    found = departures(
        [
            line("STT_START", sound_s=2.5, speech_s=2.0),
            line("STT_REQUEST", host="one.example", seconds=2.5),
            line("STT_ERROR", engine="one.example", code="engine_busy", message="No."),
            line("STT_REQUEST", host="two.example", seconds=2.5),
            line("STT_COMPLETE", engine="two.example", host="two.example", bytes=40_000),
        ]
    )
    assert [(host.host, host.requests, host.audio_up_s, host.audio_up_bytes) for host in found.by_host()] == [
        ("one.example", 1, 2.5, 0),
        ("two.example", 1, 2.5, 40_000),
    ]


def test_what_found_no_connection_was_not_sent() -> None:
    unreached: dict[str, Any] = {"code": "engine_unreachable", "message": "No.", "sent": False}
    found = departures(
        [
            line("TTS_REQUEST", engine="api.openai.com", host="api.openai.com", chars=8),
            line("TTS_RECEIVED", host="api.openai.com", bytes=0, seconds=0.0),
            line("TTS_ERROR", engine="api.openai.com", **unreached),
            line("STT_REQUEST", 1, "utt_2", host="api.openai.com", seconds=2.5),
            line("STT_ERROR", 1, "utt_2", engine="api.openai.com", **unreached),
            line("STT_ERROR", 2, "utt_3", engine="api.openai.com", **unreached),
        ]
    )
    assert found.sent == []


def test_what_may_have_been_sent_counts_as_sent() -> None:
    found = departures(
        [
            line("TTS_REQUEST", engine="one.example", host="one.example", chars=8),
            line("TTS_REQUEST", 1, engine="one.example", host="one.example", chars=5),
            line("TTS_ERROR", 1, engine="one.example", code="engine_unreachable", sent=False),
            line("TTS_REQUEST", 2, engine="two.example", host="two.example", chars=7),
            line("TTS_ERROR", 2, engine="two.example", code="engine_unreachable"),
            line("STT_REQUEST", 3, "utt_2", host="one.example", seconds=2.5),
            line("STT_ERROR", 3, "utt_2", engine="one.example", code="engine_stalled"),
            line("STT_REQUEST", 4, "utt_2", host="one.example", seconds=2.5),
            line("STT_ERROR", 4, "utt_2", engine="one.example", code="engine_unreachable", sent=False),
        ]
    )
    assert totals(found) == {"one.example": (2, 8, 0, 0), "two.example": (1, 7, 0, 0)}
    assert [host.audio_up_s for host in found.by_host()] == [2.5, 0.0]


def test_when_the_microphone_was_open_is_known_from_both_ends() -> None:
    found = departures(
        [
            line("RECORDING_START", 1),
            line("RECORDING_START", 2, "utt_2"),
            line("RECORDING_END", 4, seconds=2.9),
            line("RECORDING_END", 9, "utt_9"),
        ]
    )
    assert [one.seconds for one in found.microphone] == [3.0, None]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
KINDS = ["TTS_REQUEST", "TTS_RECEIVED", "STT_START", "STT_REQUEST", "STT_COMPLETE", "RECORDING_START", "RECORDING_END"]
KINDS += ["TTS_ERROR", "STT_ERROR"]
LINES = st.fixed_dictionaries(
    {},
    optional={
        "timestamp": st.just(NOON.format(5)) | ANYTHING,
        "event_type": st.sampled_from(KINDS) | ANYTHING,
        "conversation_id": ANYTHING,
        "utterance_id": ANYTHING,
        "data": st.fixed_dictionaries(
            {},
            optional=dict.fromkeys(("host", "engine", "bytes", "chars", "cached"), ANYTHING) | {"sent": st.booleans()},
        )
        | ANYTHING,
    },
)


@given(st.lists(LINES, max_size=6))
def test_whatever_stands_in_the_log_something_is_told(lines: list[dict[str, Any]]) -> None:
    for host in departures(lines).by_host():
        assert min(host.requests, host.text_chars, host.audio_up_bytes, host.audio_down_bytes) >= 0
