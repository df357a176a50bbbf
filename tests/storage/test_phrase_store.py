from __future__ import annotations

import logging
import os
import stat
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.storage.children import run, run_together
from voice_mcp.errors import StorageError
from voice_mcp.storage.paths import DataRoot
from voice_mcp.storage.phrase_store import MOST_BYTES, Phrase, PhraseStore, phrase_folder
from voice_mcp.types import PcmFormat, WordMark

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions and links")

PLENTY_BYTES = 1_000_000
DONE = Phrase(
    engine="127.0.0.1",
    model="tts-1",
    voice="alba",
    encoding="pcm",
    media_type="audio/pcm",
    pcm_format=PcmFormat(24_000, 1),
    word_marks=(WordMark(0, 4, 0.1),),
    audio=bytes(range(256)) * 40,
)


@pytest.fixture
def root(tmp_path: Path) -> DataRoot:
    return DataRoot(tmp_path / "root")


@pytest.fixture
def store(root: DataRoot) -> PhraseStore:
    return PhraseStore(root, PLENTY_BYTES)


def lasting(size_bytes: int) -> Phrase:
    return Phrase("e", "m", "v", "mp3", "audio/mpeg", None, (), bytes(size_bytes))


def files(root: DataRoot) -> list[Path]:
    return sorted(phrase_folder(root).glob("*.phrase"))


def age(path: Path, seconds: float) -> None:
    moment = path.stat().st_mtime - seconds
    os.utime(path, (moment, moment))


def test_what_was_kept_comes_back_to_the_last_bit(store: PhraseStore) -> None:
    store.put(b"done", DONE)
    store.put(b"mp3", lasting(3))
    assert store.get(b"done") == DONE
    assert store.get(b"mp3") == lasting(3)
    assert store.get(b"other") is None


def test_it_is_there_for_the_next_process(root: DataRoot, store: PhraseStore) -> None:
    store.put(b"done", DONE)
    assert PhraseStore(root, PLENTY_BYTES).get(b"done") == DONE


def test_asking_for_a_phrase_makes_nothing(root: DataRoot, store: PhraseStore) -> None:
    assert store.get(b"done") is None
    store.trim()
    assert not root.path.exists()


def test_no_word_of_what_was_asked_is_on_the_disk_and_names_cannot_be_guessed(tmp_path: Path, root: DataRoot) -> None:
    other = DataRoot(tmp_path / "other")
    for each in (root, other):
        PhraseStore(each, PLENTY_BYTES).put(b"Tests pass.", DONE)
    assert b"Tests" not in b"".join(path.read_bytes() for path in phrase_folder(root).iterdir())
    assert files(root)[0].name != files(other)[0].name


