"""`voice-mcp stats`, and the same figures in `voice-mcp log`."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from tests.cli.command import LONGEST_S, environment, voice_mcp
from tests.cli.terminal import on_a_terminal
from voice_mcp.cli.facts import facts_of
from voice_mcp.cli.first_audio import STAGES, stages_text
from voice_mcp.cli.numbers import number_of
from voice_mcp.cli.sparkline import sparkline
from voice_mcp.cli.spoken_log import NOBODY, Told, told_by
from voice_mcp.cli.statistics import Statistics, Step
from voice_mcp.cli.tally import Tally, percentile
from voice_mcp.storage.paths import DataRoot

NOON = datetime.now().astimezone().replace(hour=12).astimezone(UTC)
"""Of today: a change to summer time makes no other day of a noon."""
LOCAL, REMOTE = "127.0.0.1:8880", "api.openai.com"
SPLIT = dict(zip(STAGES, (1.0, 0.0, 2.0, 40.0, 0.2, 8.8, 10.0), strict=True))
DOCS = Path(__file__).parents[2] / "docs" / "statistics.md"
NO_MATPLOTLIB = "import sys; sys.modules['matplotlib'] = None; from voice_mcp.__main__ import main; main()"


def event(kind: str, data: object, *, back: int = 0, utterance: str = "utt_1", talk: str = "talk") -> dict[str, Any]:
    """A line of the event log, so many days old."""
    moment = NOON - timedelta(back)
    return {
        "timestamp": moment.isoformat(timespec="microseconds"),
        "event_type": kind,
        "conversation_id": talk,
        "utterance_id": utterance,
        "session_id": talk,
        "data": data,
    }


def ending(engine: str | None = LOCAL, ttfa_ms: float | None = 62.0, **other: Any) -> dict[str, Any]:
    """The data of an utterance's end, ten seconds long; a longer wait is the server's."""
    split = None
    if ttfa_ms is not None:
        server = SPLIT["server"] + ttfa_ms - sum(SPLIT.values())
        split = {f"{stage}_ms": value for stage, value in (SPLIT | {"server": server}).items()}
    return {
        "duration_s": 10.0,
        "interrupted": False,
        "engine": engine,
        "voice": "af_sky",
        "output": "sounddevice",
        "ttfa_ms": ttfa_ms,
        "ttfa": split,
        "underruns": 0,
        "inserted_s": 0.0,
        "buffer_mean_ms": 480.0,
        "buffer_least_ms": 61.0,
        "pace": 2.1,
        "decode_ms_per_s": 0.9,
        "decode_errors": 0,
        "resumes": 0,
        "switches": 0,
        "device_changes": 0,
        "cached": False,
        **other,
    }


def spoken(engine: str | None = LOCAL, ttfa_ms: float | None = 62.0, *, back: int = 0, **other: Any) -> dict[str, Any]:
    """The end of an utterance."""
    return event("TTS_PLAYBACK_END", ending(engine, ttfa_ms, **other), back=back)


def write(base_dir: Path, *events: Mapping[str, Any]) -> Path:
    files = DataRoot(base_dir).event_files()
    for each in events:
        files.append(datetime.fromisoformat(each["timestamp"]), each)
    return base_dir


def day(back: int) -> str:
    return (NOON - timedelta(back)).astimezone().date().isoformat()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Four days of a local server that has its troubles, one day of a remote one."""
    trouble: dict[str, Any] = {"underruns": 2, "inserted_s": 0.5, "resumes": 1, "switches": 1, "interrupted": True}
    return write(
        tmp_path / "data",
        *(spoken(ttfa_ms=50.0 + 10 * back, back=back) for back in (5, 3, 2, 0)),
        spoken(ttfa_ms=400.0, back=2, **trouble),
        spoken(REMOTE, 700.0, back=2),
        event("TTS_ERROR", {"engine": REMOTE, "code": "engine_error", "message": "It said 500."}, back=2),
        event("TTS_PLAYBACK_END", ending(ttfa_ms=90.0), talk="other"),
    )


