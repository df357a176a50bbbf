"""The writer as its callers meet it: what it takes, what it refuses, how it ends."""

from __future__ import annotations

import importlib
import io
import os
import subprocess
import sys
from array import array
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import voice_mcp
from tests.codecs.writer_support import FORMATS, RATE_HZ, decoded, sound, streamed
from voice_mcp import StreamingAudioWriter
from voice_mcp.codecs.writer import FORMATS as WRITER_FORMATS
from voice_mcp.errors import StorageError, VoiceError, WriterMisuse

RAMP = np.array([0, 1, -1, 1000, -1000, 32767, -32768, 12345], np.int16)


def written(samples: Any, channels: int = 1) -> bytes:
    return streamed("pcm", [samples], channels=channels)


# --- what it takes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "samples",
    [
        RAMP,
        RAMP.reshape(-1, 1),
        RAMP.tobytes(),
        bytearray(RAMP.tobytes()),
        memoryview(RAMP.tobytes()),
        RAMP.data,
        array("h", RAMP.tolist()),
        RAMP.astype(np.int32) << 16,
        array("i", [int(sample) << 16 for sample in RAMP]),
        RAMP.astype(np.float32) / 32768,
        np.repeat(RAMP, 2)[::2],
    ],
    ids=lambda samples: f"{type(samples).__name__} {getattr(samples, 'dtype', '')}",
)
def test_every_kind_of_samples_says_the_same(samples: Any) -> None:
    assert written(samples) == RAMP.tobytes()


def test_floats_beyond_full_scale_are_clipped() -> None:
    loud = np.array([1.0, -1.0, 1.5, -1.5, 3e38, -3e38, 0.0], np.float32)

    assert array("h", written(loud)).tolist() == [32767, -32768, 32767, -32768, 32767, -32768, 0]


def test_two_channels_are_interleaved_whatever_their_order_in_memory() -> None:
    frames = np.arange(12, dtype=np.int16).reshape(6, 2)

    assert written(frames, 2) == frames.tobytes()
    assert written(np.asfortranarray(frames), 2) == frames.tobytes()
    assert written(frames.tobytes(), 2) == frames.tobytes()
    assert written(array("h", range(12)), 2) == frames.tobytes()


@pytest.mark.parametrize("format", FORMATS)
def test_no_samples_are_no_mistake(format: str) -> None:
    writer = StreamingAudioWriter(format, RATE_HZ)
    head = writer.write_chunk(b"") + writer.write_chunk(np.zeros((0, 1), np.float32))

    assert decoded(format, head + writer.write_chunk(bytes(9_600)) + writer.finalize())
    assert writer.frames_written == 4_800


# --- what it refuses ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("samples", "channels", "why"),
    [
        ("words", 1, "str"),
        ([1, 2, 3], 1, "list"),
        (np.zeros(4), 1, "'d'"),
        (np.zeros(4, np.uint8), 1, "'B'"),
        (np.zeros(4, ">i2"), 1, "'>h'"),
        (np.zeros(4, np.int64), 1, "'l'|'q'"),
        (np.zeros((1, 4), np.int16), 1, r"\(1, 4\)"),
        (np.zeros((2, 4), np.int16), 2, r"\(2, 4\)"),
        (np.zeros(4, np.int16), 2, r"\(4,\)"),
        (np.zeros((2, 2, 1), np.int16), 1, r"\(2, 2, 1\)"),
        (np.array(1, np.int16), 1, r"\(\)"),
        (b"\0\0\0", 1, "3 bytes"),
        (b"\0\0", 2, "2 bytes"),
        (array("h", [1, 2, 3]), 2, "6 bytes"),
        (np.array([0.0, np.nan], np.float32), 1, "no finite number"),
        (np.array([np.inf, 0.0], np.float32), 1, "no finite number"),
        (np.array([np.inf, -np.inf], np.float32), 1, "no finite number"),
        (None, 1, "no samples"),
    ],
)
def test_samples_that_cannot_be_meant_are_refused_by_name(samples: Any, channels: int, why: str) -> None:
    writer = StreamingAudioWriter("pcm", RATE_HZ, channels)

    with pytest.raises(WriterMisuse, match=why):
        writer.write_chunk(samples)

    good = bytes(4 * channels)
    assert writer.write_chunk(good) == good


