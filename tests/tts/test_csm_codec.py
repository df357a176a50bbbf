"""Mimi frame by frame: the samples of one-shot decoding, with nothing to be heard at the joints."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.csm_checkpoint import CODES, FRAME_SAMPLES, WINDOW
from tests.support.extras import need
from voice_mcp.errors import EngineError

need("transformers")
torch = need("torch")

from voice_mcp.tts._csm_codec import CodecStream  # noqa: E402

FRAMES = 3 * WINDOW  # six times as long as the transformer looks back
CLOSE = 1e-4


@pytest.fixture(scope="module")
def codes() -> Any:
    return torch.randint(0, CODES, (1, 8, FRAMES), generator=torch.Generator().manual_seed(4))


@pytest.fixture(scope="module")
def whole(csm_model: Any, codes: Any) -> Any:
    with torch.no_grad():
        return csm_model.codec_model.decode(codes).audio_values[0, 0]


def streamed(stream: CodecStream, codes: Any) -> Any:
    return torch.cat([stream.decode(codes[:, :, index]).clone() for index in range(codes.shape[2])])


def decoded_alone(stream: CodecStream, codes: Any) -> Any:
    """Every frame as if it were the first: a decoder without a memory."""
    frames = []
    for index in range(codes.shape[2]):
        stream.reset()
        frames.append(stream.decode(codes[:, :, index]).clone())
    return torch.cat(frames)


def steps_at_joints(sound: Any) -> Any:
    """From the last sample of each frame to the first of the next."""
    return sound[FRAME_SAMPLES::FRAME_SAMPLES] - sound[FRAME_SAMPLES - 1 : -1 : FRAME_SAMPLES]


def clicks(sound: Any, whole: Any) -> Any:
    """By how much the steps at the joints differ from those of one-shot decoding, which knows of no joints."""
    return (steps_at_joints(sound) - steps_at_joints(whole)).abs()


def test_a_stream_has_the_samples_of_one_shot_decoding(csm_model: Any, codes: Any, whole: Any) -> None:
    sound = streamed(CodecStream(csm_model.codec_model), codes)

    assert sound.shape == whole.shape == (FRAMES * FRAME_SAMPLES,)
    assert 0.1 < float(whole.abs().max()) < 1.0
    assert float((sound - whole).abs().max()) < CLOSE


def test_frames_that_are_decoded_each_alone_have_not(csm_model: Any, codes: Any, whole: Any) -> None:
    """So the test above would notice."""
    alone = decoded_alone(CodecStream(csm_model.codec_model), codes)

    assert float((alone - whole).abs().max()) > 100 * CLOSE


@pytest.mark.parametrize("changes", [True, False])
def test_there_is_no_click_where_two_frames_meet_and_without_a_memory_there_is(
    csm_model: Any, codes: Any, changes: bool
) -> None:
    """Also in a sound that hardly changes, where nothing hides one: the same codes over and over."""
    said = codes if changes else torch.full_like(codes, 7)
    with torch.no_grad():
        whole = csm_model.codec_model.decode(said).audio_values[0, 0]
    stream = CodecStream(csm_model.codec_model)

    found = clicks(streamed(stream, said), whole)
    assert found.shape == (FRAMES - 1,)
    assert float(found.max()) < CLOSE
    assert float(clicks(decoded_alone(stream, said), whole).max()) > 100 * CLOSE


def test_a_stream_that_is_reset_begins_anew(csm_model: Any, codes: Any) -> None:
    stream = CodecStream(csm_model.codec_model)
    first = streamed(stream, codes[:, :, :15])
    stream.reset()

    assert torch.equal(streamed(stream, codes[:, :, :15]), first)


def test_fewer_codes_than_the_codec_knows_are_decoded_too(csm_model: Any, codes: Any) -> None:
    few = codes[:, :5, :10]
    with torch.no_grad():
        whole = csm_model.codec_model.decode(few).audio_values[0, 0]

    assert float((streamed(CodecStream(csm_model.codec_model, 5), few) - whole).abs().max()) < CLOSE


def test_two_streams_of_one_codec_do_not_hear_each_other(csm_model: Any, codes: Any, whole: Any) -> None:
    one, other = CodecStream(csm_model.codec_model), CodecStream(csm_model.codec_model)
    sound = []
    for index in range(20):
        sound.append(one.decode(codes[:, :, index]).clone())
        other.decode(codes[:, :, -1 - index])

    assert float((torch.cat(sound) - whole[: 20 * FRAME_SAMPLES]).abs().max()) < CLOSE


@pytest.mark.parametrize("trait", [{"use_causal_conv": False}, {"trim_right_ratio": 0.5}, {"pad_mode": "reflect"}])
def test_a_codec_that_cannot_be_continued_is_refused(trait: dict[str, Any]) -> None:
    config = {"use_causal_conv": True, "trim_right_ratio": 1.0, "pad_mode": "constant", **trait}

    with pytest.raises(EngineError, match="cannot be decoded as a stream"):
        CodecStream(SimpleNamespace(config=SimpleNamespace(**config)))
