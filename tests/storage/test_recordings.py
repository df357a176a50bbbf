from __future__ import annotations

import stat
import sys
import threading
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.storage.children import run, run_together
from voice_mcp.errors import InvalidConversationId, StorageError
from voice_mcp.storage.journal import Journal
from voice_mcp.storage.paths import DataRoot
from voice_mcp.storage.recordings import Recordings
from voice_mcp.types import PcmFormat

TIMEOUT_S = 10.0
MONO = PcmFormat(rate_hz=24_000, channels=1)
BLOCK = bytes([7]) * 960

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions, links and limits")


@pytest.fixture
def journal() -> Iterator[Journal]:
    journal = Journal(bulk_limit_bytes=3 * len(BLOCK))
    yield journal
    assert journal.close(TIMEOUT_S)


@pytest.fixture
def recordings(tmp_path: Path, journal: Journal) -> Recordings:
    return Recordings(DataRoot(tmp_path), journal)


def frames(path: Path) -> bytes:
    with wave.open(str(path), "rb") as file:
        return file.readframes(file.getnframes())


def test_utterances_are_numbered_in_the_order_of_their_conversation(tmp_path: Path, recordings: Recordings) -> None:
    folder = tmp_path / "audio" / "talk"
    paths = [
        recordings.reserve("talk", "tts"),
        recordings.reserve("talk", "stt"),
        recordings.reserve("talk", "tts", "mp3"),
    ]
    assert paths == [folder / "0001_tts.wav", folder / "0002_stt.wav", folder / "0003_tts.mp3"]
    assert recordings.reserve("other", "tts").name == "0001_tts.wav"
    assert recordings.files("talk") == paths


def test_numbers_go_on_after_the_ten_thousandth(recordings: Recordings) -> None:
    last = recordings.reserve("talk", "tts").with_name("9999_tts.wav")
    last.touch()
    following = [recordings.reserve("talk", "tts") for _ in range(2)]
    assert [path.name for path in following] == ["10000_tts.wav", "10001_tts.wav"]
    assert recordings.files("talk")[1:] == [last, *following]


def test_files_with_other_names_do_not_count(recordings: Recordings) -> None:
    folder = recordings.reserve("talk", "tts").parent
    for name in ["9999_tts.wav.part", "12_tts.wav", "0500_me.wav", "notes.txt"]:
        (folder / name).touch()
    assert recordings.reserve("talk", "tts").name == "0002_tts.wav"


@pytest.mark.parametrize("ext", ["", "MP3", "wav.part", "../wav"])
def test_an_extension_that_would_hide_the_number_is_refused(recordings: Recordings, ext: str) -> None:
    with pytest.raises(ValueError, match="could not be told"):
        recordings.reserve("talk", "tts", ext)


def test_an_id_that_is_no_conversation_is_refused(tmp_path: Path, recordings: Recordings) -> None:
    with pytest.raises(InvalidConversationId):
        recordings.reserve("../elsewhere", "tts")
    assert list(tmp_path.iterdir()) == []


@posix_only
def test_only_the_owner_may_read_what_was_said(tmp_path: Path, recordings: Recordings) -> None:
    path = recordings.reserve("talk", "tts")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {stat.S_IMODE(each.stat().st_mode) for each in (path.parent, tmp_path / "audio")} == {0o700}


@posix_only
def test_recordings_do_not_leave_the_root_over_a_link(tmp_path: Path, journal: Journal) -> None:
    (tmp_path / "outside").mkdir()
    root = DataRoot(tmp_path / "root")
    root.make(root.audio)
    root.audio_dir("talk").symlink_to(tmp_path / "outside")
    with pytest.raises(StorageError, match="leads out of the data folder"):
        Recordings(root, journal).reserve("talk", "tts")
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_root_that_cannot_be_is_an_error_with_advice(tmp_path: Path, journal: Journal) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="could not be made"):
        Recordings(DataRoot(tmp_path / "file"), journal).reserve("talk", "tts")


RESERVE = """
import sys
from pathlib import Path
from voice_mcp.storage.journal import Journal
from voice_mcp.storage.paths import DataRoot
from voice_mcp.storage.recordings import Recordings
recordings = Recordings(DataRoot(Path(sys.argv[1])), Journal())
for number in range(50):
    print(recordings.reserve("talk", "tts" if number % 2 else "stt").name)
"""


def test_several_processes_never_get_the_same_number(tmp_path: Path) -> None:
    outputs = [output.split() for output in run_together(RESERVE, [[str(tmp_path)]] * 4)]
    assert all(names == sorted(names) for names in outputs)
    assert sorted(int(name[:4]) for names in outputs for name in names) == list(range(1, 201))


def test_a_number_that_was_not_used_is_given_back(recordings: Recordings, journal: Journal) -> None:
    used, unused = recordings.reserve("talk", "tts"), recordings.reserve("talk", "tts")
    used.write_bytes(b"audio")
    recordings.release(used)
    recordings.release(unused)
    recordings.release(unused)
    assert journal.flush(TIMEOUT_S)
    assert recordings.files("talk") == [used]
    assert journal.failures() == []