@posix_only
def test_everything_is_private(root: DataRoot, store: PhraseStore) -> None:
    store.put(b"done", DONE)
    made = [path for path in root.path.rglob("*") if path.name != ".lock"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in made if path.is_dir()} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in made if path.is_file()} == {0o600}
    assert len(made) == 4


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "a bit of the audio": lambda data: data[:-100] + bytes([data[-100] ^ 1]) + data[-99:],
    "the header": lambda data: data.replace(b"alba", b"alma"),
    "the end": lambda data: data[:-7],
    "nearly everything": lambda data: data[:5],
    "everything": lambda data: b"",
    "something follows": lambda data: data + b"x",
    "far too much follows": lambda data: data + bytes(MOST_BYTES),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_a_miss_and_is_removed(
    root: DataRoot, store: PhraseStore, damage: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    store.put(b"done", DONE)
    (path,) = files(root)
    path.write_bytes(damage(path.read_bytes()))
    with caplog.at_level(logging.WARNING):
        assert store.get(b"done") is None
    assert "damaged" in caplog.text
    assert files(root) == []
    store.put(b"done", DONE)
    assert store.get(b"done") == DONE


def test_a_file_under_the_name_of_another_is_a_miss(root: DataRoot, store: PhraseStore) -> None:
    store.put(b"go on", lasting(8))
    (other,) = files(root)
    store.put(b"stop", DONE)
    (stop,) = [path for path in files(root) if path != other]
    other.replace(stop)
    assert store.get(b"stop") is None


@pytest.mark.parametrize("key", [b"", b"short"])
def test_a_damaged_key_hides_what_was_kept_and_is_made_anew(root: DataRoot, store: PhraseStore, key: bytes) -> None:
    store.put(b"done", DONE)
    (phrase_folder(root) / ".key").write_bytes(key)
    assert store.get(b"done") is None
    store.put(b"done", DONE)
    assert store.get(b"done") == DONE


def test_a_folder_that_was_removed_in_between_is_made_again(root: DataRoot, store: PhraseStore) -> None:
    store.put(b"done", DONE)
    for path in phrase_folder(root).iterdir():
        path.unlink()
    phrase_folder(root).rmdir()
    assert store.get(b"done") is None
    store.put(b"done", DONE)
    assert PhraseStore(root, PLENTY_BYTES).get(b"done") == DONE


# --- the limit -------------------------------------------------------------------------------------------------------


def test_the_least_recently_said_gives_way(root: DataRoot) -> None:
    store = PhraseStore(root, 3_600)
    for number, asked in enumerate((b"one", b"two", b"three")):
        before = set(files(root))
        store.put(asked, lasting(1_000))
        (new,) = set(files(root)) - before
        age(new, 100 - number)
    assert store.get(b"one") is not None
    store.put(b"four", lasting(1_000))
    assert [store.get(asked) is not None for asked in (b"one", b"two", b"three", b"four")] == [True, False, True, True]
    assert sum(path.stat().st_size for path in files(root)) <= 3_600


def test_one_that_leaves_room_for_nothing_else_takes_it_all_and_one_that_is_larger_takes_none(root: DataRoot) -> None:
    store = PhraseStore(root, 3_600)
    store.put(b"small", lasting(1_000))
    store.put(b"too large", lasting(3_600))
    assert store.get(b"too large") is None
    assert store.get(b"small") is not None
    store.put(b"large", lasting(3_300))
    assert store.get(b"large") is not None
    assert store.get(b"small") is None


def test_no_file_is_larger_than_speech_can_be(root: DataRoot) -> None:
    store = PhraseStore(root, 10 * MOST_BYTES)
    store.put(b"noise", lasting(MOST_BYTES))
    assert files(root) == []


def test_what_is_kept_already_is_not_written_again(root: DataRoot, store: PhraseStore) -> None:
    store.put(b"done", DONE)
    (before,) = (path.stat().st_ino for path in files(root))
    store.put(b"done", lasting(5))
    assert [path.stat().st_ino for path in files(root)] == [before]
    assert store.get(b"done") == DONE


def test_a_lower_limit_is_kept_at_the_next_start_and_zero_removes_all(root: DataRoot, store: PhraseStore) -> None:
    for number in range(4):
        store.put(bytes([number]), lasting(1_000))
    PhraseStore(root, 2_500).trim()
    assert len(files(root)) == 2
    PhraseStore(root, 0).trim()
    assert files(root) == []


def test_what_a_crashed_write_left_is_cleared_and_what_is_being_written_is_not(
    root: DataRoot, store: PhraseStore
) -> None:
    store.put(b"done", DONE)
    crashed, busy = (phrase_folder(root) / f"{'a' * 40}.phrase.{number:08}.part" for number in range(2))
    for path in (crashed, busy):
        path.write_bytes(b"beginning")
    age(crashed, 3_600)
    store.trim()
    assert (crashed.exists(), busy.exists(), len(files(root))) == (False, True, 1)


def test_what_the_product_did_not_name_is_never_touched(root: DataRoot, store: PhraseStore) -> None:
    store.put(b"done", DONE)
    mine = phrase_folder(root) / "mine.phrase"
    mine.write_bytes(b"mine")
    PhraseStore(root, 0).trim()
    assert mine.exists()
    assert (phrase_folder(root) / ".key").exists()


# --- hostile folders, full disks, other processes --------------------------------------------------------------------


@posix_only
@pytest.mark.parametrize("linked", ["cache", "cache/phrases"])
def test_no_link_out_of_the_data_folder_is_followed(
    tmp_path: Path, root: DataRoot, store: PhraseStore, linked: str
) -> None:
    outside = DataRoot(tmp_path / "outside")
    PhraseStore(outside, PLENTY_BYTES).put(b"done", DONE)
    link = root.path / linked
    link.parent.mkdir(parents=True)
    link.symlink_to(outside.path / linked)
    uses: list[Callable[[], object]] = [
        partial(store.get, b"done"),
        partial(store.put, b"x", DONE),
        PhraseStore(root, 0).trim,
    ]
    for use in uses:
        with pytest.raises(StorageError, match="leads out of the data folder"):
            use()
    assert len(files(outside)) == 1


@posix_only
def test_a_link_in_the_place_of_a_phrase_is_not_read(tmp_path: Path, root: DataRoot, store: PhraseStore) -> None:
    store.put(b"done", DONE)
    (path,) = files(root)
    path.replace(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="could not be read"):
        store.get(b"done")


WRITE_ON_A_FULL_DISK = """
import resource, sys
from pathlib import Path
from voice_mcp.errors import StorageError
from voice_mcp.storage.paths import DataRoot
from voice_mcp.storage.phrase_store import Phrase, PhraseStore
store = PhraseStore(DataRoot(Path(sys.argv[1])), 1_000_000)
phrase = Phrase("e", "m", "v", "mp3", "audio/mpeg", None, (), bytes(5_000))
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
try:
    store.put(b"done", phrase)
except StorageError as exc:
    print(exc)
print(store.get(b"done"))
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
store.put(b"done", phrase)
print(store.get(b"done") == phrase)
"""


@posix_only
def test_on_a_full_disk_nothing_is_left_of_what_did_not_fit(root: DataRoot) -> None:
    told = run(WRITE_ON_A_FULL_DISK, str(root.path)).splitlines()
    assert told == ["A phrase that is said often could not be written: File too large.", "None", "True"]
    assert [path for path in phrase_folder(root).iterdir() if path.suffix == ".part"] == []


USE_TOGETHER = """
import sys
from pathlib import Path
from voice_mcp.storage.paths import DataRoot
from voice_mcp.storage.phrase_store import Phrase, PhraseStore
store = PhraseStore(DataRoot(Path(sys.argv[1])), 20_000)
hits = 0
for number in range(300):
    asked = bytes([number % 40])
    phrase = store.get(asked)
    if phrase is None:
        store.put(asked, Phrase("e", "m", "v", "mp3", "", None, (), asked * 1_000))
    else:
        assert phrase.audio == asked * 1_000
        hits += 1
    if number % 7 == 0:
        store.trim()
print(hits)
"""


def test_several_processes_share_the_folder_and_its_limit(root: DataRoot) -> None:
    run_together(USE_TOGETHER, [[str(root.path)]] * 3)
    assert 0 < sum(path.stat().st_size for path in files(root)) <= 20_000 + 2 * 1_200
    PhraseStore(root, 20_000).trim()
    assert sum(path.stat().st_size for path in files(root)) <= 20_000
    assert [path for path in phrase_folder(root).iterdir() if path.suffix == ".part"] == []
    key = (phrase_folder(root) / ".key").read_bytes()
    assert len(key) == 32


START_TOGETHER = """
import sys
from pathlib import Path
from voice_mcp.storage.paths import DataRoot
from voice_mcp.storage.phrase_store import Phrase, PhraseStore
store = PhraseStore(DataRoot(Path(sys.argv[1])), 1_000_000)
store.put(sys.argv[2].encode(), Phrase("e", "m", "v", "mp3", "", None, (), b"audio"))
"""


def test_processes_that_start_together_agree_on_one_key(root: DataRoot, store: PhraseStore) -> None:
    run_together(START_TOGETHER, [[str(root.path), asked] for asked in "abcd"])
    assert [store.get(asked.encode()) is not None for asked in "abcd"] == [True] * 4
