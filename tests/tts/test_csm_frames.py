"""CSM's frames, one at a time: the codes that transformers' own ``generate`` would give."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.csm_checkpoint import CODES, build_model
from tests.support.extras import need

need("transformers")
torch = need("torch")

from voice_mcp.tts._csm_frames import Draw, FrameMaker, Line  # noqa: E402
from voice_mcp.tts._csm_sound import read_prefix  # noqa: E402

GREEDY = Draw(temperature=0.0, top_k=1)
DRAWN = Draw(temperature=0.9, top_k=50, seed=5)
SILENT_CODES = [CODES, CODES + 1, CODES + 2]
TEXT = [256, 72, 101, 108, 108, 111, 257]
OTHER_TEXT = [256, 66, 121, 101, 257]


def frames(line: Line, count: int) -> list[list[int]]:
    found = []
    for _ in range(count):
        codes = line.next()
        if codes is None:
            break
        found.append(codes[0].tolist())
    return found


def spoken(model: Any, draw: Draw, count: int, text: list[int] = TEXT) -> list[list[int]]:
    maker = FrameMaker(model, 256)
    line = maker.line()
    line.read(maker.embed_text(text))
    line.begin(draw)
    return frames(line, count)


def generated(model: Any, count: int, **inputs: Any) -> list[list[int]]:
    codes: list[list[int]] = model.generate(
        **inputs,
        do_sample=False,
        depth_decoder_do_sample=False,
        suppress_tokens=SILENT_CODES,
        depth_decoder_suppress_tokens=SILENT_CODES,
        max_new_tokens=count,
    )[0].tolist()
    return codes


@pytest.mark.parametrize("text", [TEXT, OTHER_TEXT])
def test_greedy_frames_are_those_of_generate(csm_model: Any, text: list[int]) -> None:
    ours = spoken(csm_model, GREEDY, 40, text)

    assert ours == generated(csm_model, 40, input_ids=torch.tensor([text]))
    assert len({tuple(frame) for frame in ours}) > 10


def test_greedy_frames_after_a_voice_are_those_of_generate(csm_model: Any) -> None:
    from voice_mcp.tts._csm_prompt import example

    sound = torch.randn(9_000, generator=torch.Generator().manual_seed(1)) * 0.1
    maker = FrameMaker(csm_model, 256)
    prompt = example(maker, csm_model.codec_model, OTHER_TEXT, sound)
    count = prompt.shape[1] - len(OTHER_TEXT) - 1
    line = maker.line()
    line.read(prompt)
    line.read(maker.embed_text(TEXT))
    line.begin(GREEDY)

    ids = [*OTHER_TEXT, *[csm_model.config.audio_token_id] * count, csm_model.config.audio_eos_token_id, *TEXT]
    reference = generated(
        csm_model,
        20,
        input_ids=torch.tensor([ids]),
        attention_mask=torch.ones((1, len(ids)), dtype=torch.long),  # else the places of sound count as padding
        input_values=sound[None, None],
        input_values_cutoffs=torch.tensor([[sound.shape[0]]]),
    )
    assert count == 5
    assert frames(line, 20) == reference
    assert reference != spoken(csm_model, GREEDY, 20)


def test_a_voice_that_was_read_once_is_as_good_as_read_each_time(csm_model: Any) -> None:
    maker = FrameMaker(csm_model, 256)
    voice, text = maker.embed_text(OTHER_TEXT * 4), maker.embed_text(TEXT)
    whole = maker.line()
    whole.read(torch.cat((voice, text), dim=1))
    whole.begin(GREEDY)
    expected = frames(whole, 20)

    prefix = read_prefix(maker, voice)
    line = maker.line()
    line.memory.copy_from(prefix.memory, prefix.positions)
    for _ in range(2):  # the second time what was there before the text is still there
        line.go_back(prefix.positions)
        line.read(text)
        line.begin(GREEDY)
        assert frames(line, 20) == expected


def test_the_same_seed_draws_the_same_and_another_something_else(csm_model: Any) -> None:
    first = spoken(csm_model, DRAWN, 12)

    assert spoken(csm_model, DRAWN, 12) == first
    assert spoken(csm_model, Draw(0.9, 50, seed=6), 12) != first
    assert spoken(csm_model, Draw(0.9, 50), 12) != spoken(csm_model, Draw(0.9, 50), 12)


def test_drawing_from_the_likeliest_alone_is_greedy(csm_model: Any) -> None:
    assert spoken(csm_model, Draw(temperature=1.0, top_k=1, seed=3), 20) == spoken(csm_model, GREEDY, 20)


def test_codes_are_drawn_as_often_as_they_are_likely() -> None:
    """With heads of no weight all codes are equally likely: that many draws leave none out, and favour none."""
    codes = torch.tensor(spoken(without_heads(), Draw(1.0, CODES, seed=1), 200))
    counts = torch.bincount(codes.flatten(), minlength=CODES)

    assert counts.shape[0] == CODES
    expected = codes.numel() / CODES
    assert float(((counts - expected) ** 2 / expected).sum()) < 2 * CODES  # chi-squared; its mean is CODES - 1


def test_only_the_likeliest_are_drawn_from(csm_model: Any) -> None:
    narrow = {code for frame in spoken(csm_model, Draw(5.0, 2, seed=1), 40) for code in frame[:1]}
    wide = {code for frame in spoken(csm_model, Draw(5.0, CODES, seed=1), 40) for code in frame[:1]}

    assert len(narrow) < len(wide)


def test_codes_that_stand_for_no_sound_are_never_drawn(csm_model: Any) -> None:
    codes = spoken(csm_model, Draw(temperature=100.0, top_k=CODES + 3, seed=1), 60)

    assert max(code for frame in codes for code in frame) == CODES - 1


def without_heads(*, but_the_last: bool = False) -> Any:
    """A model to which all codes are equally likely, so that the greedy choice is 0: the end."""
    model = build_model(seed=1)
    with torch.no_grad():
        model.lm_head.weight.zero_()
        model.depth_decoder.codebooks_head.weight[: -1 if but_the_last else None].zero_()
    return model


@pytest.mark.parametrize("but_the_last", [False, True])
def test_a_frame_of_zeros_is_the_end_whatever_its_last_code(but_the_last: bool) -> None:
    model = without_heads(but_the_last=but_the_last)

    assert spoken(model, GREEDY, 5) == []
    (end,) = generated(model, 5, input_ids=torch.tensor([TEXT]))
    assert end[:-1] == [0] * 7
    assert (end[-1] != 0) == but_the_last


def test_compiled_steps_choose_the_same_codes() -> None:
    """What a GPU runs fused; here only that the compiler can follow."""
    need("torch._dynamo")
    model = build_model()
    maker = FrameMaker(model, 64)
    step = torch.compile(maker.backbone.run, dynamic=False, backend="eager")
    memory, plain = maker.backbone.memory(64), maker.backbone.memory(64)
    x = maker.embed_text(TEXT)
    at = torch.arange(len(TEXT))
    with torch.no_grad():
        assert torch.equal(step(x, at, memory), maker.backbone.run(x, at, plain))
    assert all(torch.equal(*pair) for pair in zip(memory.keys, plain.keys, strict=True))