def stats(base_dir: Path, *arguments: str) -> dict[str, Any]:
    done = voice_mcp(base_dir, "stats", "--json", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


# --- the arithmetic ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([], 50, None),
        ([7.0], 1, 7.0),
        ([7.0], 99, 7.0),
        ([4.0, 1.0, 3.0, 2.0], 50, 2.0),
        ([5.0, 1.0, 3.0, 2.0, 4.0], 50, 3.0),
        ([float(value) for value in range(1, 101)], 95, 95.0),
        ([float(value) for value in range(1, 101)], 99, 99.0),
        ([float(value) for value in range(1, 21)], 95, 19.0),
    ],
)
def test_a_percentile_is_the_nearest_rank(values: list[float], percent: int, expected: float | None) -> None:
    assert percentile(values, percent) == expected


def test_the_stages_of_the_median_add_up_to_it_and_leave_outliers_out() -> None:
    tally = Tally()
    for told in told_by(spoken(ttfa_ms=ms) for ms in (62.0,) * 9 + (5_000.0,)):
        tally.add(told.tally)
    assert tally.median_split is not None
    total, stages = tally.median_split
    assert total == pytest.approx(62.0)
    assert stages == pytest.approx(SPLIT)


def test_what_a_median_of_few_is_made_of_is_not_that_of_an_outlier() -> None:
    tally = Tally()
    for told in told_by(spoken(ttfa_ms=ms) for ms in (24.0, 26.0, 1_500.0, 2_000.0)):
        tally.add(told.tally)
    assert tally.median_split is not None
    assert (tally.ttfa_percentile_ms(50), tally.median_split[0]) == (26.0, 26.0)


def test_what_a_median_of_many_is_made_of_is_a_mean_of_the_nearest() -> None:
    tally = Tally()
    for told in told_by(spoken(ttfa_ms=float(ms)) for ms in range(100, 151)):
        tally.add(told.tally)
    assert tally.median_split is not None
    total, stages = tally.median_split
    assert total == pytest.approx(125.0)
    assert sum(stages.values()) == pytest.approx(125.0)


def test_tallies_add_up_to_what_all_of_it_together_gives() -> None:
    lines = [spoken(ttfa_ms=30.0 + ms, underruns=ms % 3, inserted_s=0.25, pace=float(ms)) for ms in range(40)]
    whole, first, rest = Tally(), Tally(), Tally()
    for number, told in enumerate(told_by(lines)):
        whole.add(told.tally)
        (first if number < 11 else rest).add(told.tally)
    first.add(rest)
    assert first.record() == whole.record()
    assert (whole.utterances, whole.record()["underruns_per_hour"]) == (40, pytest.approx(39 * 9, abs=0.01))


def test_without_speech_there_are_no_figures_of_an_hour() -> None:
    record = Tally(errors=3).record()
    assert (record["errors"], record["underruns_per_hour"], record["ttfa_split_ms"]) == (3, None, None)
    assert record["ttfa_ms"] == {"count": 0, "p50": None, "p95": None, "p99": None}


@pytest.mark.parametrize(
    ("values", "blocks", "drawn"),
    [
        ([], True, ""),
        ([8.0, 4.0, None, 1.0, 0.0], True, "█▄·▁▁"),
        ([8.0, 4.0, None, 1.0, 0.0], False, "84.11"),
        ([100.0, 99.0], True, "██"),
        ([0.0, None], True, "▁·"),
    ],
)
def test_a_sparkline_is_as_high_as_the_share_of_the_greatest(
    values: list[float | None], blocks: bool, drawn: str
) -> None:
    assert sparkline(values, blocks=blocks) == drawn


def test_long_spans_are_put_into_steps_that_end_with_the_last_day() -> None:
    statistics = Statistics(date(2026, 1, 1), date(2026, 1, 10))
    assert len(statistics.steps(10)) == 10
    assert statistics.steps(4)[0] == Step(date(2026, 1, 1), date(2026, 1, 1))
    assert statistics.steps(4)[-1] == Step(date(2026, 1, 8), date(2026, 1, 10))
    statistics.take(Told(date(2026, 1, number), "tone", Tally(utterances=1)) for number in range(1, 13))
    assert [statistics.of_step(step).utterances for step in statistics.steps(4)] == [1, 3, 3, 3]


# --- reading the log -----------------------------------------------------------------------------------------------