@pytest.mark.parametrize(
    ("arguments", "options", "why"),
    [
        (("m4a", 24_000), {}, "'m4a'"),
        ((None, 24_000), {}, "None"),
        (([], 24_000), {}, r"\[\]"),
        (("wav", 0), {}, "sample rate cannot be 0"),
        (("wav", -24_000), {}, "-24000"),
        (("wav", 24_000.0), {}, "24000.0"),
        (("wav", 24_000, 0), {}, "0 channels"),
        (("wav", 24_000, 9), {}, "9 channels"),
        (("mp3", 24_000, 3), {}, "mp3 cannot have 3 channels"),
        (("mp3", 24_000), {"bitrate": 1}, "bit rate cannot be 1"),
        (("opus", 24_000), {"bitrate": "fast"}, "'fast'"),
        (("wav", 24_000), {"bitrate": 64_000}, "wav has no bit rate"),
        (("wav", 24_000), {"frames": -1}, "-1 frames"),
        (("wav", 24_000), {"tags": {"a=b": "c"}}, "'a=b'"),
        (("wav", 24_000), {"tags": {"title": 7}}, "title cannot be 7"),
        (("wav", 24_000), {"tags": {"title": "a\0b"}}, "title"),
        (("wav", 24_000), {"tags": {"title": "\ud800"}}, "title"),
        (("opus", 24_000), {"tags": {"title": "a" * 70_000}}, "longer than"),
        (("wav", 24_000), {"seekable": io.StringIO()}, "StringIO"),
        (("wav", 24_000), {"seekable": object()}, "object"),
    ],
)
def test_arguments_that_cannot_be_used_are_refused_by_name(
    arguments: tuple[Any, ...], options: dict[str, Any], why: str
) -> None:
    with pytest.raises(WriterMisuse, match=why) as caught:
        StreamingAudioWriter(*arguments, **options)

    assert caught.value.hint.endswith(".")


def test_a_file_that_cannot_be_patched_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "audio.wav"
    path.write_bytes(b"")
    with path.open("rb") as readable, path.open("ab") as appending:
        for file in (readable, appending):
            with pytest.raises(WriterMisuse, match="cannot be used|not a binary file"):
                StreamingAudioWriter("wav", RATE_HZ, seekable=file)
    read_end, write_end = os.pipe()
    with open(read_end, "rb"), open(write_end, "wb") as pipe, pytest.raises(WriterMisuse):
        StreamingAudioWriter("wav", RATE_HZ, seekable=pipe)


def test_a_path_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no-such-folder"):
        StreamingAudioWriter("wav", RATE_HZ, seekable=tmp_path / "no-such-folder" / "audio.wav")


class FullDisk(io.BytesIO):
    """Takes 2,000 bytes and no more."""

    def write(self, data: Any, /) -> int:
        if self.tell() + len(data) > 2_000:
            raise OSError(28, "No space left on device")
        return super().write(data)


@pytest.mark.parametrize("format", FORMATS)
def test_a_full_disk_is_told_and_ends_the_writing(format: str) -> None:
    with pytest.raises(StorageError, match="No space left") as caught:
        writer = StreamingAudioWriter(format, RATE_HZ, seekable=FullDisk())
        for _ in range(100):
            writer.write_chunk(sound(2_400))

    assert isinstance(caught.value, VoiceError)


def test_after_a_failure_the_writer_takes_no_more() -> None:
    writer = StreamingAudioWriter("wav", RATE_HZ, seekable=FullDisk())
    with pytest.raises(StorageError):
        writer.write_chunk(bytes(4_000))

    with pytest.raises(WriterMisuse, match="closed"):
        writer.write_chunk(bytes(2))
    writer.close()


