"""The csm engine: streams that begin with the first frame, wait for their reader, and end when they are told to."""

from __future__ import annotations

import asyncio
import gc
import weakref
from array import array
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.csm_checkpoint import FRAME_SAMPLES, write_checkpoint
from tests.support.extras import need
from tests.support.waiting import eventually_async
from tests.tts.test_csm_voices import write_voice
from voice_mcp.errors import EngineError, EngineMissing, InvalidInput, UnknownVoice
from voice_mcp.tts._threaded import LOOK_AHEAD_S, ThreadedStream
from voice_mcp.tts.csm import CsmEngine
from voice_mcp.types import PcmFormat, Sampling, SpeechRequest, Voice

pytestmark = pytest.mark.anyio

WAIT_S = 20.0
FRAME_BYTES = 2 * FRAME_SAMPLES
FRAME_S = 0.08
SHORT = Sampling(seed=1, most_s=0.8)
LONG = Sampling(seed=1, most_s=30.0)
SENTENCE = "The quick brown fox jumps over the lazy dog."


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("voices")
    write_voice(folder, "Ann")
    write_voice(folder, "Bob", "I am somebody else, and I speak for longer.", seconds=2.0)
    return folder


@pytest.fixture
async def engine(csm_folder: Path, voices: Path) -> AsyncIterator[CsmEngine]:
    engine = CsmEngine(str(csm_folder), device="cpu", voices=voices)
    yield engine
    await engine.aclose()


async def read(stream: ThreadedStream) -> list[bytes]:
    async with asyncio.timeout(WAIT_S):
        blocks = [block async for block in stream]
    await stream.aclose()
    return blocks


async def say(engine: CsmEngine, text: str = SENTENCE, voice: str | None = None, how: Sampling = SHORT) -> bytes:
    return b"".join(await read(await engine.open(SpeechRequest(text, voice, sampling=how))))


async def test_text_becomes_sound_a_frame_a_block(engine: CsmEngine) -> None:
    stream = await engine.open(SpeechRequest(SENTENCE, sampling=SHORT))

    assert (stream.engine, stream.voice, stream.encoding, stream.media_type) == ("csm", "0", "pcm", "")
    assert stream.pcm_format == engine.expected_format == PcmFormat(24_000, 1)
    blocks = await read(stream)
    assert [len(block) for block in blocks] == [FRAME_BYTES] * 10
    assert max(map(abs, array("h", b"".join(blocks)))) > 1_000
    assert stream.word_marks == ()


async def test_the_stream_is_what_one_shot_decoding_of_its_codes_gives(
    engine: CsmEngine, csm_folder: Path, csm_model: Any
) -> None:
    torch = need("torch")
    from voice_mcp.tts._csm_frames import Draw, FrameMaker
    from voice_mcp.tts._csm_loading import load
    from voice_mcp.tts._csm_prompt import token_ids

    sound = torch.frombuffer(bytearray(await say(engine, how=Sampling(temperature=0.0, most_s=4.0))), dtype=torch.int16)

    maker = FrameMaker(csm_model, 256)
    line = maker.line()
    ids = token_ids(load(str(csm_folder), "cpu", "auto").tokenizer, 0, SENTENCE, 256)
    line.read(maker.embed_text(ids))
    line.begin(Draw(0.0, 1))
    found = [codes.clone() for _ in range(50) if (codes := line.next()) is not None]
    with torch.no_grad():
        whole = csm_model.codec_model.decode(torch.stack(found, dim=2)).audio_values[0, 0]
    assert sound.shape == whole.shape
    assert float((sound / 32_767 - whole).abs().max()) < 1e-4


async def test_sound_arrives_before_the_end_is_made(engine: CsmEngine) -> None:
    stream = await engine.open(SpeechRequest(SENTENCE, sampling=LONG))
    first = await asyncio.wait_for(anext(stream), WAIT_S)

    assert len(first) == FRAME_BYTES
    assert stream.unread_s < LOOK_AHEAD_S + FRAME_S
    await stream.aclose()


async def test_the_same_seed_speaks_the_same_and_another_something_else(engine: CsmEngine) -> None:
    first = await say(engine)

    assert await say(engine) == first
    assert await say(engine, how=Sampling(seed=2, most_s=0.8)) != first
    assert await say(engine, "Something else.") != first
    assert await say(engine, how=Sampling(seed=1, most_s=0.8, temperature=2.0)) != first
    assert await say(engine, how=Sampling(seed=1, most_s=0.8, top_k=2)) != first