def test_logs_of_earlier_versions_count_for_what_they_have() -> None:
    (told,) = told_by(
        [
            event("TTS_FIRST_BYTE", {"engine": "espeak"}),
            event("TTS_PLAYBACK_START", {"at_s": 0.125}),
            event("TTS_UNDERRUN", {"at_s": 1.0, "gap_s": 0.25}),
            event("TTS_UNDERRUN", {"at_s": 2.0, "gap_s": 0.25}),
            event("PROVIDER_SWITCH", {"from": "espeak", "to": "tone"}),
            event("TTS_FIRST_BYTE", {"engine": "tone"}, utterance="utt_2"),
            event("TTS_PLAYBACK_END", {"duration_s": 3.5, "underruns": 2, "decode_errors": 1, "interrupted": True}),
        ]
    )
    tally = told.tally
    assert (told.engine, list(tally.ttfa_ms), tally.inserted_s, tally.switches) == ("espeak", [125.0], 0.5, 1)
    assert (tally.spoken_s, tally.underruns, tally.decode_errors, tally.interrupted) == (3.5, 2, 1, 1)
    assert tally.median_split is None


def test_what_the_end_says_counts_more_than_what_came_before() -> None:
    events = [event("TTS_UNDERRUN", {"at_s": 1.0, "gap_s": 0.25}), event("TTS_PLAYBACK_START", {"at_s": 9.0}), spoken()]
    (told,) = told_by(events)
    assert (list(told.tally.ttfa_ms), told.tally.inserted_s) == ([62.0], 0.0)


def test_failures_count_for_the_engine_and_for_the_utterance_that_ended_by_them() -> None:
    events = [
        event("TTS_ERROR", {"engine": LOCAL, "code": "engine_error", "message": "No."}),
        event("TTS_ERROR", {"code": "all_engines_failed", "message": "No.", "fatal": True}),
        event("TTS_PLAYBACK_END", ending(engine=None, ttfa_ms=None, duration_s=0.0)),
    ]
    error, end = told_by(events)
    assert (error.engine, error.tally.errors, error.tally.utterances) == (LOCAL, 1, 0)
    assert (end.engine, end.tally.failed, end.tally.utterances) == (NOBODY, 1, 1)


def test_utterances_that_never_end_make_room_for_later_ones() -> None:
    names = [f"utt_{number}" for number in range(3_000)]
    begun = [event("TTS_FIRST_BYTE", {"engine": "tone"}, utterance=name) for name in names]
    ends = [event("TTS_PLAYBACK_END", {"duration_s": 1.0}, utterance=name) for name in (names[0], names[-1])]
    assert [told.engine for told in told_by([*begun, *ends])] == [NOBODY, "tone"]


@pytest.mark.parametrize(
    "strange",
    [
        {},
        spoken() | {"timestamp": "yesterday"},
        spoken() | {"timestamp": "9999-12-31T23:59:59-14:00"},
        spoken() | {"data": None},
        spoken() | {"event_type": ["TTS_PLAYBACK_END"]},
        event("SOMETHING_ELSE", ending()),
    ],
)
def test_lines_that_make_no_sense_add_nothing(strange: dict[str, Any]) -> None:
    assert list(told_by([strange])) == []


@pytest.mark.parametrize("strange", ["3", None, True, -1, float("nan"), float("inf"), 10**400, [1], {"a": 1}])
def test_values_that_are_no_numbers_count_for_nothing(strange: object) -> None:
    assert number_of(strange) is None
    fields = dict.fromkeys(("duration_s", "ttfa_ms", "underruns", "inserted_s", "pace", "resumes", "switches"), strange)
    (told,) = told_by([event("TTS_PLAYBACK_END", ending() | fields | {"ttfa": {"server_ms": strange}})])
    assert told.tally.record() | {"utterances": 0} == Tally().record() | {
        "buffer_mean_ms": 480.0,
        "buffer_least_ms": 61.0,
        "decode_ms_per_s": 0.9,
    }


# --- the command ---------------------------------------------------------------------------------------------------


