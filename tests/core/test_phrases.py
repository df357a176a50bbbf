from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.behaviour import Behaviour
from tests.support.endpoint import SpeechEndpoint
from voice_mcp.core.phrases import MOST_COUNTED, Phrases
from voice_mcp.errors import EngineError
from voice_mcp.openai_client import Endpoint
from voice_mcp.protocols import SpeechEngine, SpeechStream
from voice_mcp.storage.journal import Journal
from voice_mcp.storage.paths import DataRoot
from voice_mcp.storage.phrase_store import MOST_BYTES, PhraseStore, phrase_folder
from voice_mcp.tts.openai import OpenAIEngine
from voice_mcp.tts.tone import ToneEngine
from voice_mcp.types import SpeechRequest

pytestmark = pytest.mark.anyio

TIMEOUT_S = 10.0
DONE = SpeechRequest("Done.", "square", 1.0, None)
TONE = ToneEngine()


@pytest.fixture
def root(tmp_path: Path) -> DataRoot:
    return DataRoot(tmp_path / "root")


@pytest.fixture
def journal() -> Iterator[Journal]:
    journal = Journal()
    yield journal
    assert journal.close(TIMEOUT_S)


@pytest.fixture
def phrases(root: DataRoot, journal: Journal) -> Phrases:
    return Phrases(PhraseStore(root, 10_000_000), journal, recipe_of_all)


def recipe_of_all(engine: SpeechEngine) -> str | None:
    return f"{engine.name} tts-1 pcm"


def kept(root: DataRoot) -> int:
    return len(list(phrase_folder(root).glob("*.phrase")))


async def read(stream: SpeechStream) -> bytes:
    return b"".join([block async for block in stream])


async def say(phrases: Phrases, journal: Journal, request: SpeechRequest = DONE, engine: SpeechEngine = TONE) -> bytes:
    """Have it said to its end by the engine, and all that follows from it done."""
    stream = phrases.keeping(engine, request, await engine.open(request))
    audio = await read(stream)
    phrases.keep(stream)
    await stream.aclose()
    assert journal.flush(TIMEOUT_S)
    return audio


async def test_what_was_said_twice_is_kept_and_comes_back_as_it_was(phrases: Phrases, journal: Journal) -> None:
    assert await phrases.find(TONE, DONE) is None
    await say(phrases, journal)
    assert await phrases.find(TONE, DONE) is None
    audio = await say(phrases, journal)
    stream, original = await phrases.find(TONE, DONE), await TONE.open(DONE)
    assert stream is not None
    assert await read(stream) == audio
    await read(original)
    for fact in ("engine", "model", "voice", "encoding", "media_type", "pcm_format"):
        assert getattr(stream, fact) == getattr(original, fact), fact
    assert list(stream.word_marks) == list(original.word_marks) != []
    assert stream.connect_s == 0
    await stream.aclose()


async def test_a_replay_can_be_begun_again(phrases: Phrases, journal: Journal) -> None:
    await say(phrases, journal)
    audio = await say(phrases, journal)
    stream = await phrases.find(TONE, DONE)
    assert stream is not None
    await anext(aiter(stream))
    assert await read(stream) == audio


async def test_the_next_process_finds_it(phrases: Phrases, journal: Journal, root: DataRoot) -> None:
    await say(phrases, journal)
    await say(phrases, journal)
    assert await Phrases(PhraseStore(root, 10_000_000), journal, recipe_of_all).find(TONE, DONE) is not None


@pytest.mark.parametrize(
    "request_",
    [
        SpeechRequest("Done!", "square", 1.0, None),
        SpeechRequest("Done.", "sine", 1.0, None),
        SpeechRequest("Done.", None, 1.0, None),
        SpeechRequest("Done.", "square", 1.25, None),
        SpeechRequest("Done.", "square", 1.0, "Cheerfully."),
    ],
)
async def test_whatever_changes_the_sound_is_another_phrase(
    phrases: Phrases, journal: Journal, request_: SpeechRequest
) -> None:
    await say(phrases, journal)
    await say(phrases, journal)
    assert await phrases.find(TONE, request_) is None


async def test_another_recipe_is_another_phrase(phrases: Phrases, journal: Journal, root: DataRoot) -> None:
    await say(phrases, journal)
    await say(phrases, journal)
    other_model = Phrases(PhraseStore(root, 10_000_000), journal, lambda engine: "tone tts-2 pcm")
    assert await other_model.find(TONE, DONE) is None