def test_a_recording_holds_every_frame_it_was_given(recordings: Recordings, journal: Journal) -> None:
    recording = recordings.start(recordings.reserve("talk", "tts"), MONO)
    for number in range(1, 11):
        recording.append(BLOCK)
        assert journal.flush(TIMEOUT_S)
        assert frames(recording.path) == BLOCK * number
    recording.close()
    recording.close()
    assert recording.frames == 10 * MONO.frames(len(BLOCK))
    assert journal.flush(TIMEOUT_S)
    assert journal.failures() == []


def test_a_recording_that_never_got_a_frame_leaves_no_file(recordings: Recordings, journal: Journal) -> None:
    recording = recordings.start(recordings.reserve("talk", "tts"), MONO)
    recording.close()
    assert journal.flush(TIMEOUT_S)
    assert recordings.files("talk") == []


def test_on_a_slow_disk_what_was_dropped_is_silence_and_the_length_is_right(
    recordings: Recordings, journal: Journal
) -> None:
    disk_is_slow, disk_is_back = threading.Event(), threading.Event()

    def hold_up() -> None:
        disk_is_slow.set()
        disk_is_back.wait(TIMEOUT_S)

    recording = recordings.start(recordings.reserve("talk", "tts"), MONO)
    journal.submit(hold_up, "The disk")
    assert disk_is_slow.wait(TIMEOUT_S)
    for _ in range(5):
        recording.append(BLOCK)  # room for three
    disk_is_back.set()
    assert journal.flush(TIMEOUT_S)
    recording.append(BLOCK)
    recording.close()
    assert journal.flush(TIMEOUT_S)
    assert frames(recording.path) == BLOCK * 3 + bytes(2 * len(BLOCK)) + BLOCK
    assert [failure.count for failure in journal.failures()] == [2]


def test_what_was_dropped_at_the_end_is_silence_too(recordings: Recordings, journal: Journal) -> None:
    recording = recordings.start(recordings.reserve("talk", "tts"), MONO)
    recording.append(BLOCK)
    assert journal.flush(TIMEOUT_S)
    recording.append(BLOCK * 4)  # more than may wait
    recording.close()
    assert journal.flush(TIMEOUT_S)
    assert frames(recording.path) == BLOCK + bytes(4 * len(BLOCK))


def test_a_folder_that_went_away_is_told_as_one_loss_and_stops_nobody(recordings: Recordings, journal: Journal) -> None:
    path = recordings.reserve("talk", "tts")
    path.unlink()
    path.parent.rmdir()
    recording = recordings.start(path, MONO)
    for _ in range(3):
        recording.append(BLOCK)
    recording.close()
    assert journal.flush(TIMEOUT_S)
    assert [failure.message for failure in journal.failures()] == [
        "The recording could not be written: No such file or directory."
    ]


RECORD_ON_A_FULL_DISK = """
import resource, sys
from pathlib import Path
from voice_mcp.storage.journal import Journal
from voice_mcp.storage.paths import DataRoot
from voice_mcp.storage.recordings import Recordings
from voice_mcp.types import PcmFormat
journal = Journal()
recordings = Recordings(DataRoot(Path(sys.argv[1])), journal)
recording = recordings.start(recordings.reserve("talk", "tts"), PcmFormat(24_000, 1))
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (44 + 2 * 960 + 100, hard))
for _ in range(4):
    recording.append(bytes([7]) * 960)
assert journal.flush(10)
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
recording.append(bytes([8]) * 960)
recording.close()
assert journal.close(10)
print(*(failure.message for failure in journal.failures()))
"""


@posix_only
def test_a_full_disk_costs_only_what_came_while_it_was_full(tmp_path: Path) -> None:
    printed = run(RECORD_ON_A_FULL_DISK, str(tmp_path))
    assert printed == "The recording could not be written: File too large.\n"
    heard = frames(tmp_path / "audio" / "talk" / "0001_tts.wav")
    assert heard == BLOCK * 2 + bytes(2 * len(BLOCK)) + bytes([8]) * 960


def test_a_transcript_lies_next_to_its_audio(recordings: Recordings, journal: Journal) -> None:
    path = recordings.reserve("talk", "tts")
    recordings.save_transcript(path, "Grüße \ud83d")
    assert journal.flush(TIMEOUT_S)
    text = path.with_name("0001_tts.txt")
    assert text.read_text(encoding="utf-8") == "Grüße ?"
    if sys.platform != "win32":
        assert stat.S_IMODE(text.stat().st_mode) == 0o600
    assert recordings.reserve("talk", "tts").name == "0002_tts.wav"


def test_a_transcript_can_stand_without_audio(recordings: Recordings, journal: Journal) -> None:
    path = recordings.reserve("talk", "stt", "txt")
    recordings.save_transcript(path, "Hello")
    assert journal.flush(TIMEOUT_S)
    assert path.read_text(encoding="utf-8") == "Hello"


def test_a_conversation_that_never_was_has_no_files(tmp_path: Path, recordings: Recordings) -> None:
    assert recordings.files("never") == []
    assert list(tmp_path.iterdir()) == []