def test_what_was_really_spoken_is_counted(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for text in ("First.", "Second."):
        assert voice_mcp(data, "speak", text, "--voice", "sine", VOICEMODE_AUDIO_OUTPUT="null").returncode == 0
    (engine,) = stats(data)["engines"]
    assert (engine["engine"], engine["utterances"], engine["failed"]) == ("tone", 2, 0)
    assert engine["spoken_s"] > 0.5
    assert engine["ttfa_ms"]["count"] == 2
    assert 0 < engine["ttfa_ms"]["p50"] <= engine["ttfa_ms"]["p99"] < 1000 * LONGEST_S


def test_figures_by_engine_and_by_day(data: Path) -> None:
    figures = stats(data)
    local, remote = figures["engines"]
    assert (local["engine"], local["utterances"], local["spoken_s"]) == (LOCAL, 6, 60.0)
    assert local["ttfa_ms"] == {"count": 6, "p50": 80.0, "p95": 400.0, "p99": 400.0}
    assert (local["underruns"], local["underruns_per_hour"]) == (2, 120.0)
    assert (local["inserted_s"], local["inserted_s_per_hour"]) == (0.5, 30.0)
    assert (local["resumes"], local["switches"], local["interrupted"], local["errors"]) == (1, 1, 1, 0)
    assert [each["day"] for each in local["days"]] == [day(back) for back in (5, 3, 2, 0)]
    assert [each["ttfa_ms"]["p50"] for each in local["days"]] == [100.0, 80.0, 70.0, 50.0]
    assert (remote["engine"], remote["utterances"], remote["errors"]) == (REMOTE, 1, 1)
    assert sum(remote["ttfa_split_ms"].values()) == pytest.approx(700.0)
    assert figures["total"]["utterances"] == 7
    assert {each["day"]: each["utterances"] for each in figures["days"]} == {day(5): 1, day(3): 1, day(2): 3, day(0): 2}


def test_the_json_has_the_fields_that_are_written_down_and_no_other(data: Path) -> None:
    figures = stats(data)
    table = re.findall(r"^\| (`[a-z_0-9`, .]+) \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    documented = {name for cell in table for name in re.findall(r"`([a-z_0-9.]+)`", cell)}
    used = {*figures, *figures["engines"][0], *figures["days"][0]} - {"ttfa_ms", "ttfa_split_ms"}
    for name in ("ttfa_ms", "ttfa_split_ms"):
        used |= {f"{name}.{key}" for key in figures["total"][name]}
    assert used == documented


def test_one_engine_one_conversation_and_some_days_are_chosen(data: Path) -> None:
    assert stats(data, "--engine", REMOTE)["total"]["utterances"] == 1
    assert stats(data, "--conversation", "other")["total"]["ttfa_ms"]["p50"] == 90.0
    days = stats(data, "--days", "3")
    assert (days["first_day"], days["last_day"], days["total"]["utterances"]) == (day(2), day(0), 5)
    assert stats(data, "--days", "4", "--engine", LOCAL, "--conversation", "talk")["total"]["utterances"] == 4


def test_torn_and_foreign_lines_are_passed_over(data: Path) -> None:
    (path, *_) = sorted((data / "logs" / "events").glob("*.jsonl"))
    with path.open("ab") as file:
        file.write(b'{"timestamp": "2026-\n[1, 2]\n\xff\xfe\n{"event_type": "TTS_PLAYBACK_END"}\n{"cut": ')
    done = voice_mcp(data, "stats", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["total"]["utterances"] == 7


def test_in_a_pipe_it_is_plain_tables_of_everything(data: Path) -> None:
    done = voice_mcp(data, "stats")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    engines, days = (part.splitlines() for part in done.stdout.split("\n\n"))
    assert engines[0].split()[:5] == ["ENGINE", "SAID", "SPOKEN", "P50", "P95"]
    assert [stage.upper() for stage in STAGES if stage.upper() not in engines[0]] == []
    assert engines[1].split()[:6] == [LOCAL, "6", "1:00", "80", "400", "400"]
    assert engines[1].endswith("········█·▇▆·▄")
    assert [line.split()[0] for line in days] == ["DAY", *(day(back) for back in (5, 3, 2, 0))]
    assert days[3].split()[1:] == ["3", "0:30", "400", "700", "700", "2", "0.50", "1", "0", "1"]


def test_where_there_are_no_blocks_the_days_are_digits(data: Path) -> None:
    done = voice_mcp(data, "stats", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1].endswith("........8.76.4")


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals of POSIX systems")
def test_on_a_terminal_each_engine_is_a_paragraph_within_80_columns(data: Path) -> None:
    drawn = on_a_terminal(data, "stats")
    assert "\x1b[" in drawn
    lines = re.sub(r"\x1b\[[0-9;]*m", "", drawn).replace("\r", "").splitlines()
    assert max(map(cell_len, lines)) <= 80
    text = [" ".join(line.split()) for line in lines]
    assert f"{LOCAL} 6 utterances, 1:00 of speech" in text
    assert "first sound p50 80 ms · p95 400 ms · p99 400 ms" in text
    assert "gaps 2 (120.0 an hour of speech) · 0.50 s of silence (30.0 s an hour)" in text
    assert "trouble 1 resumed · 1 switched · 1 interrupted" in text
    assert "day by day ········█·▇▆·▄ p50 50 to 100 ms" in text
    assert "trouble 1 error" in text
    assert any(line.startswith(day(2)) for line in text)


def test_a_narrow_terminal_gets_fewer_columns_not_broken_numbers(data: Path) -> None:
    # FORCE_COLOR makes a pipe a terminal, whose width COLUMNS tells.
    drawn = voice_mcp(data, "stats", FORCE_COLOR="1", COLUMNS="50").stdout
    lines = re.sub(r"\x1b\[[0-9;]*m", "", drawn).splitlines()
    assert max(map(cell_len, lines)) <= 50
    (heading,) = [line for line in lines if line.startswith("DAY")]
    assert heading.split()[:4] == ["DAY", "SAID", "P50", "P95"]
    assert [line.split()[2] for line in lines if line.startswith(day(5))] == ["100"]


def test_an_engine_that_said_nothing_is_an_error_that_names_those_that_did(data: Path) -> None:
    done = voice_mcp(data, "stats", "--engine", "nobody")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"There are: {LOCAL}, {REMOTE}." in done.stderr


def test_without_data_a_sentence_says_what_to_do(tmp_path: Path) -> None:
    done = voice_mcp(tmp_path / "data", "stats")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (0, "", 1)
    assert "voice-mcp speak" in done.stderr
    assert "--days" in done.stderr
    record = voice_mcp(tmp_path / "data", "stats", "--json")
    assert json.loads(record.stdout)["total"]["utterances"] == 0


def test_a_conversation_without_data_is_named(data: Path) -> None:
    done = voice_mcp(data, "stats", "--conversation", "nobody")
    assert (done.returncode, done.stdout) == (0, "")
    assert "nobody" in done.stderr


def test_a_log_that_is_switched_off_is_a_warning_beside_the_figures(data: Path) -> None:
    done = voice_mcp(data, "stats", VOICEMODE_EVENT_LOG_ENABLED="false")
    assert done.returncode == 0
    assert "VOICEMODE_EVENT_LOG_ENABLED=false" in done.stderr
    assert LOCAL in done.stdout


def test_names_of_engines_cannot_control_the_terminal(tmp_path: Path) -> None:
    data = write(tmp_path / "data", spoken("\x1b[2Jevil$\n$name"))
    done = voice_mcp(data, "stats", "--plot", str(tmp_path / "plot.png"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert "evil$ $name" in done.stdout


def test_the_help_names_it(tmp_path: Path) -> None:
    assert " stats " in voice_mcp(tmp_path / "data", "--help").stdout


# --- the picture ---------------------------------------------------------------------------------------------------


def test_a_picture_of_sensible_size_is_drawn(data: Path, tmp_path: Path) -> None:
    plot = tmp_path / "plot.png"
    done = voice_mcp(data, "stats", "--plot", str(plot))
    assert (done.returncode, done.stderr) == (0, "")
    assert str(plot) in done.stdout
    assert plot.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", plot.read_bytes()[16:24])
    assert (1_500 <= width <= 2_500, 500 <= height <= 1_500) == (True, True)


def test_a_picture_names_every_engine_and_stage(data: Path, tmp_path: Path) -> None:
    plot = tmp_path / "plot.svg"
    assert voice_mcp(data, "stats", "--json", "--days", "100", "--plot", str(plot)).returncode == 0
    drawn = plot.read_text(encoding="utf-8")
    assert [name for name in (LOCAL, REMOTE, *STAGES) if f"<!-- {name} -->" not in drawn] == []
    assert "3 days a point" in drawn


def test_a_picture_of_many_engines_names_those_that_said_most_and_lumps_the_others(tmp_path: Path) -> None:
    said = [f"{number}.example:8880" for number in range(12)]
    lines = [spoken(name, 60.0 + 10 * number) for number, name in enumerate(said) for _ in range(20 - number)]
    refused = [event("TTS_ERROR", {"engine": "silent.example", "code": "engine_error"})]
    data = write(tmp_path / "data", *lines, *refused)
    plot = tmp_path / "plot.svg"
    assert voice_mcp(data, "stats", "--plot", str(plot)).returncode == 0
    drawn = plot.read_text(encoding="utf-8")
    assert [name for name in said if f"<!-- {name} -->" in drawn] == said[:8]
    assert "<!-- 5 others -->" in drawn


def test_a_legend_names_only_what_is_drawn(data: Path, tmp_path: Path) -> None:
    write(data, event("TTS_ERROR", {"engine": "silent.example", "code": "engine_error"}))
    plot = tmp_path / "plot.svg"
    assert voice_mcp(data, "stats", "--plot", str(plot)).returncode == 0
    assert "silent.example" not in plot.read_text(encoding="utf-8")


def test_a_picture_of_failures_alone_is_drawn(tmp_path: Path) -> None:
    data = write(tmp_path / "data", event("TTS_ERROR", {"engine": LOCAL, "code": "engine_error"}))
    done = voice_mcp(data, "stats", "--plot", str(tmp_path / "plot.png"))
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "plot.png").stat().st_size > 10_000


@pytest.mark.parametrize(("name", "words"), [("plot.gif", "End its name in .png or .svg."), ("there.png", "--force")])
def test_a_picture_that_cannot_be_written_is_refused(data: Path, tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "there.png").write_bytes(b"mine")
    done = voice_mcp(data, "stats", "--plot", str(tmp_path / name))
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr
    assert (tmp_path / "there.png").read_bytes() == b"mine"
    assert voice_mcp(data, "stats", "--plot", str(tmp_path / "there.png"), "--force").returncode == 0
    assert (tmp_path / "there.png").read_bytes() != b"mine"


def test_without_matplotlib_the_command_that_installs_it_is_named(data: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", NO_MATPLOTLIB, "stats", "--plot", str(tmp_path / "plot.png")],
        capture_output=True,
        env=environment(data),
        cwd=tmp_path,
        timeout=LONGEST_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, b"")
    assert b'pip install "voice-mcp[plot]"' in done.stderr


# --- in the log ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("total_ms", "stages", "words"),
    [
        (62.0, SPLIT, "server 40 + device 10 + prebuffer 9 + connect 2 + text 1"),
        (6.0, {"server": 5.2, "device": 0.8, "queue": 0.01}, "server 5.2 + device 0.8"),
        (62.0, {"server": 40.0}, "server 40 + other 22"),
        (0.0, {}, ""),
    ],
)
def test_a_time_is_told_as_the_sum_of_its_stages(total_ms: float, stages: dict[str, float], words: str) -> None:
    assert stages_text(total_ms, stages) == words


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            ending(),
            f"10.00 s, {LOCAL}, voice af_sky, output sounddevice, "
            "ttfa 62 ms = server 40 + device 10 + prebuffer 9 + connect 2 + text 1, no gaps, "
            "buffer 480 ms, at least 61 ms, 2.1 × real time, decoding 0.9 ms/s",
        ),
        ({"ttfa_ms": 61.2, "ttfa": None}, "ttfa 61 ms"),
        ({"ttfa_ms": None, "ttfa": None, "cached": True}, "from the cache"),
        ({"underruns": 2, "inserted_s": 0.25}, "2 gaps, 250 ms of silence in them"),
        ({"resumes": 1, "switches": 2, "device_changes": 1, "decode_errors": 3}, None),
        ({"ttfa_ms": "soon", "ttfa": {"server_ms": 1}}, "soon, ttfa={'server_ms': 1}"),
        ({"output": "sounddevice", "gap_s": 0.12}, "output sounddevice, gap of 120 ms"),
    ],
)
def test_the_end_of_an_utterance_is_told_in_words(data: dict[str, Any], words: str | None) -> None:
    assert facts_of(data) == (words or "1 resumed, 2 switched, 1 device change, 3 damaged")


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals of POSIX systems")
def test_a_change_of_device_stands_out_in_the_log(tmp_path: Path) -> None:
    changed = event("DEVICE_CHANGED", {"output": "sounddevice", "gap_s": 0.12})
    drawn = on_a_terminal(write(tmp_path / "data", changed), "log")
    assert re.search(r"\x1b\[33mDEVICE_CHANGED", drawn)