async def test_engines_without_a_recipe_are_left_alone(root: DataRoot, journal: Journal) -> None:
    phrases = Phrases(PhraseStore(root, 10_000_000), journal, lambda engine: None)
    stream = await TONE.open(DONE)
    assert phrases.keeping(TONE, DONE, stream) is stream
    for _ in range(3):
        await say(phrases, journal)
    assert not root.path.exists()


async def test_without_a_store_nothing_is_kept(root: DataRoot, journal: Journal) -> None:
    phrases = Phrases(None, journal, recipe_of_all)
    for _ in range(3):
        await say(phrases, journal)
    assert await phrases.find(TONE, DONE) is None


@pytest.mark.parametrize("text", ["The password is swordfish.", "Use hunter2.", "word " * 13])
async def test_what_is_not_plain_and_short_is_never_kept(
    phrases: Phrases, journal: Journal, root: DataRoot, text: str
) -> None:
    request = SpeechRequest(text)
    for _ in range(3):
        await say(phrases, journal, request)
    assert await phrases.find(TONE, request) is None
    assert not root.path.exists()


async def test_sayings_are_counted_for_a_bounded_number_of_phrases(
    phrases: Phrases, journal: Journal, root: DataRoot
) -> None:
    await say(phrases, journal)
    letters = "abcdefghijklmnopqrstuvwxyz"
    for number in range(MOST_COUNTED):
        name = f"a{letters[number // 676]}a{letters[number // 26 % 26]}a{letters[number % 26]}a"
        await say(phrases, journal, SpeechRequest(name, speed=4.0))
    await say(phrases, journal)
    assert kept(root) == 0


async def test_what_nobody_called_good_is_not_kept(phrases: Phrases, journal: Journal, root: DataRoot) -> None:
    for _ in range(3):
        stream = phrases.keeping(TONE, DONE, await TONE.open(DONE))
        await read(stream)
        await stream.aclose()
    assert journal.flush(TIMEOUT_S)
    assert kept(root) == 0


async def test_what_was_not_read_to_its_end_is_not_kept(phrases: Phrases, journal: Journal, root: DataRoot) -> None:
    for _ in range(3):
        stream = phrases.keeping(TONE, DONE, await TONE.open(DONE))
        await anext(aiter(stream))
        phrases.keep(stream)
        await stream.aclose()
    assert journal.flush(TIMEOUT_S)
    assert kept(root) == 0


async def test_what_an_endpoint_broke_off_is_not_kept_and_does_not_count(
    phrases: Phrases, journal: Journal, root: DataRoot, speech_endpoint: SpeechEndpoint
) -> None:
    engine = OpenAIEngine(Endpoint(speech_endpoint.base_url, None, "tts-1"), audio_format="pcm", stall_s=3.0)
    speech_endpoint.then(*[Behaviour(cut_after_bytes=4_000, cut_cleanly=True)] * 3)
    for _ in range(3):
        stream = phrases.keeping(engine, DONE, await engine.open(DONE))
        with pytest.raises(EngineError):
            await read(stream)
        phrases.keep(stream)
        await stream.aclose()
    await say(phrases, journal, engine=engine)
    assert kept(root) == 0
    audio = await say(phrases, journal, engine=engine)
    found = await phrases.find(engine, DONE)
    assert found is not None
    assert await read(found) == audio == speech_endpoint.speech[-1].audio
    await engine.aclose()


@pytest.mark.parametrize("audio", [b"", bytes(MOST_BYTES + 2)], ids=["nothing", "too much"])
async def test_nothing_and_far_too_much_are_not_kept(
    phrases: Phrases, journal: Journal, root: DataRoot, speech_endpoint: SpeechEndpoint, audio: bytes
) -> None:
    engine = OpenAIEngine(Endpoint(speech_endpoint.base_url, None, "tts-1"), audio_format="pcm", stall_s=3.0)
    speech_endpoint.always(Behaviour(audio=audio))
    for _ in range(3):
        assert await say(phrases, journal, engine=engine) == audio
    assert kept(root) == 0
    await engine.aclose()


async def test_a_bad_disk_is_told_once_and_costs_no_speech(
    root: DataRoot, journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    phrases = Phrases(PhraseStore(root, 10_000_000), journal, recipe_of_all)
    phrase_folder(root).parent.mkdir(parents=True)
    phrase_folder(root).write_text("no folder")
    assert [await phrases.find(TONE, DONE) for _ in range(3)] == [None] * 3
    assert len(caplog.records) == 1
    assert await say(phrases, journal)
