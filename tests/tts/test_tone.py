"""The test signal that stands in for a voice."""

from __future__ import annotations

import asyncio
from array import array

import pytest

from voice_mcp.errors import UnknownVoice
from voice_mcp.tts.tone import ToneEngine, ToneStream, pitch_hz
from voice_mcp.types import PcmFormat, SpeechRequest

pytestmark = pytest.mark.anyio

WAIT_S = 10.0
RATE_HZ = 24_000
BLOCK_BYTES = 960
TEXT = "Hello there, quick brown fox"


async def blocks_of(stream: ToneStream) -> list[bytes]:
    async with asyncio.timeout(WAIT_S):
        blocks = [block async for block in stream]
    await stream.aclose()
    return blocks


async def say(request: SpeechRequest, engine: ToneEngine | None = None) -> tuple[array[int], ToneStream]:
    stream = await (engine or ToneEngine()).open(request)
    return array("h", b"".join(await blocks_of(stream))), stream


async def test_the_same_request_is_the_same_bytes() -> None:
    assert (await say(SpeechRequest(TEXT)))[0] == (await say(SpeechRequest(TEXT)))[0]


async def test_blocks_are_20_ms_and_only_the_last_is_shorter() -> None:
    engine = ToneEngine()
    stream = await engine.open(SpeechRequest(TEXT))
    blocks = await blocks_of(stream)

    assert stream.pcm_format == engine.expected_format == PcmFormat(RATE_HZ, 1)
    assert (stream.engine, stream.encoding, stream.voice) == ("tone", "pcm", "sine")
    assert {len(block) for block in blocks[:-1]} == {BLOCK_BYTES}
    assert 0 < len(blocks[-1]) <= BLOCK_BYTES


async def test_every_word_has_its_own_pitch_between_its_marks() -> None:
    samples, stream = await say(SpeechRequest(TEXT))

    for mark, word in zip(stream.word_marks, TEXT.split(), strict=True):
        assert TEXT[mark.start_char : mark.start_char + mark.length_chars] == word
        start = round(mark.start_s * RATE_HZ)
        burst = samples[start : start + round(len(word) * 0.055 * RATE_HZ)]
        rises = sum(a < 0 <= b for a, b in zip(burst, burst[1:], strict=False))
        assert rises / (len(burst) / RATE_HZ) == pytest.approx(pitch_hz(word), abs=6)


async def test_a_word_sounds_the_same_wherever_it_stands() -> None:
    samples, stream = await say(SpeechRequest("again and again"))
    first, _, second = (round(mark.start_s * RATE_HZ) for mark in stream.word_marks)
    size = round(5 * 0.055 * RATE_HZ)

    assert samples[first : first + size] == samples[second : second + size]


async def test_words_are_set_apart_by_silence() -> None:
    samples, stream = await say(SpeechRequest("one two"))
    second = round(stream.word_marks[1].start_s * RATE_HZ)

    assert not any(samples[second - 1_200 : second])
    assert not any(samples[-1_200:])


@pytest.mark.parametrize("speed", [0.25, 1.0, 4.0])
async def test_tones_begin_and_end_without_a_click(speed: float) -> None:
    samples, stream = await say(SpeechRequest("a bb ccc", speed=speed))
    steps = [abs(b - a) for a, b in zip(samples, samples[1:], strict=False)]

    for mark in stream.word_marks:
        start = round(mark.start_s * RATE_HZ)
        assert max(steps[max(start - 24, 0) : start + 24]) < 0.5 * max(steps)
    assert max(abs(sample) for sample in samples) == pytest.approx(8192, abs=40)


async def test_speed_divides_the_duration() -> None:
    normal, fast = [len((await say(SpeechRequest(TEXT, speed=speed)))[0]) for speed in (1.0, 2.0)]

    assert normal / fast == pytest.approx(2.0, rel=0.001)


async def test_marks_appear_with_the_block_they_begin_in() -> None:
    stream = await ToneEngine().open(SpeechRequest("one two"))

    assert not stream.word_marks
    await anext(stream)
    assert [mark.start_char for mark in stream.word_marks] == [0]
    await blocks_of(stream)
    assert [mark.start_char for mark in stream.word_marks] == [0, 4]


async def test_there_are_two_voices_and_they_differ() -> None:
    assert [voice.name for voice in await ToneEngine().voices()] == ["sine", "square"]
    sine, square = [(await say(SpeechRequest(TEXT, voice)))[0] for voice in ("sine", "Square")]
    assert len(sine) == len(square)
    assert sine != square


async def test_an_unknown_voice_is_refused() -> None:
    with pytest.raises(UnknownVoice) as refusal:
        await ToneEngine().open(SpeechRequest(TEXT, "nova"))

    assert "sine" in refusal.value.hint


async def test_a_paced_stream_gives_the_same_bytes() -> None:
    paced, _ = await say(SpeechRequest("one two"), ToneEngine(pace=100.0))

    assert paced == (await say(SpeechRequest("one two")))[0]


async def test_closing_ends_a_stream_that_waits_for_its_pace() -> None:
    stream = await ToneEngine(pace=1e-6).open(SpeechRequest(TEXT))
    first = await asyncio.wait_for(anext(stream), WAIT_S)
    reader = asyncio.create_task(blocks_of(stream))
    await stream.aclose()

    assert len(first) == BLOCK_BYTES
    assert await reader == []


async def test_a_closed_stream_yields_no_more() -> None:
    stream = await ToneEngine().open(SpeechRequest(TEXT))
    await anext(stream)
    await stream.aclose()
    await stream.aclose()

    assert await blocks_of(stream) == []


@pytest.mark.parametrize("text", ["", " \n\t "])
async def test_no_words_make_no_sound(text: str) -> None:
    samples, stream = await say(SpeechRequest(text))

    assert not samples
    assert not stream.word_marks


async def test_odd_text_is_words_like_any_other() -> None:
    text = "😀 <b> \0 \ud800 café"
    _, stream = await say(SpeechRequest(text))

    assert [mark.start_char for mark in stream.word_marks] == [0, 2, 6, 8, 10]


async def test_an_engine_may_be_closed_and_has_nothing_to_let_go() -> None:
    engine = ToneEngine()
    assert engine.name == "tone"
    await engine.aclose()
