"""`voice-mcp models`: what can be installed, how it gets here, and what it says when it cannot."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.cli.command import LONGEST_S, Running, voice_mcp
from tests.storage.test_models import CONTENT, entry, part_of
from tests.support.file_server import FileServer
from tests.support.ports import LOOPBACK, refusing_port
from tests.support.waiting import eventually
from voice_mcp.cli.models import models
from voice_mcp.errors import DownloadFailed, InvalidInput, VoiceError
from voice_mcp.storage.model_catalogue import CATALOGUE
from voice_mcp.storage.model_entry import Model, Purpose
from voice_mcp.storage.models import Models


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer(CONTENT) as server:
        yield server


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VOICEMODE_BASE_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def run(*arguments: str) -> Result:
    """The command, for a catalogue of one small file."""
    return CliRunner().invoke(models((entry(),)), arguments)


def failure(*arguments: str) -> VoiceError:
    error = run(*arguments).exception
    assert isinstance(error, VoiceError), error
    return error


def installed(root: Path) -> Path | None:
    return Models(root, (entry(),)).path("small-one")


def parts(root: Path) -> list[str]:
    """What of files is left that did not come whole."""
    return [path.name for path in (root / "models").glob("*.part*")]


# --- a small file, from a real server ----------------------------------------------------------------------------


def test_a_model_is_fetched_checked_and_kept_and_its_licence_is_told(root: Path, server: FileServer) -> None:
    done = run("install", "small-one", "--from", server.address)
    assert done.exit_code == 0, done.output
    assert "Licence: MIT (nobody)." in done.output
    path = installed(root)
    assert path is not None
    assert path.read_bytes() == CONTENT
    assert str(path) in done.output


def test_what_is_installed_is_not_fetched_again(root: Path, server: FileServer) -> None:
    run("install", "small-one", "--from", server.address)
    assert run("install", "small-one", "--from", server.address).exit_code == 0
    assert len(server.ranges) == 1


def test_what_is_damaged_is_fetched_anew(root: Path, server: FileServer) -> None:
    run("install", "small-one", "--from", server.address)
    path = installed(root)
    assert path is not None
    path.write_bytes(bytes(len(CONTENT)))
    done = run("install", "small-one", "--from", server.address)
    assert done.exit_code == 0
    assert "small-one.bin is damaged; it is replaced." in done.stderr
    assert path.read_bytes() == CONTENT


def test_a_download_that_breaks_off_goes_on_where_it_stopped(root: Path, server: FileServer) -> None:
    server.breaks.extend([4000, 4000])
    assert run("install", "small-one", "--from", server.address).exit_code == 0
    assert server.ranges == [None, "bytes=4000-", "bytes=8000-"]
    assert installed(root) is not None


def test_a_download_that_breaks_off_begins_anew_where_the_server_cannot_go_on(root: Path) -> None:
    with FileServer(CONTENT, resumes=False) as server:
        server.breaks.append(4000)
        assert run("install", "small-one", "--from", server.address).exit_code == 0
    assert installed(root) is not None


def test_a_download_that_brings_nothing_more_is_given_up_and_goes_on_the_next_time(
    root: Path, server: FileServer
) -> None:
    server.breaks.extend([4000, 0])
    assert isinstance(failure("install", "small-one", "--from", server.address), DownloadFailed)
    assert installed(root) is None
    assert run("install", "small-one", "--from", server.address).exit_code == 0
    assert server.ranges[-1] == "bytes=4000-"


def test_a_server_that_cannot_be_reached_is_told_in_words_and_leaves_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    error = failure("install", "small-one", "--from", "http://weights.invalid/x")
    assert error.message == "weights.invalid cannot be read from: no address is known for that name."
    assert parts(root) == []


def test_a_file_that_is_not_the_right_one_is_refused(root: Path, server: FileServer) -> None:
    server.content = CONTENT[:-1] + b"!"
    error = failure("install", "small-one", "--from", server.address)
    assert "SHA-256" in error.message
    assert installed(root) is None


def test_nobody_at_the_address_is_told(root: Path) -> None:
    with refusing_port() as port:
        error = failure("install", "small-one", "--from", f"http://{LOOPBACK}:{port}/x")
    assert (type(error), "cannot be read from" in error.message) == (DownloadFailed, True)
    assert error.message.endswith(": connection refused.")
    assert parts(root) == []


# --- a file on this machine --------------------------------------------------------------------------------------


def test_a_file_is_taken_too_also_offline(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICEMODE_WHISPER_MODEL", "small-one")
    (tmp_path / "copy.bin").write_bytes(CONTENT)
    assert run("install", "small-one", "--from", str(tmp_path / "copy.bin")).exit_code == 0
    assert installed(root) is not None


def test_a_file_that_is_not_there_is_told(root: Path, tmp_path: Path) -> None:
    assert "cannot be read" in failure("install", "small-one", "--from", str(tmp_path / "nothing")).message


@pytest.mark.parametrize("content", [b"y\n" * 20, CONTENT + b"!", b""])
def test_a_file_of_another_length_is_named_as_another_file_and_leaves_nothing(
    root: Path, tmp_path: Path, content: bytes
) -> None:
    wrong = tmp_path / "yes.wav"
    wrong.write_bytes(content)
    error = failure("install", "small-one", "--from", str(wrong))
    assert error.message == f"{wrong} is not small-one.bin: it has {len(content):,} bytes, not {len(CONTENT):,}."
    assert "network" not in error.hint
    assert parts(root) == []


def test_a_file_that_is_the_wrong_one_takes_no_part_of_a_download_away(
    root: Path, tmp_path: Path, server: FileServer
) -> None:
    server.breaks.extend([4000, 0])
    failure("install", "small-one", "--from", server.address)
    (tmp_path / "wrong").write_bytes(b"no")
    failure("install", "small-one", "--from", str(tmp_path / "wrong"))
    assert run("install", "small-one", "--from", server.address).exit_code == 0
    assert server.ranges[-1] == "bytes=4000-"


@pytest.mark.skipif(sys.platform == "win32", reason="pipes in the file system are of Unix")
def test_a_pipe_that_ends_too_early_leaves_nothing(root: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(CONTENT[:100],), daemon=True)
    writer.start()
    assert "is not small-one.bin" in failure("install", "small-one", "--from", str(pipe)).message
    writer.join(LONGEST_S)
    assert parts(root) == []


def test_a_file_of_the_right_length_that_is_another_leaves_nothing(root: Path, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_bytes(CONTENT[:-1] + b"!")
    assert "SHA-256" in failure("install", "small-one", "--from", str(tmp_path / "wrong")).message
    assert parts(root) == []


def test_an_unknown_name_is_told_with_the_nearest(root: Path) -> None:
    error = failure("install", "smallone")
    assert (type(error), error.hint) == (InvalidInput, "Did you mean small-one?")


def test_a_model_is_removed(root: Path, server: FileServer) -> None:
    run("install", "small-one", "--from", server.address)
    assert "is removed" in run("remove", "small-one").output
    assert installed(root) is None
    assert run("remove", "small-one").exit_code == 0


# --- a model of two files ----------------------------------------------------------------------------------------


def run_pair(*arguments: str) -> Result:
    """The command, for a catalogue of one model of two files."""
    files = (part_of("pair.onnx", CONTENT), part_of("pair.onnx.json", b"{}"))
    return CliRunner().invoke(models((Model("pair", Purpose.SPEAKING, files, "MIT", "speaks"),)), arguments)


def test_all_files_of_a_model_are_taken_from_a_folder(root: Path, tmp_path: Path) -> None:
    (tmp_path / "pair.onnx").write_bytes(CONTENT)
    error = run_pair("install", "pair", "--from", str(tmp_path)).exception
    assert isinstance(error, DownloadFailed)
    assert "pair.onnx.json cannot be read" in error.message
    (tmp_path / "pair.onnx").unlink()  # it is here already
    (tmp_path / "pair.onnx.json").write_bytes(b"{}")
    assert run_pair("install", "pair", "--from", str(tmp_path)).exit_code == 0
    assert (root / "models" / "pair.onnx").read_bytes() == CONTENT
    assert (root / "models" / "pair.onnx.json").read_bytes() == b"{}"


def test_all_files_of_a_model_are_asked_of_a_mirror(root: Path, server: FileServer) -> None:
    error = run_pair("install", "pair", "--from", f"{server.address}/").exception
    assert isinstance(error, DownloadFailed)  # it gives the same for every address
    assert (root / "models" / "pair.onnx").read_bytes() == CONTENT
    assert not (root / "models" / "pair.onnx.json").exists()


# --- the real command and the real catalogue ---------------------------------------------------------------------


def test_every_model_is_listed_with_its_licence_and_whether_it_is_there(tmp_path: Path) -> None:
    done = voice_mcp(tmp_path / "data", "models", "list")
    heading, *lines = done.stdout.splitlines()
    assert heading.split() == ["MODEL", "SIZE", "INSTALLED", "FOR", "LICENCE", "WHAT"]
    assert [line.split()[0] for line in lines] == [model.name for model in CATALOGUE]
    for line, model in zip(lines, CATALOGUE, strict=True):
        assert " no " in line
        assert model.purpose in line
        assert model.licence.split()[0] in line


def test_the_list_as_json_has_addresses_and_checksums(tmp_path: Path) -> None:
    listed = json.loads(voice_mcp(tmp_path / "data", "models", "list", "--json").stdout)
    files = [(each["file"], each["address"], each["sha256"]) for entry in listed for each in entry["files"]]
    assert files == [(each.file, each.address, each.sha256) for model in CATALOGUE for each in model.files]
    assert {(entry["purpose"], entry["path"]) for entry in listed} == {
        ("listening", None),
        ("turn", None),
        ("speaking", None),
    }


def test_nothing_is_fetched_offline(tmp_path: Path) -> None:
    done = voice_mcp(tmp_path / "data", "models", "install", "tiny", VOICEMODE_OFFLINE="true")
    assert done.returncode == 1
    assert "VOICEMODE_OFFLINE" in done.stderr
    assert "--from PATH" in done.stderr
    assert not (tmp_path / "data").exists()


def test_a_mirror_is_checked_against_the_same_checksum(tmp_path: Path) -> None:
    with FileServer(b"not a model") as server:
        done = voice_mcp(tmp_path / "data", "models", "install", "tiny", "--from", server.address)
    assert done.returncode == 1
    assert "Only 11 of the 77,691,713 bytes of ggml-tiny.bin came." in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_keeps_what_came_and_says_how_it_goes_on(tmp_path: Path) -> None:
    with FileServer(bytes(1 << 20)) as server:
        server.stalls.append(1 << 19)
        with Running(tmp_path / "data", "models", "install", "tiny", "--from", server.address) as command:
            assert server.stalled.wait(LONGEST_S)
            part = tmp_path / "data" / "models" / "ggml-tiny.bin.part"
            eventually(lambda: part.is_file() and part.stat().st_size > 0, LONGEST_S, "the first bytes")
            command.process.send_signal(signal.SIGINT)
            assert command.exit_code() == 130
    assert "tiny is not installed yet. The same command goes on where it stopped." in command.errors
    assert "Traceback" not in command.errors
    assert part.stat().st_size > 0


def test_an_unknown_name_ends_with_one_line_and_no_traceback(tmp_path: Path) -> None:
    done = voice_mcp(tmp_path / "data", "models", "install", "tinny")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "Did you mean tiny?" in done.stderr
