"""Whisper on this machine: the real library on a network made by hand, which hears tones (``tests.support.ggml``).

What trained weights understand is in benchmarks/README.md: no machine that runs these tests has any.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.ggml import HIGH_HZ, LOW_HZ, tone, write_tone_model
from tests.support.voice import silence
from tests.support.waiting import eventually_async
from voice_mcp.errors import EngineError, EngineMissing
from voice_mcp.stt.whisper import WhisperRecognizer
from voice_mcp.types import RecognitionHints, Transcript

pytest.importorskip("_pywhispercpp", reason="pywhispercpp has no wheel here")
pytestmark = pytest.mark.anyio

ENGLISH = RecognitionHints("en")
LONGEST_S = 60.0


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that knows English alone."""
    return write_tone_model(tmp_path_factory.mktemp("english") / "tones.en.bin")


@pytest.fixture(scope="module")
def multilingual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that claims to know every language, and answers in German."""
    folder = tmp_path_factory.mktemp("multilingual")
    return write_tone_model(folder / "tones.bin", multilingual=True, yes=" ja, größer", no=" nein")


@asynccontextmanager
async def listening(path: Path) -> AsyncIterator[WhisperRecognizer]:
    recognizer = WhisperRecognizer("tones", lambda: path)
    try:
        async with asyncio.timeout(LONGEST_S):
            yield recognizer
    finally:
        await recognizer.aclose()


# --- what is understood ------------------------------------------------------------------------------------------


async def test_what_is_said_decides_what_is_understood(english: Path) -> None:
    async with listening(english) as recognizer:
        assert await recognizer.transcribe(tone(LOW_HZ), ENGLISH) == Transcript("yes", "whisper", "tones", "en")
        assert (await recognizer.transcribe(tone(HIGH_HZ), ENGLISH)).text == "no"


async def test_silence_and_nothing_at_all_are_no_words(english: Path) -> None:
    async with listening(english) as recognizer:
        assert (await recognizer.transcribe(silence(2.0), ENGLISH)).text == ""
        assert (await recognizer.transcribe(b"", ENGLISH)).text == ""


async def test_a_word_shorter_than_the_library_takes_is_understood(english: Path) -> None:
    async with listening(english) as recognizer:
        assert (await recognizer.transcribe(tone(LOW_HZ, 0.3), ENGLISH)).text == "yes"


async def test_more_than_one_window_of_the_model_is_understood_to_the_end(english: Path) -> None:
    async with listening(english) as recognizer:
        assert (await recognizer.transcribe(tone(HIGH_HZ, 40.0), ENGLISH)).text == "no no"


async def test_letters_of_more_than_one_byte_arrive_whole(multilingual: Path) -> None:
    async with listening(multilingual) as recognizer:
        assert (await recognizer.transcribe(tone(LOW_HZ), RecognitionHints("de"))).text == "ja, größer"


async def test_the_language_that_was_told_is_taken_also_with_a_region(multilingual: Path) -> None:
    async with listening(multilingual) as recognizer:
        for told in ("de", "de-AT", "DE_ch"):
            assert (await recognizer.transcribe(tone(LOW_HZ), RecognitionHints(told))).language == "de"


async def test_a_language_that_was_not_told_is_found_out(multilingual: Path) -> None:
    async with listening(multilingual) as recognizer:
        transcript = await recognizer.transcribe(tone(LOW_HZ), RecognitionHints())
    assert transcript.language is not None
    assert len(transcript.language) in (2, 3)


async def test_names_that_were_told_beforehand_stand_before_what_is_said(english: Path) -> None:
    async with listening(english) as recognizer:
        told = await recognizer.transcribe(tone(LOW_HZ), RecognitionHints("en", "no yes no yes"))
        assert told.text != "yes"  # this network says its word at the very beginning, and nowhere else
        assert (await recognizer.transcribe(tone(LOW_HZ), RecognitionHints("en", ""))).text == "yes"


@pytest.mark.parametrize("told", ["xx", "de"])
async def test_a_language_it_does_not_know_is_an_error_that_names_it(english: Path, told: str) -> None:
    async with listening(english) as recognizer:
        with pytest.raises(EngineError, match=told) as failed:
            await recognizer.transcribe(tone(LOW_HZ), RecognitionHints(told))
        assert "VOICEMODE_" in failed.value.hint
        assert (await recognizer.transcribe(tone(LOW_HZ), ENGLISH)).text == "yes"


# --- stopping ----------------------------------------------------------------------------------------------------


async def test_a_cancelled_transcription_returns_and_the_next_one_is_heard(english: Path) -> None:
    async with listening(english) as recognizer:
        await recognizer.prepare()
        long = asyncio.create_task(recognizer.transcribe(tone(LOW_HZ, 120.0), ENGLISH))
        await eventually_async(lambda: recognizer.is_busy, LONGEST_S)
        long.cancel()
        with pytest.raises(asyncio.CancelledError):
            await long
        assert (await recognizer.transcribe(tone(HIGH_HZ), ENGLISH)).text == "no"


async def test_calls_at_the_same_time_are_answered_each_with_its_own(english: Path) -> None:
    async with listening(english) as recognizer:
        calls = (recognizer.transcribe(tone(pitch_hz), ENGLISH) for pitch_hz in (LOW_HZ, HIGH_HZ, LOW_HZ))
        assert [transcript.text for transcript in await asyncio.gather(*calls)] == ["yes", "no", "yes"]


async def test_closing_stops_what_runs_and_refuses_what_comes(english: Path) -> None:
    async with listening(english) as recognizer:
        running = asyncio.create_task(recognizer.transcribe(tone(LOW_HZ, 120.0), ENGLISH))
        await eventually_async(lambda: recognizer.is_busy, LONGEST_S)
        await recognizer.aclose()
        await asyncio.wait([running])
        with pytest.raises(EngineError, match="closed"):
            await recognizer.transcribe(tone(LOW_HZ), ENGLISH)


def test_a_process_that_ends_while_it_listens_ends_in_peace_and_says_nothing(english: Path) -> None:
    code = f"""
