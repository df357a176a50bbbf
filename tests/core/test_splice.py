"""Several renditions of the same text become one stretch of sound."""

from __future__ import annotations

import math
from array import array

from hypothesis import given
from hypothesis import strategies as st

from voice_mcp.core.splice import HELD_BACK_S, OPENING_S, Splice
from voice_mcp.types import PcmFormat

MONO, STEREO = PcmFormat(8_000, 1), PcmFormat(8_000, 2)
HELD_FRAMES = MONO.frames_in(HELD_BACK_S)


def tone(frames: int, channels: int = 1, *, level: int = 9_000, phase: float = 0.0) -> bytes:
    samples = [round(level * math.sin(phase + index / 7)) for index in range(frames) for _ in range(channels)]
    return array("h", samples).tobytes()


def pushed(splice: Splice, frames: bytes, cuts: list[int]) -> bytes:
    """What comes out when ``frames`` go in by pieces of these numbers of frames, over and over."""
    out, size, index = b"", splice.format.frame_bytes, 0
    while frames:
        piece = cuts[index % len(cuts)] * size
        index += 1
        out += splice.push(frames[:piece])
        frames = frames[piece:]
    return out


def test_a_rendition_that_comes_to_its_end_is_passed_on_as_it_came() -> None:
    splice, sound = Splice(MONO), tone(1_000)

    assert pushed(splice, sound, [37]) + splice.end() == sound


def test_only_the_last_moment_is_held_back() -> None:
    splice = Splice(MONO)

    assert len(splice.push(tone(500))) == 2 * (500 - HELD_FRAMES)


@given(
    frames=st.integers(1, 600),
    breaks=st.lists(st.integers(0, 600), max_size=4),
    cuts=st.lists(st.integers(1, 200), min_size=1, max_size=5),
    fmt=st.sampled_from([MONO, STEREO]),
)
def test_the_same_rendition_again_gives_the_same_sound_wherever_it_broke_off(
    frames: int, breaks: list[int], cuts: list[int], fmt: PcmFormat
) -> None:
    sound, splice, out = tone(frames, fmt.channels), Splice(fmt), b""
    for at in breaks:
        out += pushed(splice, sound[: at * fmt.frame_bytes], cuts)
        splice.restart()
    out += pushed(splice, sound, cuts) + splice.end()

    assert out == sound


@given(at=st.integers(0, 500), cuts=st.lists(st.integers(1, 90), min_size=1, max_size=4))
def test_another_rendition_is_joined_without_a_jump(at: int, cuts: list[int]) -> None:
    one, other, splice = tone(600), tone(600, phase=2.0), Splice(MONO)
    out = pushed(splice, one[: 2 * at], cuts)
    splice.restart()
    out += pushed(splice, other, cuts) + splice.end()
    samples = array("h", out)

    assert len(samples) == 600
    steepest = max(abs(after - before) for sound in (one, other) for before, after in _pairs(array("h", sound)))
    # Over the seam the sound moves by what both renditions move, and by its share of the way between them.
    between = max(abs(left - right) for left, right in zip(array("h", one), array("h", other), strict=True))
    seam = max(1, min(at, HELD_FRAMES))
    if at >= HELD_FRAMES:
        assert max(abs(after - before) for before, after in _pairs(samples)) <= steepest + between / seam + 2
    assert out[: 2 * max(0, at - HELD_FRAMES)] == one[: 2 * max(0, at - HELD_FRAMES)]
    assert out[2 * at :] == other[2 * at :]


def test_a_seam_that_breaks_off_itself_is_joined_again() -> None:
    sound, other, splice = tone(600), tone(600, phase=1.0), Splice(MONO)
    out = splice.push(sound[:800])
    splice.restart()
    out += splice.push(other[: 800 - HELD_FRAMES])  # in the middle of the crossfade
    splice.restart()
    out += splice.push(sound) + splice.end()

    assert len(out) == len(sound)
    assert out[800:] == sound[800:]


def test_a_shorter_rendition_adds_nothing_and_takes_nothing_away() -> None:
    sound, splice = tone(600), Splice(MONO)
    out = splice.push(sound[:1_000])
    splice.restart()
    out += splice.push(sound[:400]) + splice.end()

    assert out == sound[:1_000]


def test_what_was_passed_on_in_another_shape_is_skipped_by_time() -> None:
    sound, splice = tone(800), Splice(MONO, skip_s=0.05)

    assert splice.push(sound) + splice.end() == sound[2 * MONO.frames_in(0.05) :]


def test_sound_that_nobody_goes_on_with_ends_softly() -> None:
    splice, sound = Splice(STEREO), tone(500, 2)
    out = splice.push(sound)
    last = array("h", splice.break_off())

    assert len(out) + 2 * len(last) == len(sound)
    assert max(abs(sample) for sample in last[-6:]) < 100
    assert splice.end() == b""


def _pairs(samples: array[int]) -> list[tuple[int, int]]:
    return list(zip(samples, samples[1:], strict=False))


def test_the_first_sound_of_an_utterance_does_not_wait_for_a_seam() -> None:
    splice, opening = Splice(MONO, opens=True), tone(MONO.frames_in(OPENING_S))

    assert splice.push(opening) == opening


@given(cuts=st.lists(st.integers(1, 200), min_size=1, max_size=5))
def test_after_the_first_sound_the_last_moment_is_held_back_as_ever(cuts: list[int]) -> None:
    splice, sound = Splice(MONO, opens=True), tone(1_000)

    assert pushed(splice, sound, cuts) == sound[: -2 * HELD_FRAMES]
    assert splice.end() == sound[-2 * HELD_FRAMES :]