@pytest.mark.parametrize(
    ("format", "library", "command"),
    [("ogg", "soundfile", 'pip install "voice-mcp[ogg]"'), ("mp3", "av", "pip install av")],
)
def test_a_format_without_its_library_says_what_to_install(format: str, library: str, command: str) -> None:
    code = (
        f"import sys; sys.modules[{library!r}] = None\n"
        "from voice_mcp import StreamingAudioWriter\n"
        "from voice_mcp.errors import CodecMissing\n"
        f"try: StreamingAudioWriter({format!r}, 24000)\n"
        "except CodecMissing as exc: print(exc.advice)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=30).stdout

    assert command in said


# --- what it costs to have ---------------------------------------------------------------------------------------


def test_nothing_is_loaded_before_it_is_needed() -> None:
    code = (
        "import sys, voice_mcp\n"
        "assert 'voice_mcp.codecs' not in sys.modules\n"
        "writer = voice_mcp.StreamingAudioWriter('wav', 24000)\n"
        "assert not {'av', 'soundfile', 'numpy'} & set(sys.modules)\n"
        "writer = voice_mcp.StreamingAudioWriter('mp3', 24000)\n"
        "writer.write_chunk(bytes(4800)), writer.finalize()\n"
        "assert 'av' in sys.modules and not {'soundfile', 'numpy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=30)


def test_the_package_names_what_it_has_and_nothing_else() -> None:
    assert voice_mcp.StreamingAudioWriter is importlib.import_module("voice_mcp.codecs.writer").StreamingAudioWriter
    with pytest.raises(AttributeError, match="no_such_name"):
        getattr(voice_mcp, "no_such_name")  # noqa: B009


# --- how it ends -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", FORMATS)
def test_finalizing_twice_gives_nothing_and_writing_afterwards_is_refused(format: str) -> None:
    writer = StreamingAudioWriter(format, RATE_HZ)
    writer.write_chunk(sound(2_400))
    writer.finalize()

    assert writer.finalize() == b""
    assert writer.write_chunk(finalize=True) == b""
    with pytest.raises(WriterMisuse, match="finalized already"):
        writer.write_chunk(bytes(2))
    with pytest.raises(WriterMisuse, match="finalized already"):
        writer.write_chunk(bytes(2), finalize=True)
    writer.close()
    assert writer.finalize() == b""


@pytest.mark.parametrize("format", FORMATS)
def test_the_last_samples_may_come_with_the_end(format: str) -> None:
    data = sound(5_000)
    apart, together = StreamingAudioWriter(format, RATE_HZ), StreamingAudioWriter(format, RATE_HZ)
    one = apart.write_chunk(data) + apart.write_chunk(finalize=True)

    assert decoded(format, together.write_chunk(data, finalize=True)) == decoded(format, one)


@pytest.mark.parametrize("format", FORMATS)
def test_a_closed_writer_gives_nothing_more(format: str) -> None:
    writer = StreamingAudioWriter(format, RATE_HZ)
    writer.write_chunk(sound(2_400))
    writer.close()
    writer.close()

    with pytest.raises(WriterMisuse, match="closed already"):
        writer.write_chunk(bytes(2))
    with pytest.raises(WriterMisuse, match="closed already"):
        writer.finalize()


def test_a_promise_of_frames_is_held_to_and_costs_no_audio() -> None:
    writer = StreamingAudioWriter("wav", RATE_HZ, frames=10)
    start = writer.write_chunk(bytes(16))
    with pytest.raises(WriterMisuse, match="10 frames were promised, and these make 11"):
        writer.write_chunk(bytes(6))
    with pytest.raises(WriterMisuse, match="these make 9"):
        writer.write_chunk(bytes(2), finalize=True)
    with pytest.raises(WriterMisuse, match="these make 8"):
        writer.finalize()

    assert len(start + writer.write_chunk(bytes(4), finalize=True)) == 44 + 20


def test_an_exception_leaves_the_block_without_finalizing(tmp_path: Path) -> None:
    path = tmp_path / "audio.flac"
    with (
        pytest.raises(ZeroDivisionError),
        StreamingAudioWriter("flac", RATE_HZ, seekable=path) as writer,
    ):
        writer.write_chunk(sound(2_400))
        raise ZeroDivisionError

    with pytest.raises(WriterMisuse, match="closed already"):
        writer.finalize()


def test_an_open_file_stays_open_and_what_stood_in_it_stays() -> None:
    file = io.BytesIO(b"before")
    file.seek(6)
    with StreamingAudioWriter("wav", RATE_HZ, seekable=file) as writer:
        writer.write_chunk(bytes(8))

    assert not file.closed
    assert file.getvalue()[:10] == b"beforeRIFF"
    assert decoded("wav", file.getvalue()[6:]) == bytes(8)


def test_every_format_says_what_to_call_its_bytes() -> None:
    assert set(WRITER_FORMATS) == set(FORMATS)
    assert {format: StreamingAudioWriter(format, RATE_HZ).media_type for format in FORMATS} == {
        "pcm": "audio/pcm",
        "wav": "audio/wav",
        "flac": "audio/flac",
        "opus": "audio/ogg",
        "mp3": "audio/mpeg",
        "aac": "audio/aac",
        "ogg": "audio/ogg",
    }
