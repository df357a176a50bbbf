"""``say`` into a file: the samples of the stream, whole or not at all."""

from __future__ import annotations

import subprocess
import sys
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.library.test_generating import Failing
from voice_mcp import TTS
from voice_mcp.codecs.detect import choose_decoder
from voice_mcp.errors import EngineError, InvalidInput, StorageError
from voice_mcp.library.chunks import FORMAT
from voice_mcp.library.file import WrittenFile
from voice_mcp.tts.tone import ToneEngine

TEXT = "Every word has a tone of its own. This is the second sentence."


@pytest.fixture
def tts() -> Iterator[TTS]:
    with TTS(ToneEngine()) as tts:
        yield tts


def test_a_wav_holds_the_very_samples_of_the_stream(tts: TTS, tmp_path: Path) -> None:
    written = tts.say(TEXT, tmp_path / "hello.wav")
    streamed = np.concatenate(list(tts.generate_streaming(TEXT)))
    assert isinstance(written, WrittenFile)
    with wave.open(str(written.path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24_000, 1, 2)
        frames = file.readframes(file.getnframes())
    assert frames == np.rint(streamed * 32768).astype("<i2").tobytes()
    assert written.duration_s == pytest.approx(len(streamed) / 24_000)
    assert (written.engine, written.voice) == ("tone", "sine")


@pytest.mark.parametrize("ending", ["flac", "mp3", "aac", "opus", "pcm", "MP3"])
def test_the_ending_says_the_format(tts: TTS, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"hello.{ending}"
    written = tts.say(TEXT, str(path))
    data = path.read_bytes()
    decoder = choose_decoder(data[:64], "", ending.lower(), FORMAT)
    frames = decoder.decode(data) + decoder.flush()
    assert decoder.format is not None
    duration_s = decoder.format.seconds(decoder.format.frames(len(frames)))
    assert duration_s == pytest.approx(written.duration_s, abs=0.2)


@pytest.mark.parametrize("name", ["hello", "hello.xyz", ".wav"])
def test_a_name_that_says_no_format_is_told_before_anything_is_made(tts: TTS, tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="no ending") as told:
        tts.say(TEXT, tmp_path / name)
    assert "wav" in told.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "hello.wav"
    path.write_bytes(b"what was there")
    with TTS(Failing()) as tts, pytest.raises(EngineError):  # type: ignore[arg-type]
        tts.say(TEXT + " And this is a third one that is long.", path)
    assert path.read_bytes() == b"what was there"
    assert [each.name for each in tmp_path.iterdir()] == ["hello.wav"]


def test_two_who_write_the_same_file_do_not_spoil_it_nor_what_lies_beside_it(tts: TTS, tmp_path: Path) -> None:
    (tmp_path / "hello.mp3.part").write_bytes(b"somebody's own")
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda _: tts.say(TEXT, tmp_path / "hello.mp3"), range(3)))
    data = (tmp_path / "hello.mp3").read_bytes()
    decoder = choose_decoder(data[:64], "", "mp3", FORMAT)
    frames = decoder.decode(data) + decoder.flush()
    assert len(frames) / 2 == pytest.approx(len(tts.generate(TEXT)), rel=0.02)
    assert (tmp_path / "hello.mp3.part").read_bytes() == b"somebody's own"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hello.mp3", "hello.mp3.part"]


INTERRUPTED = """
import asyncio, sys
from pathlib import Path
from voice_mcp import TTS
from voice_mcp.tts.tone import ToneEngine

async def main(path):
    tts = TTS(ToneEngine())
    for number in range(40):
        seen = 0
        def look(progress):
            nonlocal seen
            seen += 1
            if seen > number % 4:
                task.get_loop().call_soon_threadsafe(task.cancel)
        task = asyncio.create_task(tts._workshop.acall(lambda: write(tts, path, look)))
        try:
            await task
        except asyncio.CancelledError:
            pass
    await tts.aclose()
    print([each.name for each in Path(path).parent.iterdir()])

def write(tts, path, look):
    from voice_mcp.library.turns import lines_of
    return tts._stage.write(Path(path), lines_of("A text that goes on and on. " * 60, 0), None, look)

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.parametrize("ending", ["mp3", "flac", "wav"])
def test_a_cancellation_in_the_middle_of_a_file_leaves_nothing_and_ends_nothing_else(
    tmp_path: Path, ending: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, str(tmp_path / f"long.{ending}")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")


def test_a_folder_that_is_not_there_is_told(tts: TTS, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="There is no folder"):
        tts.say(TEXT, tmp_path / "nowhere" / "hello.wav")


def test_what_cannot_be_written_is_told_with_the_folder_that_is_meant(tts: TTS, tmp_path: Path) -> None:
    (tmp_path / "hello.wav").mkdir()
    with pytest.raises(StorageError) as refused:
        tts.say(TEXT, tmp_path / "hello.wav")
    assert str(tmp_path) in str(refused.value.hint)
    assert [path.name for path in tmp_path.iterdir()] == ["hello.wav"]
