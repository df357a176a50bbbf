"""What is written is its owner's alone, and stays in the data folder whatever links were planted there."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mcp import Client

from tests.support.endpoint import SpeechEndpoint
from tests.support.house import everything_in
from tests.support.speaking import answer_to, house_of, said
from voice_mcp.errors import InvalidConversationId, StorageError
from voice_mcp.server import create_server
from voice_mcp.storage.event_log import read_events
from voice_mcp.storage.paths import DataRoot

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform == "win32", reason="links and modes of POSIX systems")]

CONVERSATION = "conv_planted"


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder: Path) -> set[tuple[str, str]]:
    """Kind and permissions of everything below."""
    return {
        ("folder" if path.is_dir() else "file", oct(stat.S_IMODE(path.stat().st_mode)))
        for path in (folder, *folder.rglob("*"))
    }


@pytest.mark.usefixtures("open_umask")
@pytest.mark.parametrize("output", ["file", "null"])
async def test_everything_that_is_kept_is_the_owners_alone(
    tmp_path: Path, speech_endpoint: SpeechEndpoint, output: str
) -> None:
    base = tmp_path / "root"
    await answer_to(house_of(base, speech_endpoint, audio_output=output, debug=True), *["Done."] * 3)
    kinds = {path.suffix for path in base.rglob("*") if path.is_file()}
    assert {".jsonl", ".wav", ".txt", ".phrase"} <= kinds
    assert modes(base) == {("folder", "0o700"), ("file", "0o600")}


@pytest.mark.parametrize(
    "planted",
    ["audio", f"audio/{CONVERSATION}", "logs", "logs/events", "logs/conversations", "cache", "cache/phrases"],
)
async def test_no_link_to_a_folder_leads_anything_out(
    tmp_path: Path, speech_endpoint: SpeechEndpoint, planted: str
) -> None:
    base, outside = tmp_path / "root", tmp_path / "outside"
    outside.mkdir()
    link = base / planted
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    answer = await said(house_of(base, speech_endpoint, audio_output="null", debug=True), "Hello there.")
    assert answer["status"] == "completed"
    assert list(outside.rglob("*")) == []


@pytest.mark.parametrize("log", ["event_files", "exchange_files"])
async def test_no_link_in_place_of_a_log_is_written_or_read(
    tmp_path: Path, speech_endpoint: SpeechEndpoint, log: str
) -> None:
    base, victim = tmp_path / "root", tmp_path / "victim"
    victim.write_bytes(b'{"conversation_id":"of somebody else"}\n')
    house = house_of(base, speech_endpoint, audio_output="null")
    path = getattr(DataRoot(base), log)().path(house.clock.utc().date())
    path.parent.mkdir(parents=True)
    path.symlink_to(victim)
    answer = await said(house, "Hello there.")
    assert answer["status"] == "completed"
    assert "could not be written" in answer["note"]
    assert victim.read_bytes() == b'{"conversation_id":"of somebody else"}\n'
    with pytest.raises(StorageError):
        list(getattr(DataRoot(base), log)().read())


async def test_no_link_in_place_of_a_lock_is_followed(tmp_path: Path, speech_endpoint: SpeechEndpoint) -> None:
    base, victim = tmp_path / "root", tmp_path / "victim"
    victim.write_bytes(b"mine")
    for folder in ("logs/events", "logs/conversations", "audio"):
        (base / folder).mkdir(parents=True)
        (base / folder / ".lock").symlink_to(victim)
    await said(house_of(base, speech_endpoint, audio_output="null", debug=True), "Hello there.")
    assert victim.read_bytes() == b"mine"
    assert stat.S_IMODE(victim.stat().st_mode) != 0o600


@pytest.mark.parametrize("name", ["run", "models", "run/deeper"])
def test_no_folder_that_is_made_is_reached_over_a_link_that_leads_out(tmp_path: Path, name: str) -> None:
    root, outside = DataRoot(tmp_path / "root"), tmp_path / "outside"
    outside.mkdir()
    root.path.mkdir()
    (root.path / name.partition("/")[0]).symlink_to(outside)
    with pytest.raises(StorageError, match="a link that leads out"):
        root.make(root.path / name)
    assert list(outside.iterdir()) == []


def test_a_log_is_not_read_over_a_link_that_leads_out(tmp_path: Path) -> None:
    elsewhere = DataRoot(tmp_path / "elsewhere")
    elsewhere.event_files().folder.mkdir(parents=True)
    (elsewhere.event_files().folder / "voicemode_events_2026-01-01.jsonl").write_text('{"conversation_id":"theirs"}\n')
    root = DataRoot(tmp_path / "root")
    (root.path / "logs").mkdir(parents=True)
    (root.path / "logs" / "events").symlink_to(elsewhere.event_files().folder)
    with pytest.raises(StorageError, match="a link that leads out"):
        list(read_events(root.event_files()))


@pytest.mark.parametrize("name", ["../outside", "a/b", "", ".", "..", "a" * 65, "a\0b", "ä", "a b", "con\n"])
def test_no_conversation_is_called_so_that_it_leads_elsewhere(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidConversationId):
        DataRoot(tmp_path).audio_dir(name)


async def test_no_conversation_of_such_a_name_is_spoken(tmp_path: Path, speech_endpoint: SpeechEndpoint) -> None:
    async with Client(create_server(house_of(tmp_path / "root", speech_endpoint, debug=True))) as client:
        result = await client.call_tool("speak", {"message": "Hello.", "conversation_id": "../../outside"})
    assert result.is_error
    assert not (tmp_path / "outside").exists()
    assert b"outside" not in everything_in(tmp_path / "root" / "logs" / "conversations")
