"""The embedded voice, with the real library."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from array import array
from collections.abc import AsyncIterator
from pathlib import Path

import espeakng_loader
import pytest

from voice_mcp.errors import EngineError, EngineMissing, UnknownVoice
from voice_mcp.tts._espeak_library import load
from voice_mcp.tts._espeak_text import clean, pieces
from voice_mcp.tts.espeak import LOOK_AHEAD_S, EspeakEngine, EspeakStream
from voice_mcp.types import PcmFormat, SpeechRequest

pytestmark = pytest.mark.anyio

BYTES_PER_S = 44_100
WAIT_S = 20.0
SENTENCE = "The quick brown fox jumps over the lazy dog, and then it sleeps. "
LONG_TEXT = SENTENCE * 150
LONGEST_PIECE_S = 60.0


@pytest.fixture
async def engine() -> AsyncIterator[EspeakEngine]:
    engine = EspeakEngine()
    yield engine
    await engine.aclose()


async def read(stream: EspeakStream) -> bytes:
    async with asyncio.timeout(WAIT_S):
        blocks = [block async for block in stream]
    await stream.aclose()
    return b"".join(blocks)


async def say(engine: EspeakEngine, text: str, voice: str | None = None, speed: float = 1.0) -> bytes:
    return await read(await engine.open(SpeechRequest(text, voice, speed)))


async def marked_words(engine: EspeakEngine, text: str, voice: str | None = None, speed: float = 1.0) -> list[str]:
    stream = await engine.open(SpeechRequest(text, voice, speed))
    await read(stream)
    return [text[mark.start_char : mark.start_char + mark.length_chars] for mark in stream.word_marks]


def loudness(audio: bytes) -> int:
    return max((abs(sample) for sample in array("h", audio)), default=0)


def trailing_silence_s(audio: bytes) -> float:
    samples = array("h", audio)
    loud = [index for index, sample in enumerate(samples) if abs(sample) > 33]
    return (len(samples) - 1 - loud[-1]) * 2 / BYTES_PER_S


async def test_text_becomes_sound(engine: EspeakEngine) -> None:
    stream = await engine.open(SpeechRequest("Hello there."))

    assert (stream.engine, stream.voice, stream.encoding) == ("espeak", "en-us", "pcm")
    assert stream.pcm_format == engine.expected_format == PcmFormat(22_050, 1)
    audio = await read(stream)
    assert loudness(audio) > 3_000
    assert 0.5 < len(audio) / BYTES_PER_S < 2.0


async def test_sound_arrives_before_the_end_is_made(engine: EspeakEngine) -> None:
    stream = await engine.open(SpeechRequest(LONG_TEXT))
    first = await asyncio.wait_for(anext(stream), WAIT_S)

    assert 0 < len(first) <= 0.1 * BYTES_PER_S
    assert len(stream.word_marks) < LONG_TEXT.count(" ") / 4
    await stream.aclose()


async def test_two_runs_of_the_same_text_differ_only_in_their_breath(engine: EspeakEngine) -> None:
    first, second = await say(engine, SENTENCE), await say(engine, SENTENCE)

    assert abs(len(first) - len(second)) < 0.01 * len(first)
    assert await marked_words(engine, SENTENCE) == await marked_words(engine, SENTENCE)


async def test_a_stream_closed_in_the_middle_frees_the_engine(engine: EspeakEngine) -> None:
    stream = await engine.open(SpeechRequest(LONG_TEXT))
    await asyncio.wait_for(anext(stream), WAIT_S)
    await asyncio.wait_for(stream.aclose(), WAIT_S)

    assert [mark.start_char for mark in stream.word_marks]
    assert loudness(await say(engine, "Next.")) > 3_000


async def test_a_closed_stream_yields_no_more(engine: EspeakEngine) -> None:
    stream = await engine.open(SpeechRequest(LONG_TEXT))
    await asyncio.wait_for(anext(stream), WAIT_S)
    await stream.aclose()
    await stream.aclose()

    assert await read(stream) == b""
    assert stream.unread_s == 0


async def test_a_stream_may_be_closed_before_its_first_block(engine: EspeakEngine) -> None:
    stream = await engine.open(SpeechRequest(LONG_TEXT))
    await asyncio.wait_for(stream.aclose(), WAIT_S)

    assert await read(stream) == b""


async def test_a_waiting_reader_ends_when_somebody_else_closes_the_stream(engine: EspeakEngine) -> None:
    stream = await engine.open(SpeechRequest(LONG_TEXT))
    reader = asyncio.create_task(read(stream))
    await stream.aclose()

    assert await asyncio.wait_for(reader, WAIT_S) == b""


async def test_a_cancelled_task_can_close_its_stream(engine: EspeakEngine) -> None:
    reading = asyncio.Event()

    async def speak_until_cancelled() -> None:
        stream = await engine.open(SpeechRequest(LONG_TEXT))
        try:
            await anext(stream)
            reading.set()
            await asyncio.Event().wait()
        finally:
            await stream.aclose()

    task = asyncio.create_task(speak_until_cancelled())
    await asyncio.wait_for(reading.wait(), WAIT_S)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, WAIT_S)
    assert loudness(await say(engine, "Next.")) > 3_000


def test_a_loop_that_closes_in_mid_sentence_leaves_the_engine_usable() -> None:
    engine = EspeakEngine()

    async def begin() -> None:
        stream = await engine.open(SpeechRequest(LONG_TEXT))
        await asyncio.wait_for(anext(stream), WAIT_S)

    async def go_on() -> bytes:
        audio = await say(engine, "Still here.")
        await engine.aclose()
        return audio

    asyncio.run(begin())
    assert loudness(asyncio.run(go_on())) > 3_000


async def test_closing_the_engine_ends_its_streams_and_refuses_new_ones() -> None:
    engine = EspeakEngine()
    stream = await engine.open(SpeechRequest(LONG_TEXT))
    await asyncio.wait_for(engine.aclose(), WAIT_S)

    assert await read(stream) == b""
    with pytest.raises(EngineError, match="closed"):
        await engine.open(SpeechRequest("Too late."))


async def test_streams_opened_together_are_each_spoken_right(engine: EspeakEngine) -> None:
    requests = [
        SpeechRequest("One two three. " * 40, "en-us"),
        SpeechRequest("Eins zwei drei. " * 40, "de", speed=1.5),
        SpeechRequest("Un deux trois. " * 40, "fr-fr", speed=0.8),
    ]
    alone = [len(await read(await engine.open(request))) for request in requests]
    streams = [await engine.open(request) for request in requests]
    together = await asyncio.gather(*(read(stream) for stream in streams))

    assert [stream.voice for stream in streams] == ["en-us", "de", "fr-fr"]
    for stream, audio, size in zip(streams, together, alone, strict=True):
        assert abs(len(audio) - size) < 0.01 * size
        assert len(stream.word_marks) == 120


async def test_a_stream_that_nobody_reads_holds_up_no_other(engine: EspeakEngine) -> None:
    unread = await engine.open(SpeechRequest(LONG_TEXT))

    assert loudness(await say(engine, "I go first.")) > 3_000
    await unread.aclose()


async def test_an_unread_stream_stays_small(engine: EspeakEngine) -> None:
    stream = await engine.open(SpeechRequest(LONG_TEXT))
    # The pieces of all streams are made in turn: had the unread one asked for more, it would be made by now.
    for _ in range(4):
        await say(engine, "Something else.")

    assert LOOK_AHEAD_S <= stream.unread_s < LOOK_AHEAD_S + LONGEST_PIECE_S
    await stream.aclose()


async def test_a_long_text_stays_small_while_it_is_read(engine: EspeakEngine) -> None:
    stream = await engine.open(SpeechRequest(LONG_TEXT))
    most_s = total_s = 0.0
    async with asyncio.timeout(WAIT_S):
        async for block in stream:
            total_s += len(block) / BYTES_PER_S
            most_s = max(most_s, stream.unread_s)

    assert total_s > 500
    assert most_s < LOOK_AHEAD_S + LONGEST_PIECE_S
    assert len(stream.word_marks) == 13 * 150


async def test_speed_changes_the_duration(engine: EspeakEngine) -> None:
    slow, normal, fast, fastest = [len(await say(engine, SENTENCE, speed=speed)) for speed in (0.5, 1.0, 2.0, 4.0)]

    assert slow / normal == pytest.approx(2.0, rel=0.15)
    assert normal / fast == pytest.approx(2.0, rel=0.2)
    assert normal / fastest == pytest.approx(4.0, rel=0.2)


@pytest.mark.parametrize(
    ("wanted", "speaks"),
    [
        (None, "en-us"),
        ("de", "de"),
        ("EN-GB", "en-gb"),
        ("en_us", "en-us"),
        ("fr-fr", "fr-fr"),
        ("German", "de"),
        ("french", "fr-fr"),
        ("English (Scotland)", "en-gb-scotland"),
        ("gmw/en-US", "en-us"),
        ("de-AT", "de"),
        ("yue-latn-jyutping", "yue-latn-jyutping"),
        ("en-us+f3", "en-us+f3"),
        ("German+Female3", "de+f3"),
        ("en-us+Mr Serious", "en-us+Mr serious"),
    ],
)
async def test_a_voice_answers_to_its_names(engine: EspeakEngine, wanted: str | None, speaks: str) -> None:
    stream = await engine.open(SpeechRequest("One.", wanted))

    assert stream.voice == speaks
    assert loudness(await read(stream)) > 2_000


async def test_the_default_voice_can_be_chosen() -> None:
    engine = EspeakEngine(default_voice="es")
    stream = await engine.open(SpeechRequest("Hola."))

    assert stream.voice == "es"
    assert await read(stream)
    await engine.aclose()


@pytest.mark.parametrize(
    ("wanted", "near"), [("germn", "german"), ("en-usa", "en-us"), ("de+f33", "de+f3"), ("nova", "voice-mcp voices")]
)
async def test_an_unknown_voice_is_refused_with_the_nearest_names(engine: EspeakEngine, wanted: str, near: str) -> None:
    with pytest.raises(UnknownVoice) as refusal:
        await engine.open(SpeechRequest("One.", wanted))

    assert repr(wanted) in refusal.value.message
    assert near in refusal.value.hint


async def test_every_listed_voice_speaks(engine: EspeakEngine) -> None:
    voices = await engine.voices()

    assert len(voices) > 100
    assert len({voice.name for voice in voices}) == len(voices)
    for voice in voices:
        stream = await engine.open(SpeechRequest("1 2 hello", voice.name))
        assert stream.voice == voice.name
        assert loudness(await read(stream)) > 1_000, voice


async def test_voices_say_their_language(engine: EspeakEngine) -> None:
    voices = {voice.name: voice for voice in await engine.voices()}

    assert voices["en-us"].language == "en-US"
    assert voices["en-us"].description == "English (America)"
    assert voices["fa-latn"].language == "fa-Latn"
    assert voices["en-gb-x-rp"].language == "en-GB-x-rp"


async def test_a_variant_changes_the_sound(engine: EspeakEngine) -> None:
    def crossings(audio: bytes) -> int:
        samples = array("h", audio)
        return sum((a < 0) != (b < 0) for a, b in zip(samples, samples[1:], strict=False))

    plain, varied = await say(engine, SENTENCE), await say(engine, SENTENCE, "en-us+f3")
    assert abs(crossings(plain) / len(plain) - crossings(varied) / len(varied)) > 0.005


@pytest.mark.parametrize(
    ("voice", "text", "words"),
    [
        ("en-us", "Hello there, world!", ["Hello", "there", "world"]),
        ("fr-fr", "Café naïve… Ça va, Zoë?", ["Café", "naïve", "Ça", "va", "Zoë"]),
        ("ru", "Привет, мир! Как дела?", ["Привет", "мир", "Как", "дела"]),
        ("ar", "مرحبا بالعالم", ["مرحبا", "بالعالم"]),
        ("en-us", "I don't know a well-known one.", ["I", "don't", "know", "a", "well-known", "one"]),
        ("en-us", "Smile 😀 and go", ["Smile", "😀", "and", "go"]),
        ("en-us", "In 2024 it was 1234567 long", ["In", "2024", "it", "was", "1234567", "long"]),
    ],
)
async def test_marks_point_at_the_printed_words(engine: EspeakEngine, voice: str, text: str, words: list[str]) -> None:
    assert await marked_words(engine, text, voice) == words


@pytest.mark.parametrize("speed", [0.5, 1.0, 4.0])
async def test_marks_ascend_within_the_audio_and_across_pieces(engine: EspeakEngine, speed: float) -> None:
    text = "Größe und Maß, 100 Straßen. " * 60
    stream = await engine.open(SpeechRequest(text, "de", speed))
    duration_s = len(await read(stream)) / BYTES_PER_S
    marks = stream.word_marks

    assert {text[mark.start_char : mark.start_char + 3] for mark in marks} == {"Grö", "und", "Maß", "100", "Str"}
    assert len(marks) == 5 * 60
    for before, after in zip(marks, marks[1:], strict=False):
        assert before.start_char + before.length_chars <= after.start_char
        assert before.start_s <= after.start_s
    assert 0.9 * duration_s < marks[-1].start_s < duration_s


async def test_marks_come_with_the_audio_they_point_into(engine: EspeakEngine) -> None:
    stream = await engine.open(SpeechRequest(LONG_TEXT))
    read_s = 0.0
    async with asyncio.timeout(WAIT_S):
        async for block in stream:
            read_s += len(block) / BYTES_PER_S
            assert stream.word_marks[-1].start_s <= read_s + stream.unread_s
            if read_s > 60:
                break
    await stream.aclose()


async def test_a_segment_ends_with_a_breath(engine: EspeakEngine) -> None:
    sentence, clause = await say(engine, "Hello there."), await say(engine, "Hello there,")

    assert 0.15 < trailing_silence_s(sentence) < 0.25
    assert 0.08 < trailing_silence_s(clause) < 0.15


async def test_markup_is_read_and_not_obeyed(engine: EspeakEngine) -> None:
    text = "now <b>bold</b> <break time='9s'/> end"

    assert {"now", "b", "bold", "break", "end"} <= set(await marked_words(engine, text))
    assert len(await say(engine, text)) < 9 * BYTES_PER_S


@pytest.mark.parametrize(
    "text",
    [
        "before \0 after",
        "before \ud83d after",
        "before \udc00\ud800 after",
        "before \x01300S after",
        "before \x1b[31m after",
        "before \ue000\U0010fffd\ufffe after",
        "before ⣷⣯⣟ after",
        "before 👩‍👩‍👧‍👦🇩🇪😀 after",
        "before [[h@l'oU]] after",
        "before\r\n\r\nafter",
    ],
)
async def test_odd_characters_neither_stop_the_speech_nor_shift_its_marks(engine: EspeakEngine, text: str) -> None:
    words = await marked_words(engine, text)

    assert (words[0], words[-1]) == ("before", "after")


@pytest.mark.parametrize("text", ["", " \n ", "...!?", "\0", "\ud800"])
async def test_nothing_to_say_is_next_to_nothing_to_hear(engine: EspeakEngine, text: str) -> None:
    assert len(await say(engine, text)) < 0.1 * BYTES_PER_S


@pytest.mark.parametrize(
    ("voice", "text"),
    [("en-us", "s'" * 400), ("nl", "м." * 400), ("ti", "⣷" * 10), ("en-us", "A" * 3_000), ("ro", "bxnhsanaadaq" * 40)],
)
async def test_text_that_overruns_the_library_is_said_all_the_same(engine: EspeakEngine, voice: str, text: str) -> None:
    await say(engine, text, voice)

    assert loudness(await say(engine, "Still alive.")) > 3_000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        SENTENCE,
        LONG_TEXT,
        "word " * 500,
        "x" * 1_000,
        "你好，世界。" * 200,
        "https://a.b/" + "path/" * 90,
        "\n\n" * 400,
    ],
)
def test_pieces_are_the_whole_text_and_soon_said(text: str) -> None:
    cut = list(pieces(text))

    assert "".join(piece.text for piece in cut) == text
    assert [piece.start_char for piece in cut] == [sum(len(p.text) for p in cut[:i]) for i in range(len(cut))]
    assert [piece.is_last for piece in cut] == [False] * (len(cut) - 1) + [True]
    assert all(len(piece.text) <= 320 for piece in cut)


def test_pieces_end_where_sentences_end() -> None:
    assert all(piece.text.endswith("sleeps. ") for piece in pieces(LONG_TEXT))


def test_cleaning_keeps_every_character_in_its_place() -> None:
    assert clean("a\0b\ud800c\x01d\ue000e\nf\tg é 😀") == "a b c d e\nf\tg é 😀"


def test_missing_data_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EngineMissing) as error:
        load(espeakng_loader.get_library_path(), str(tmp_path))

    assert "pip install" in error.value.hint


def test_a_library_that_cannot_be_loaded_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    broken = tmp_path / "libespeak-ng.so"
    broken.write_bytes(b"not a library")

    with pytest.raises(EngineMissing) as error:
        load(str(broken), espeakng_loader.get_data_path())

    assert "pip install" in error.value.hint


SPEAK_IN_A_NEW_PROCESS = """
import sys
from voice_mcp.tts._espeak_library import Utterance, load
size = 0
def listen(block, words):
    global size
    size += len(block)
    return True
load(sys.argv[1], sys.argv[2]).speak(Utterance("Hello.", "gmw/de", 175, False), listen)
sys.exit(0 if size > 10_000 else 3)
"""


def speak_in_a_new_process(data_path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", SPEAK_IN_A_NEW_PROCESS, espeakng_loader.get_library_path(), str(data_path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False)


def test_the_library_writes_nothing_to_the_standard_streams() -> None:
    done = speak_in_a_new_process(Path(espeakng_loader.get_data_path()))

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_data_behind_a_very_long_path_is_found(tmp_path: Path) -> None:
    far = tmp_path.joinpath(*["x" * 50] * 4)
    far.mkdir(parents=True)
    link = far / "espeak-ng-data"
    link.symlink_to(espeakng_loader.get_data_path(), target_is_directory=True)
    done = speak_in_a_new_process(link)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