import asyncio
from pathlib import Path
from tests.support.ggml import LOW_HZ, tone
from voice_mcp.stt.whisper import WhisperRecognizer
from voice_mcp.types import RecognitionHints

async def main():
    recognizer = WhisperRecognizer("tones", lambda: Path({str(english)!r}))
    await recognizer.transcribe(tone(LOW_HZ), RecognitionHints("en"))
    task = asyncio.create_task(recognizer.transcribe(tone(LOW_HZ, 60.0), RecognitionHints("en")))
    while not recognizer.is_busy:
        await asyncio.sleep(0)
    task.cancel()

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=LONGEST_S, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


# --- what is not there, or damaged -------------------------------------------------------------------------------


async def test_weights_that_are_not_there_are_told_with_the_command_that_brings_them() -> None:
    def nowhere() -> Path:
        raise EngineMissing("The model base is not installed.", hint="Run `voice-mcp models install base`.")

    recognizer = WhisperRecognizer("base", nowhere)
    assert recognizer.is_installed is False
    for attempt in (recognizer.check(), recognizer.prepare(), recognizer.transcribe(tone(LOW_HZ), ENGLISH)):
        with pytest.raises(EngineMissing) as missing:
            await attempt
        assert missing.value.hint == "Run `voice-mcp models install base`."
    await recognizer.aclose()


async def test_weights_may_come_while_it_runs(english: Path, tmp_path: Path) -> None:
    path = tmp_path / "late.bin"
    async with listening(path) as recognizer:
        with pytest.raises(EngineError):
            await recognizer.check()
        path.write_bytes(english.read_bytes())
        await recognizer.check()
        assert (await recognizer.transcribe(tone(LOW_HZ), ENGLISH)).text == "yes"


@pytest.mark.parametrize("share", [0.0, 0.000001, 0.00001, 0.001, 0.1, 0.5, 0.99, 0.9999999])
async def test_a_file_that_is_cut_off_is_told_and_never_used(english: Path, tmp_path: Path, share: float) -> None:
    whole = english.read_bytes()
    cut = tmp_path / "cut.bin"
    cut.write_bytes(whole[: int(len(whole) * share)])
    async with listening(cut) as recognizer:
        for attempt in (recognizer.check(), recognizer.transcribe(tone(LOW_HZ), ENGLISH)):
            with pytest.raises(EngineError, match=r"cut\.bin") as failed:
                await attempt
            assert "voice-mcp models install" in failed.value.hint


async def test_a_file_of_another_kind_is_told(tmp_path: Path) -> None:
    other = tmp_path / "song.mp3"
    other.write_bytes(b"ID3" + bytes(100_000))
    async with listening(other) as recognizer:
        with pytest.raises(EngineError, match=r"song\.mp3 is no model"):
            await recognizer.check()


def test_without_the_library_the_error_is_the_command_that_brings_it(english: Path) -> None:
    code = f"""
import asyncio, sys
sys.modules["_pywhispercpp"] = None
from pathlib import Path
from voice_mcp.errors import EngineMissing
from voice_mcp.stt.whisper import WhisperRecognizer
from voice_mcp.types import RecognitionHints

async def main():
    recognizer = WhisperRecognizer("tones", lambda: Path({str(english)!r}))
    print(recognizer.is_installed)
    for attempt in (recognizer.check(), recognizer.transcribe(bytes(3200), RecognitionHints())):
        try:
            await attempt
        except EngineMissing as exc:
            print(exc.hint)

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=LONGEST_S, check=True)
    assert done.stdout.splitlines() == ["False"] + ['Run `pip install "voice-mcp[whisper]"`.'] * 2


def test_a_process_that_does_not_listen_loads_neither_numpy_nor_the_library() -> None:
    code = (
        "import sys, voice_mcp.stt.whisper, voice_mcp.stt.sphinx; print({'numpy', '_pywhispercpp'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=LONGEST_S, check=True)
    assert done.stdout.strip() == "set()"
