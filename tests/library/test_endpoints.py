"""The library with endpoints: a real server on this machine, which breaks off, refuses, or sends something encoded."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.behaviour import Behaviour
from tests.support.endpoint import SpeechEndpoint
from tests.support.pattern import spoken
from voice_mcp import TTS
from voice_mcp.core.segmentation import segment
from voice_mcp.errors import AllEnginesFailed, EngineError
from voice_mcp.samples.convert import to_frames

TEXT = "The first sentence has a few words. The second one follows it at once, and it is a little longer."


@pytest.fixture
def endpoint(speech_endpoint: SpeechEndpoint, monkeypatch: pytest.MonkeyPatch) -> SpeechEndpoint:
    monkeypatch.setenv("VOICEMODE_TTS_BASE_URLS", speech_endpoint.base_url)
    return speech_endpoint


def expected() -> bytes:
    return b"".join(spoken(part.text) for part in segment(TEXT))


def inner(frames: bytes) -> bytes:
    """Without what lies around the joint of two sentences, which the pattern, being noise, needs to have faded."""
    first = len(spoken(segment(TEXT)[0].text))
    return frames[: first - 480] + frames[first + 480 :]


def test_what_an_endpoint_sends_is_what_is_given(endpoint: SpeechEndpoint) -> None:
    with TTS("openai") as tts:
        frames = to_frames(tts.generate(TEXT))
    assert inner(frames) == inner(expected())
    assert len(frames) == len(expected())


def test_an_endpoint_that_breaks_off_is_asked_again_and_no_sample_is_lost_or_doubled(endpoint: SpeechEndpoint) -> None:
    endpoint.then(Behaviour(cut_after_bytes=40_000))
    with TTS("openai") as tts:
        frames = to_frames(tts.generate(TEXT))
    assert inner(frames) == inner(expected())
    assert len(endpoint.speech) == 1 + len(segment(TEXT))


def test_the_next_engine_takes_over_and_it_is_told(endpoint: SpeechEndpoint) -> None:
    endpoint.always(Behaviour(status=500))
    with TTS("auto") as tts, tts.generate_streaming(TEXT) as generation:
        assert sum(map(len, generation)) > 24_000
        assert generation.engine == "espeak"
        assert len(generation.notes) == 1
        assert "espeak spoke instead" in generation.notes[0]


def test_where_nobody_else_may_speak_the_error_says_why(endpoint: SpeechEndpoint) -> None:
    endpoint.always(Behaviour(status=500))
    with TTS("openai") as tts, pytest.raises((EngineError, AllEnginesFailed)) as told:
        tts.generate(TEXT)
    assert told.value.hint


def test_speakers_have_the_voices_that_were_named(endpoint: SpeechEndpoint) -> None:
    with TTS("openai", voices=["alloy", "nova"], speed=1.5) as tts:
        sound = tts.generate([(0, "Who is there?"), (1, "It is me, and nobody else.")])
    assert [(each.json["voice"], each.json["speed"]) for each in endpoint.speech] == [("alloy", 1.5), ("nova", 1.5)]
    assert np.abs(sound).max() > 0
