"""A few English words without a network: the real pocketsphinx, and our own voice."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from tests.support.recognising import understand
from tests.support.voice import silence, speak
from voice_mcp.errors import EngineError
from voice_mcp.stt._sphinx_grammar import COMMANDS
from voice_mcp.stt.sphinx import SphinxRecognizer
from voice_mcp.types import RecognitionHints, Transcript

pytest.importorskip("pocketsphinx", reason="pocketsphinx has no wheel here")
pytestmark = pytest.mark.anyio

HINTS = RecognitionHints()
LONGEST_S = 60.0
SPOKEN = ("yes", "no", "stop", "repeat that", "wait a minute", "go on", "forty two", "cancel")


@asynccontextmanager
async def listening(grammar: str | None = COMMANDS) -> AsyncIterator[SphinxRecognizer]:
    recognizer = SphinxRecognizer(grammar)
    try:
        async with asyncio.timeout(LONGEST_S):
            yield recognizer
    finally:
        await recognizer.aclose()


async def partials(recognizer: SphinxRecognizer, frames: bytes, piece_bytes: int) -> tuple[list[str], Transcript]:
    """What is understood meanwhile, and in the end."""
    recognition = await recognizer.open(HINTS)
    try:
        heard = [await recognition.add(frames[at : at + piece_bytes]) for at in range(0, len(frames), piece_bytes)]
        return heard, await recognition.finish()
    finally:
        await recognition.aclose()


async def texts(recognizer: SphinxRecognizer, sounds: Sequence[bytes]) -> list[str]:
    return [(await recognizer.transcribe(sound, HINTS)).text for sound in sounds]


# --- what is understood ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", SPOKEN)
async def test_answers_orders_and_numbers_are_understood(words: str) -> None:
    async with listening() as recognizer:
        assert await recognizer.transcribe(await speak(words, speed=0.9), HINTS) == Transcript(
            words, "sphinx", "commands", "en"
        )


@pytest.mark.parametrize("scale", [0.02, 0.2, 1.0])
async def test_how_loud_it_is_said_makes_no_difference(scale: float) -> None:
    sound = memoryview(await speak("repeat that", speed=0.9)).cast("h")
    quiet = b"".join(round(sample * scale).to_bytes(2, "little", signed=True) for sample in sound)
    async with listening() as recognizer:
        assert await texts(recognizer, [quiet]) == ["repeat that"]


async def test_a_sentence_that_is_no_command_is_not_taken_for_one() -> None:
    async with listening() as recognizer:
        sentences = (
            "The second test fails because the socket is still open.",
            "Please open the settings file and change the port to eight thousand.",
        )
        assert await texts(recognizer, [await speak(sentence) for sentence in sentences]) == ["", ""]


async def test_silence_of_any_length_is_no_words() -> None:
    async with listening() as recognizer:
        assert await texts(recognizer, [b"", silence(0.05), silence(0.5), silence(4.0)]) == [""] * 4


async def test_a_test_can_choose_what_may_be_said() -> None:
    phrases = ("open the door", "close the window", "feed the cat")
    assert await understand(await speak("close the window"), phrases) == "close the window"
    assert await understand(await speak("feed the cat"), phrases) == "feed the cat"


async def test_dictation_understands_a_sentence_that_no_grammar_holds() -> None:
    # One that is heard the same in every take of the voice (150 of 150); of most others a few words are misheard.
    async with listening(None) as recognizer:
        transcript = await recognizer.transcribe(await speak("Please open the window and close the door."), HINTS)
    assert transcript == Transcript("please open the window and close the door", "sphinx", "dictation", "en")


# --- while somebody speaks ---------------------------------------------------------------------------------------


async def test_words_are_understood_while_they_are_said() -> None:
    sound = await speak("wait a minute", speed=0.9) + silence(0.5)
    async with listening() as recognizer:
        heard, transcript = await partials(recognizer, sound, piece_bytes=3200)
    assert transcript.text == "wait a minute"
    assert heard[0] == ""
    assert "wait a minute" in heard


@pytest.mark.parametrize("piece_bytes", [322, 6400, 32_002, 1 << 20])
async def test_how_the_sound_is_cut_makes_no_difference(piece_bytes: int) -> None:
    sound = await speak("go on", speed=0.9)
    async with listening() as recognizer:
        (whole,) = await texts(recognizer, [sound])
        assert (await partials(recognizer, sound, piece_bytes))[1].text == whole


async def test_what_was_heard_before_makes_no_difference() -> None:
    words, other = await speak("forty two", speed=0.9), await speak("A rather long sentence before it.", "en-gb+f2")
    sounds = [words, other, silence(1.0), words]
    alone = []
    for sound in sounds:
        async with listening() as recognizer:
            alone += await texts(recognizer, [sound])
    async with listening() as recognizer:
        assert await texts(recognizer, sounds) == alone
    assert (alone[0], alone[2]) == ("forty two", "")


async def test_two_turns_at_the_same_time_do_not_mix() -> None:
    one, two = await speak("yes", speed=0.9), await speak("stop", speed=0.9)
    async with listening() as recognizer:
        assert [t.text for t in await asyncio.gather(*(recognizer.transcribe(s, HINTS) for s in (one, two)))] == [
            "yes",
            "stop",
        ]


async def test_a_turn_that_is_given_up_leaves_nothing_to_the_next() -> None:
    async with listening() as recognizer:
        given_up = await recognizer.open(HINTS)
        await given_up.add(await speak("stop", speed=0.9))
        await given_up.aclose()
        await given_up.aclose()
        with pytest.raises(EngineError, match="closed"):
            await given_up.add(bytes(2))
        assert await texts(recognizer, [await speak("yes", speed=0.9)]) == ["yes"]


async def test_a_cancelled_transcription_ends_between_two_tenths_of_a_second() -> None:
    async with listening(None) as recognizer:
        await recognizer.prepare()
        minute = await speak("This goes on and on. " * 20)
        task = asyncio.create_task(recognizer.transcribe(minute, HINTS))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await recognizer.run(lambda: None)  # the thread is free


# --- what it refuses ---------------------------------------------------------------------------------------------


async def test_another_language_is_refused_with_what_to_do() -> None:
    async with listening() as recognizer:
        with pytest.raises(EngineError, match="not de") as refused:
            await recognizer.transcribe(bytes(3200), RecognitionHints("de"))
        assert "VOICEMODE_STT_LANGUAGE=en" in refused.value.hint


async def test_words_that_nobody_knows_how_to_say_are_named() -> None:
    async with listening("#JSGF V1.0;\ngrammar g;\npublic <g> = yes | qwrtzpl [please] | /2/ xkcdz;\n") as recognizer:
        with pytest.raises(EngineError, match=r"spoken: qwrtzpl, xkcdz\."):
            await recognizer.check()


async def test_what_is_no_grammar_is_told() -> None:
    async with listening("yes or no") as recognizer:
        with pytest.raises(EngineError, match="grammar"):
            await recognizer.check()


async def test_a_closed_recogniser_refuses() -> None:
    async with listening() as recognizer:
        await recognizer.aclose()
        with pytest.raises(EngineError, match="closed"):
            await recognizer.open(HINTS)


def test_without_the_library_the_error_is_the_command_that_brings_it() -> None:
    code = """
import asyncio, sys
sys.modules["pocketsphinx"] = None
from voice_mcp.errors import EngineMissing
from voice_mcp.stt.sphinx import SphinxRecognizer
try:
    asyncio.run(SphinxRecognizer().check())
except EngineMissing as exc:
    print(exc.hint)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=LONGEST_S, check=True)
    assert "pip install" in done.stdout