@pytest.mark.parametrize("seed", [-(2**63), -1, 0, 2**64 - 1])
async def test_every_seed_of_64_bits_draws(engine: CsmEngine, seed: int) -> None:
    how = Sampling(seed=seed, most_s=0.2)

    assert await say(engine, how=how) == await say(engine, how=how)


@pytest.mark.parametrize("wish", [{"seed": 2**64}, {"seed": -(2**63) - 1}, {"top_k": 0}, {"temperature": -0.1}])
async def test_what_nothing_can_be_drawn_with_is_told_before_anybody_speaks(wish: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as told:
        Sampling(**wish)
    assert told.value.hint.startswith("Give")


async def test_speakers_and_voices_sound_different(engine: CsmEngine) -> None:
    sounds = {voice: await say(engine, voice=voice) for voice in ("0", "1", "Ann", "Bob")}

    assert len(set(sounds.values())) == 4
    assert await say(engine, voice=None) == sounds["0"]
    assert await say(engine, voice="bob") == sounds["Bob"]


async def test_a_voice_is_read_once_however_often_it_speaks(csm_folder: Path, voices: Path) -> None:
    engine = CsmEngine(str(csm_folder), device="cpu", voices=voices)
    encoded: list[Any] = []
    codec = (await _loaded(engine)).codec_model
    codec.encoder.register_forward_hook(lambda *_: encoded.append(1))
    first = await say(engine, voice="Ann")
    assert await say(engine, voice="Bob") != first
    assert await say(engine, voice="Ann") == first

    assert len(encoded) == 2
    await engine.aclose()


async def test_a_voice_whose_words_changed_is_read_again(csm_folder: Path, tmp_path: Path) -> None:
    write_voice(tmp_path, "Ann")
    engine = CsmEngine(str(csm_folder), device="cpu", voices=tmp_path)
    before = await say(engine, voice="Ann")
    (tmp_path / "Ann.txt").write_text("I never said that.")

    assert await say(engine, voice="Ann") != before
    await engine.aclose()


async def test_every_voice_is_listed(engine: CsmEngine) -> None:
    found = await engine.voices()

    assert [voice.name for voice in found] == [*"0123456789", "Ann", "Bob"]
    assert found[-1] == Voice("Bob", "csm", "en", "from an example")
    assert all(engine.knows_voice(voice.name) for voice in found)
    assert not engine.knows_voice("alloy")


async def test_a_voice_that_is_not_there_is_unknown(engine: CsmEngine) -> None:
    with pytest.raises(UnknownVoice, match="'alloy'"):
        await engine.open(SpeechRequest("Hello.", "alloy"))


async def test_a_voice_that_cannot_be_used_is_an_error_and_no_other_suffers(engine: CsmEngine, voices: Path) -> None:
    (voices / "broken.wav").write_bytes(b"no sound")
    (voices / "broken.txt").write_text("No words.")
    with pytest.raises(EngineError, match=r"broken\.wav cannot be used"):
        await engine.open(SpeechRequest("Hello.", "broken"))
    (voices / "broken.wav").unlink()

    assert await say(engine)


async def test_an_example_that_leaves_no_room_for_a_text_is_refused(csm_folder: Path, tmp_path: Path) -> None:
    write_voice(tmp_path, "Ann", seconds=50.0)
    engine = CsmEngine(str(csm_folder), device="cpu", voices=tmp_path)
    with pytest.raises(EngineError, match="example of the voice Ann is too long"):
        await engine.open(SpeechRequest("Hello.", "Ann"))
    await engine.aclose()


async def test_a_text_that_is_too_long_is_refused(engine: CsmEngine) -> None:
    with pytest.raises(EngineError, match=r"too long for csm: \d+ tokens, of 128"):
        await engine.open(SpeechRequest(SENTENCE * 4))


async def test_a_text_that_spells_a_special_token_out_means_its_letters(engine: CsmEngine) -> None:
    spelt = await say(engine, "<|end_of_text|>")

    assert spelt == await say(engine, "< |end_of_text|>")
    assert spelt != await say(engine, "end_of_text")


@pytest.mark.parametrize("text", ["", " \n", "...", "🙂", "\ud800", "\x00"])
async def test_a_text_without_words_makes_no_sound(engine: CsmEngine, text: str) -> None:
    assert await say(engine, text) == b""


async def test_characters_that_no_text_can_have_are_passed_over(engine: CsmEngine) -> None:
    assert await say(engine, "Good\ud800 morning\x00.\ue000") == await say(engine, "Good morning .")


@pytest.mark.parametrize(("how", "frames"), [(Sampling(most_s=0.5), 6), (Sampling(most_s=0.01), 1)])
async def test_no_segment_lasts_longer_than_it_may(engine: CsmEngine, how: Sampling, frames: int) -> None:
    assert len(await say(engine, how=how)) == frames * FRAME_BYTES


async def test_a_model_that_does_not_find_the_end_is_stopped_by_the_length_of_the_text(engine: CsmEngine) -> None:
    assert len(await say(engine, "Hi.", how=Sampling(seed=1))) / (2 * 24_000) == pytest.approx(4.75, abs=FRAME_S)


async def test_a_text_for_which_the_model_has_no_more_room_is_told_as_cut_off(tmp_path: Path) -> None:
    need("torch")
    engine = CsmEngine(str(write_checkpoint(tmp_path, max_position_embeddings=64)), device="cpu")
    room = 64 - len("[0]Hi.") - 2
    stream = await engine.open(SpeechRequest("Hi.", sampling=Sampling(seed=1, most_s=1_000.0)))
    sound = b"".join([await asyncio.wait_for(anext(stream), WAIT_S) for _ in range(room)])
    with pytest.raises(EngineError, match=r"cut off after 4\.5 s") as told:
        await asyncio.wait_for(anext(stream), WAIT_S)
    await stream.aclose()

    assert "shorter" in told.value.hint
    # Who asked for no more than there is room for got all of it, and what spoke the first speaks the next.
    assert await say(engine, "Hi.", how=Sampling(seed=1, most_s=room * FRAME_S)) == sound
    assert len(engine._studio._free) == 1
    await engine.aclose()


async def test_an_unread_stream_stops_making_sound(engine: CsmEngine) -> None:
    stream = await engine.open(SpeechRequest(SENTENCE, sampling=LONG))
    await eventually_async(lambda: stream.unread_s >= LOOK_AHEAD_S, WAIT_S)
    # Frames of all streams are made in turn: had the unread one asked for more, they would be made by now.
    await say(engine)

    assert LOOK_AHEAD_S <= stream.unread_s < LOOK_AHEAD_S + FRAME_S
    await stream.aclose()


async def test_streams_that_speak_at_once_do_not_mix(engine: CsmEngine) -> None:
    requests = [SpeechRequest(f"{SENTENCE} {number}", voice, sampling=SHORT) for number, voice in enumerate("0a3")]
    requests[1] = SpeechRequest(SENTENCE, "Ann", sampling=SHORT)
    alone = [b"".join(await read(await engine.open(request))) for request in requests]
    streams = [await engine.open(request) for request in requests]

    assert [b"".join(blocks) for blocks in await asyncio.gather(*(read(stream) for stream in streams))] == alone


async def test_a_stream_closed_in_the_middle_frees_the_engine(engine: CsmEngine) -> None:
    expected = await say(engine)
    stream = await engine.open(SpeechRequest(SENTENCE, sampling=LONG))
    await asyncio.wait_for(anext(stream), WAIT_S)
    await asyncio.wait_for(stream.aclose(), WAIT_S)
    await stream.aclose()

    assert await read(stream) == []
    assert stream.unread_s == 0
    assert await say(engine) == expected


async def test_texts_that_are_cancelled_while_a_frame_is_on_its_way_are_spoken_with_one_mouth(
    engine: CsmEngine,
) -> None:
    for _ in range(4):
        stream = await engine.open(SpeechRequest(SENTENCE, sampling=LONG))
        await asyncio.wait_for(anext(stream), WAIT_S)
        # The next frame is made while the event loop stands still, which hears of it only later.
        engine._thread._worker.submit(lambda: None).result(WAIT_S)
        await stream.aclose()
        await engine.check()  # done in the thread, after all that it had to do

    assert len(engine._studio._free) == 1


async def test_a_stream_may_be_closed_before_its_first_block(engine: CsmEngine) -> None:
    stream = await engine.open(SpeechRequest(SENTENCE, sampling=LONG))
    await asyncio.wait_for(stream.aclose(), WAIT_S)

    assert await read(stream) == []


async def test_a_waiting_reader_ends_when_somebody_else_closes_the_stream(engine: CsmEngine) -> None:
    stream = await engine.open(SpeechRequest(SENTENCE, sampling=LONG))
    reader = asyncio.create_task(read(stream))
    await stream.aclose()

    assert len(await asyncio.wait_for(reader, WAIT_S)) <= 1


async def test_a_cancelled_task_can_close_its_stream(engine: CsmEngine) -> None:
    reading = asyncio.Event()

    async def speak_until_cancelled() -> None:
        stream = await engine.open(SpeechRequest(SENTENCE, sampling=LONG))
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
    assert await say(engine)


async def test_memory_does_not_grow_from_text_to_text(engine: CsmEngine) -> None:
    sizes = []
    for _ in range(3):
        for voice in ("0", "Ann", "Bob"):
            await say(engine, voice=voice)
        broken_off = await engine.open(SpeechRequest(SENTENCE, sampling=LONG))
        await asyncio.wait_for(anext(broken_off), WAIT_S)
        await broken_off.aclose()
        del broken_off
        await say(engine)
        sizes.append(_tensor_bytes())

    assert sizes[2] == sizes[1]


async def test_closing_the_engine_ends_its_streams_and_refuses_new_ones(csm_folder: Path) -> None:
    engine = CsmEngine(str(csm_folder), device="cpu")
    stream = await engine.open(SpeechRequest(SENTENCE, sampling=LONG))
    await asyncio.wait_for(anext(stream), WAIT_S)
    await asyncio.wait_for(engine.aclose(), WAIT_S)
    await engine.aclose()

    assert await read(stream) == []
    with pytest.raises(EngineError, match="closed"):
        await engine.open(SpeechRequest("Too late."))


async def test_closing_the_engine_while_a_text_is_opened_refuses_it(csm_folder: Path) -> None:
    for steps in range(4):
        engine = CsmEngine(str(csm_folder), device="cpu")
        opening = asyncio.create_task(engine.open(SpeechRequest(SENTENCE, sampling=LONG)))
        for _ in range(steps):
            await asyncio.sleep(0)
        await engine.aclose()

        with pytest.raises(EngineError, match="closed") as refused:
            await asyncio.wait_for(opening, WAIT_S)
        assert refused.value.hint


async def test_a_closed_engine_holds_no_weights_though_somebody_holds_it_and_a_stream(
    csm_folder: Path, voices: Path
) -> None:
    engine = CsmEngine(str(csm_folder), device="cpu", voices=voices)
    weights = weakref.ref(await _loaded(engine))
    stream = await engine.open(SpeechRequest(SENTENCE, "Ann", sampling=LONG))
    await asyncio.wait_for(anext(stream), WAIT_S)
    await engine.aclose()

    await eventually_async(lambda: weights() is None, WAIT_S)
    assert await read(stream) == []


def test_a_loop_that_closes_in_mid_sentence_leaves_the_engine_usable(csm_folder: Path) -> None:
    engine = CsmEngine(str(csm_folder), device="cpu")

    async def begin() -> None:
        stream = await engine.open(SpeechRequest(SENTENCE, sampling=LONG))
        await asyncio.wait_for(anext(stream), WAIT_S)

    async def go_on() -> bytes:
        sound = await say(engine)
        await engine.aclose()
        return sound

    asyncio.run(begin())
    assert len(asyncio.run(go_on())) == 10 * FRAME_BYTES


async def test_what_fails_in_mid_sentence_is_told_after_the_sound_that_is_good(csm_folder: Path) -> None:
    engine = CsmEngine(str(csm_folder), device="cpu")
    model = await _loaded(engine)
    frames = 0

    def fail_at_the_sixth(*_: Any) -> None:
        nonlocal frames
        frames += 1
        if frames > 5:
            raise RuntimeError("the device is gone")

    failing = model.lm_head.register_forward_pre_hook(fail_at_the_sixth)
    stream = await engine.open(SpeechRequest(SENTENCE, sampling=LONG))
    for _ in range(5):
        assert len(await asyncio.wait_for(anext(stream), WAIT_S)) == FRAME_BYTES
    with pytest.raises(EngineError, match="csm failed while it was speaking"):
        await asyncio.wait_for(anext(stream), WAIT_S)
    await stream.aclose()
    failing.remove()

    assert await say(engine)
    await engine.aclose()


async def test_warming_up_loads_and_checking_too(csm_folder: Path) -> None:
    engine = CsmEngine(str(csm_folder), device="cpu")
    await engine.warm_up()
    await engine.check()
    assert (engine.name, engine.model, engine.is_remote) == ("csm", csm_folder.name, False)
    await engine.aclose()


async def test_weights_that_come_later_are_found_by_the_next_request(tmp_path: Path) -> None:
    need("torch")
    folder = tmp_path / "later"
    folder.mkdir()
    engine = CsmEngine(str(folder), device="cpu")
    with pytest.raises(EngineMissing):
        await engine.open(SpeechRequest("Hello."))
    write_checkpoint(folder)

    assert await say(engine)
    await engine.aclose()


async def _loaded(engine: CsmEngine) -> Any:
    await engine.check()
    return engine._studio.load().model


def _tensor_bytes() -> int:
    torch = need("torch")
    gc.collect()
    tensors = [thing for thing in gc.get_objects() if type(thing) is torch.Tensor]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
