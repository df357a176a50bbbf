from __future__ import annotations

import io
import stat
import struct
import sys
import wave
from pathlib import Path

import pytest

from tests.storage.children import kill_after_first_line, run
from voice_mcp.audio.wav import WAV_HEADER_BYTES, GrowingWav, wav_header
from voice_mcp.errors import StorageError
from voice_mcp.types import PcmFormat

MONO = PcmFormat(rate_hz=24_000, channels=1)
STEREO = PcmFormat(rate_hz=48_000, channels=2)
BLOCK_BYTES = 960

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions, links or limits")


def block(number: int) -> bytes:
    return bytes([number % 256]) * BLOCK_BYTES


def read(path: Path) -> tuple[wave._wave_params, bytes]:
    with wave.open(str(path), "rb") as file:
        return file.getparams(), file.readframes(file.getnframes())


@pytest.mark.parametrize("fmt", [MONO, STEREO])
def test_a_header_describes_the_audio_that_follows_it(fmt: PcmFormat) -> None:
    pcm = bytes(fmt.frame_bytes * 10)
    with wave.open(io.BytesIO(wav_header(fmt, len(pcm)) + pcm), "rb") as file:
        assert file.getframerate() == fmt.rate_hz
        assert file.getnchannels() == fmt.channels
        assert file.getsampwidth() == 2
        assert file.getnframes() == 10


def test_a_header_of_audio_beyond_four_gigabytes_says_that_the_size_is_unknown() -> None:
    header = wav_header(MONO, 1 << 32)
    assert struct.unpack_from("<I", header, 4) == struct.unpack_from("<I", header, 40) == (0xFFFFFFFF,)
    longest = wav_header(MONO, 0xFFFFFFFF - 36)
    assert struct.unpack_from("<I", longest, 40) == (0xFFFFFFFF - 36,)


def test_a_growing_file_can_be_read_after_every_block(tmp_path: Path) -> None:
    path = tmp_path / "0001_tts.wav"
    with GrowingWav(path, STEREO) as wav:
        assert read(path)[0].nframes == 0
        for number in range(1, 6):
            wav.append(block(number))
            params, pcm = read(path)
            assert params.framerate == STEREO.rate_hz
            assert pcm == b"".join(block(each) for each in range(1, number + 1))
            assert wav.frames == params.nframes
    assert path.stat().st_size == WAV_HEADER_BYTES + 5 * BLOCK_BYTES


def test_half_a_frame_is_counted_once_its_other_half_came(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with GrowingWav(path, MONO) as wav:
        wav.append(b"\1\2\3")
        assert (wav.frames, read(path)[1]) == (1, b"\1\2")
        wav.append(b"\4")
        assert (wav.frames, read(path)[1]) == (2, b"\1\2\3\4")


def test_silence_can_be_added_between_blocks(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with GrowingWav(path, MONO) as wav:
        wav.append(block(1))
        wav.append_silence(100)
        wav.append(block(2))
        assert wav.frames == 100 + 2 * BLOCK_BYTES // 2
    assert read(path)[1] == block(1) + bytes(200) + block(2)


@posix_only
def test_a_file_beyond_four_gigabytes_keeps_growing(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    with GrowingWav(path, MONO) as wav:
        wav.append_silence(1 << 31)  # a hole of 4 GiB: takes no disk space
        wav.append(block(7))
        assert wav.frames == (1 << 31) + BLOCK_BYTES // 2
    with path.open("rb") as file:
        assert file.read(WAV_HEADER_BYTES) == wav_header(MONO, 1 << 32)
        file.seek(-BLOCK_BYTES, io.SEEK_END)
        assert file.read() == block(7)
    path.unlink()


def test_an_empty_file_that_was_reserved_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.touch()
    with GrowingWav(path, MONO) as wav:
        wav.append(block(1))
    assert read(path)[1] == block(1)


def test_a_file_that_holds_anything_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"somebody's")
    with pytest.raises(StorageError, match=r"a\.wav could not be written: File exists"):
        GrowingWav(path, MONO)
    assert path.read_bytes() == b"somebody's"


def test_a_missing_folder_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"a\.wav could not be written: No such file or directory"):
        GrowingWav(tmp_path / "nowhere" / "a.wav", MONO)


@posix_only
def test_a_link_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.touch()
    (tmp_path / "a.wav").symlink_to(target)
    with pytest.raises(StorageError):
        GrowingWav(tmp_path / "a.wav", MONO)
    assert target.stat().st_size == 0


@posix_only
def test_only_the_owner_may_read_a_recording(tmp_path: Path) -> None:
    with GrowingWav(tmp_path / "a.wav", MONO):
        pass
    assert stat.S_IMODE((tmp_path / "a.wav").stat().st_mode) == 0o600


WRITE_FOR_EVER = """
import sys
from pathlib import Path
from voice_mcp.audio.wav import GrowingWav
from voice_mcp.types import PcmFormat
wav = GrowingWav(Path(sys.argv[1]), PcmFormat(24_000, 1))
number = 0
while True:
    wav.append(bytes([number % 256]) * 960)
    number += 1
    if number == 20:
        print(number, flush=True)
"""


def test_a_killed_process_leaves_a_file_that_plays_up_to_its_last_block(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    assert kill_after_first_line(WRITE_FOR_EVER, str(path)) == "20\n"
    params, pcm = read(path)
    blocks = len(pcm) // BLOCK_BYTES
    assert params.nframes * 2 == len(pcm)
    assert blocks >= 20
    assert pcm == b"".join(block(number) for number in range(blocks))


FILL_THE_DISK = """
import resource, sys
from pathlib import Path
from voice_mcp.audio.wav import GrowingWav
from voice_mcp.errors import StorageError
from voice_mcp.types import PcmFormat
room_bytes = int(sys.argv[2])
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (room_bytes, hard))
try:
    wav = GrowingWav(Path(sys.argv[1]), PcmFormat(24_000, 1))
    while True:
        wav.append(bytes([7]) * 960)
except StorageError as exc:
    print(exc)
if len(sys.argv) > 3:
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    wav.append(bytes([8]) * 960)
"""


@posix_only
def test_on_a_full_disk_the_file_ends_with_the_last_whole_block(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    room_bytes = WAV_HEADER_BYTES + 10 * BLOCK_BYTES + 500
    assert run(FILL_THE_DISK, str(path), str(room_bytes)) == "a.wav could not be written: File too large.\n"
    assert path.stat().st_size == WAV_HEADER_BYTES + 10 * BLOCK_BYTES
    assert read(path)[1] == bytes([7]) * 10 * BLOCK_BYTES


@posix_only
def test_writing_goes_on_once_the_disk_has_room_again(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    run(FILL_THE_DISK, str(path), str(WAV_HEADER_BYTES + 3 * BLOCK_BYTES + 500), "go on")
    assert read(path)[1] == bytes([7]) * 3 * BLOCK_BYTES + bytes([8]) * BLOCK_BYTES


@posix_only
def test_a_file_with_no_room_for_its_header_stays_empty_and_can_be_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    run(FILL_THE_DISK, str(path), "20")
    assert path.stat().st_size == 0
    with GrowingWav(path, MONO) as wav:
        wav.append(block(1))
    assert read(path)[1] == block(1)


def test_a_file_may_be_closed_twice_and_refuses_audio_afterwards(tmp_path: Path) -> None:
    wav = GrowingWav(tmp_path / "a.wav", MONO)
    wav.close()
    wav.close()
    with pytest.raises(StorageError):
        wav.append(block(1))
