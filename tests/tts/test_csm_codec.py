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


def bends(sound: Any) -> Any:
    """The second difference of neighbouring samples: what a click is."""
    return (sound[:-2] - 2 * sound[1:-1] + sound[2:]).abs()


def test_a_stream_has_the_samples_of_one_shot_decoding(csm_model: Any, codes: Any, whole: Any) -> None:
    sound = streamed(CodecStream(csm_model.codec_model), codes)

    assert sound.shape == whole.shape == (FRAMES * FRAME_SAMPLES,)
    assert 0.1 < float(whole.abs().max()) < 1.0
    assert float((sound - whole).abs().max()) < CLOSE


def test_frames_that_are_decoded_each_alone_have_not(csm_model: Any, codes: Any, whole: Any) -> None:
    """So the test above would notice."""
    stream = CodecStream(csm_model.codec_model)
    alone = []
    for index in range(FRAMES):
        stream.reset()
        alone.append(stream.decode(codes[:, :, index]).clone())

    assert float((torch.cat(alone) - whole).abs().max()) > 100 * CLOSE


def test_there_is_no_click_where_two_frames_meet(csm_model: Any) -> None:
    """In a sound that hardly changes, where nothing hides one: the same codes over and over."""
    same = torch.full((1, 8, 40), 7)
    sound = streamed(CodecStream(csm_model.codec_model), same)[10 * FRAME_SAMPLES :]
    bend = bends(sound)
    at_joints = torch.zeros_like(bend, dtype=torch.bool)
    for joint in range(FRAME_SAMPLES, sound.shape[0], FRAME_SAMPLES):
        at_joints[joint - 2 : joint] = True

    assert float(bend[at_joints].max()) <= float(bend[~at_joints].max())


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
