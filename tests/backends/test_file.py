"""The WAV file that stands in for a device."""

from __future__ import annotations

from array import array
from pathlib import Path

import pytest

from tests.backends.source import CountingSource
from voice_mcp.audio.wav import wav_header
from voice_mcp.backends.file import BLOCK_BYTES, FileBackend
from voice_mcp.errors import DeviceUnavailable
from voice_mcp.types import PcmFormat

WAIT_S = 10.0
STEREO = PcmFormat(22_050, 2)


def test_the_file_holds_exactly_the_frames_there_were(tmp_path: Path) -> None:
    path, sent = tmp_path / "a.wav", array("h", range(-8000, 8000)).tobytes()
    source = CountingSource(enough=6)
    source.waiting.extend([sent[:400], sent[400:404], b"", sent[404:]])
    stream = FileBackend().open(STEREO, None, str(path), source)
    assert source.had_enough.wait(WAIT_S)
    stream.close()

    assert path.read_bytes() == wav_header(STEREO, len(sent)) + sent
    assert set(source.asked_bytes) == {BLOCK_BYTES}


def test_a_file_without_a_frame_is_a_file_of_silence(tmp_path: Path) -> None:
    path, source = tmp_path / "a.wav", CountingSource()
    FileBackend().open(STEREO, None, str(path), source).close()

    assert path.read_bytes() == wav_header(STEREO, 0)


def test_what_is_there_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"somebody's work")

    with pytest.raises(DeviceUnavailable) as refused:
        FileBackend().open(STEREO, None, str(path), CountingSource())
    assert refused.value.hint
    assert path.read_bytes() == b"somebody's work"


def test_without_a_place_to_write_the_frames_are_taken_all_the_same() -> None:
    source = CountingSource(enough=2)
    source.waiting.extend([bytes(400), bytes(400)])
    stream = FileBackend().open(STEREO, None, None, source)
    assert source.had_enough.wait(WAIT_S)
    stream.close()

    assert not source.waiting


def test_a_file_that_cannot_grow_is_a_device_that_is_lost(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    signal = pytest.importorskip("signal")
    path, source = tmp_path / "a.wav", CountingSource()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then the write fails, as it does on a full disk
    try:
        stream = FileBackend().open(STEREO, None, str(path), source)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
        source.waiting.append(bytes(2 << 20))
        assert source.is_lost.wait(WAIT_S)
        stream.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)

    assert "a.wav could not be written" in source.reason


def test_it_takes_frames_as_fast_as_they_come() -> None:
    assert FileBackend().devices() == ["file"]
