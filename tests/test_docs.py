"""The papers say what the code does: names, defaults, codes, events, links, and examples that run."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
import wave
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import anyio
import pytest
from mcp import Client
from pydantic.fields import FieldInfo

from tests.support.house import make_house
from tests.support.ports import refusing_port
from voice_mcp.core.metrics import FirstSound, Metrics
from voice_mcp.errors import VoiceError
from voice_mcp.events import EventRecorder, EventType
from voice_mcp.server import create_server
from voice_mcp.settings import Settings, setting_names

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
FOLDERS = ("", "docs", "docs/adr", "benchmarks", "examples")
PAPERS = sorted(path for folder in FOLDERS for path in (ROOT / folder).glob("*.md"))
DECISIONS = sorted(DOCS.glob("adr/[0-9]*.md"))
FIELDS = {setting_names(name, field)[0]: field for name, field in Settings.model_fields.items()}
SETTING = r"\b(?:VOICEMODE_[A-Z_]*[A-Z]|OPENAI_API_KEY)\b"
ROOMS = "voice_mcp|tests|tools|core|playback|tts|codecs|backends|storage|cli"
LONGEST_RUN_S = 60.0
LONGEST_README_LINES = 250
LONGEST_DECISION_LINES = 60


def kinds(kind: type[VoiceError] = VoiceError) -> Iterator[type[VoiceError]]:
    yield kind
    for narrower in kind.__subclasses__():
        if narrower.__module__ == VoiceError.__module__:
            yield from kinds(narrower)


@cache
def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def rows(path: Path) -> dict[str, list[str]]:
    """The rows of all tables whose first cell is a name in backticks: that name to the other cells."""
    found: dict[str, list[str]] = {}
    for line in read(path).splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("| `") and re.fullmatch(r"`[^`]+`", cells[0]):
            name = cells[0].strip("`")
            assert name not in found, f"{name} has two rows in {path.name}"
            found[name] = cells[1:]
    return found


def plain(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)


def default_of(field: FieldInfo) -> str:
    """A default as a person writes it."""
    value: object = field.default
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case int() | float():
            return plain(value)
        case tuple():
            return ",".join(value)
        case Path():
            return value.as_posix()
    return str(value)


def limits_of(field: FieldInfo) -> list[str]:
    """What a row on its range has to name."""
    if get_origin(field.annotation) is Literal:
        return list(get_args(field.annotation))
    found = [getattr(limit, name, None) for limit in field.metadata for name in ("gt", "ge", "lt", "le")]
    return [plain(limit) for limit in found if limit is not None]


# --- settings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FIELDS)
def test_every_setting_is_explained_with_its_true_default_and_range(name: str) -> None:
    default, allowed, meaning = rows(DOCS / "settings.md")[name]
    assert default == (f"`{default_of(FIELDS[name])}`" if default_of(FIELDS[name]) else "empty")
    assert [limit for limit in limits_of(FIELDS[name]) if not re.search(rf"\b{re.escape(limit)}\b", allowed)] == []
    assert meaning.endswith(".")


def test_no_setting_is_explained_that_does_not_exist() -> None:
    assert rows(DOCS / "settings.md").keys() == FIELDS.keys()


def test_the_example_file_holds_every_setting_once_with_its_true_default_switched_off() -> None:
    given = re.findall(rf"^# ({SETTING})=(.*)$", read(ROOT / ".env.example"), re.MULTILINE)
    assert sorted(given) == sorted((name, default_of(field)) for name, field in FIELDS.items())
    assert all(line.startswith("#") for line in read(ROOT / ".env.example").splitlines() if line)


@pytest.mark.parametrize("name", FIELDS)
def test_every_setting_of_the_example_file_has_a_line_that_says_what_it_does(name: str) -> None:
    lines = read(ROOT / ".env.example").splitlines()
    before = lines[next(number for number, line in enumerate(lines) if line.startswith(f"# {name}=")) - 1]
    assert re.fullmatch(r"# .+\.", before)


@pytest.mark.parametrize("path", [*PAPERS, ROOT / ".env.example"], ids=lambda path: path.name)
def test_no_paper_names_a_setting_that_does_not_exist(path: Path) -> None:
    known = {name for key, field in Settings.model_fields.items() for name in setting_names(key, field)}
    assert set(re.findall(SETTING, read(path))) <= known


def test_the_defaults_of_the_readme_are_the_true_ones() -> None:
    given = {name: cells[0].strip("`") for name, cells in rows(ROOT / "README.md").items() if name in FIELDS}
    assert len(given) >= 5
    assert given == {name: default_of(FIELDS[name]) for name in given}


# --- events and errors -------------------------------------------------------------------------------------------


def test_every_event_is_explained_and_no_other() -> None:
    explained = {name for name in rows(DOCS / "events.md") if name.isupper()}
    assert explained == {event.value for event in EventType}


@pytest.mark.anyio
async def test_events_carry_the_data_that_is_written_down(tmp_path: Path) -> None:
    recorder = EventRecorder()
    with refusing_port() as port, anyio.fail_after(LONGEST_RUN_S):
        house = make_house(
            tmp_path,
            events=recorder,
            tts_engine="auto",
            tts_base_urls=(f"http://127.0.0.1:{port}/v1",),
            audio_output="null",
        )
        async with Client(create_server(house)) as client, anyio.create_task_group() as calls:
            calls.start_soon(client.call_tool, "speak", {"message": "One."})
            calls.start_soon(client.call_tool, "speak", {"message": "Two."})
    explained = rows(DOCS / "events.md")
    measured = {name for name in explained if name.islower()}
    kinds_seen = {event.event_type for event in recorder.events}
    assert kinds_seen >= {EventType.PROVIDER_SWITCH, EventType.TTS_ERROR, EventType.FLOOR_WAIT, EventType.TTS_START}
    for event in recorder.events:
        documented = set(re.findall(r"`(\w+)`", explained[event.event_type][1]))
        if event.event_type is EventType.TTS_PLAYBACK_END:
            assert measured & event.data.keys() == Metrics(FirstSound(0.0)).as_data().keys()
            documented |= measured
        assert event.data.keys() <= documented, event.event_type


def test_the_example_of_an_event_has_the_fields_that_are_explained() -> None:
    example = json.loads(re.findall(r"```json\n(.*?)\n```", read(DOCS / "events.md"), re.DOTALL)[0])
    beginning = read(DOCS / "events.md").partition("\n## ")[0]
    table = re.findall(r"^\| (`[a-z_`, ]+) \|", beginning, re.MULTILINE)
    assert set(example) == {name for cell in table for name in re.findall(r"`(\w+)`", cell)}


@pytest.mark.parametrize("kind", list(kinds()), ids=lambda kind: kind.code)
def test_every_error_is_explained_with_its_hint(kind: type[VoiceError]) -> None:
    when, hint, again = rows(DOCS / "errors.md")[kind.code]
    assert when
    assert hint == kind.hint.replace("|", r"\|")
    assert again == ("yes" if kind.retryable else "no")


def test_no_error_is_explained_that_does_not_exist() -> None:
    assert rows(DOCS / "errors.md").keys() == {kind.code for kind in kinds()}


# --- what goes wrong ---------------------------------------------------------------------------------------------


@cache
def all_tests() -> frozenset[str]:
    """The names of all test functions there are."""
    trees = (ast.parse(read(path)) for path in (ROOT / "tests").rglob("test_*.py"))
    functions = (node for tree in trees for node in ast.walk(tree))
    kinds_of_function = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(
        node.name for node in functions if isinstance(node, kinds_of_function) and node.name.startswith("test_")
    )


def mishaps() -> list[list[str]]:
    """The rows of all tables on what goes wrong, without their headings."""
    lines = [line for line in read(DOCS / "resilience.md").splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [row for row in cells if row[0] != "what goes wrong" and not set(row[0]) <= {"-"}]


@pytest.mark.parametrize("row", mishaps(), ids=lambda row: re.sub(r"[^\w ]", "", row[0])[:60])
def test_everything_that_goes_wrong_is_shown_by_a_test_that_exists(row: list[str]) -> None:
    assert len(row) == 4
    named = re.findall(r"`(test_\w+)`", row[3])
    assert named
    assert [name for name in named if name not in all_tests()] == []
    assert "†" not in "".join(row)


def test_every_table_of_what_goes_wrong_says_by_what_it_is_shown() -> None:
    headings = [line for line in read(DOCS / "resilience.md").splitlines() if line.startswith("| what goes wrong |")]
    assert len(headings) >= 5
    assert all(line.endswith("| shown by |") for line in headings)


# --- decisions and dependencies ----------------------------------------------------------------------------------


def test_every_dependency_is_accounted_for_and_no_other() -> None:
    project = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]
    names = {re.split(r"[<>=~!\[; ]", line)[0] for line in project["dependencies"]}
    assert rows(DOCS / "adr" / "0002-dependencies.md").keys() == names


def test_decisions_are_numbered_without_gaps_and_each_under_its_own_number() -> None:
    assert [path.name[:4] for path in DECISIONS] == [f"{number:04}" for number in range(1, len(DECISIONS) + 1)]


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_is_one_page_with_its_number_and_its_reasons(path: Path) -> None:
    text = read(path)
    assert text.startswith(f"# {path.name[:4]}: ")
    assert len(text.splitlines()) <= LONGEST_DECISION_LINES
    assert [part for part in ("**Status**", "## Context", "## Decision", "## Weighed") if part not in text] == []
    assert f"({path.name})" in read(DOCS / "adr" / "README.md")


def test_the_floors_that_are_drawn_are_the_floors_that_are_checked() -> None:
    (contract,) = tomllib.loads(read(ROOT / "pyproject.toml"))["tool"]["importlinter"]["contracts"]
    checked = [sorted(re.findall(r"\w+", floor)) for floor in contract["layers"]]
    drawing = read(DOCS / "architecture.md").partition("## Who may import whom")[2].partition("\n## ")[0]
    assert [sorted(line.strip().split(" · ")) for line in re.findall(r"^    .+$", drawing, re.MULTILINE)] == checked


# --- links, commands, examples -----------------------------------------------------------------------------------


def anchors(path: Path) -> set[str]:
    """What a link into a page can name: its headings as GitHub spells them."""
    headings = re.findall(r"^#+ (.+)$", read(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAPERS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_between_papers_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", read(path)):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        linked = (path.parent / name).resolve() if name else path
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


@pytest.mark.parametrize("path", PAPERS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_of_the_code_that_papers_name_exist(path: Path) -> None:
    named = re.findall(rf"`((?:{ROOMS})/\w+\.py)`", read(path))
    missing = [name for name in named if not (ROOT / name).exists() and not (ROOT / "voice_mcp" / name).exists()]
    assert missing == []


def test_the_readme_is_short_and_begins_with_the_two_commands() -> None:
    lines = read(ROOT / "README.md").splitlines()
    assert len(lines) <= LONGEST_README_LINES
    assert [command for command in ("make demo", "make test") if command not in "\n".join(lines[:15])] == []


def test_the_readme_gives_no_figure_that_the_benchmarks_do_not() -> None:
    part = read(ROOT / "README.md").partition("## How fast")[2].partition("\n## ")[0]
    figures = re.findall(r"[\d.]+ (?:ms|MB|×)", part)
    assert figures
    assert [figure for figure in figures if figure not in read(ROOT / "benchmarks" / "README.md")] == []


def test_the_configurations_of_the_readme_can_be_read() -> None:
    text = read(ROOT / "README.md")
    for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL):
        (servers,) = json.loads(block).values()
        assert servers["voice"]["args"] == ["voice-mcp"]
    (block,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    assert tomllib.loads(block)["mcp_servers"]["voice"]["command"] == "uvx"


def run_example(name: str, *arguments: str, **settings: str) -> str:
    finished = subprocess.run(
        [sys.executable, str(ROOT / "examples" / name), *arguments],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=LONGEST_RUN_S,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_the_client_example_speaks_with_captions(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"VOICEMODE_TTS_ENGINE": "tone", "VOICEMODE_AUDIO_OUTPUT": "null"}
    said = run_example("mcp_client.py", "Two words.", VOICEMODE_BASE_DIR=str(tmp_path), **settings)
    assert "s  Two words." in said
    assert re.search(r"^status +completed$", said, re.MULTILINE)


@pytest.mark.parametrize("output", ["null", "file"])
def test_the_example_without_speech_plays_every_frame(tmp_path: Path, output: str) -> None:
    path = tmp_path / "tone.wav"
    told = run_example("play_pcm.py", str(path), VOICEMODE_AUDIO_OUTPUT=output)
    assert "heard 2.00 s" in told
    if output == "file":
        with wave.open(str(path)) as saved:
            assert saved.getnframes() == 48_000


@pytest.mark.parametrize("path", sorted(ROOT.glob("examples/*.py")), ids=lambda path: path.name)
def test_an_example_is_short_and_says_what_it_shows(path: Path) -> None:
    assert read(path).startswith('"""')
    assert len(read(path).splitlines()) <= 60
