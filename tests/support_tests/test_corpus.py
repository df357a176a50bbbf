"""The corpus is the same everywhere, and its truth is true."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from tests.support.corpus import Session, disturbances, sessions
from tests.support.noises import RATE_HZ, rms


def session(name: str) -> Session:
    return next(each for part in ("table", "tuning") for each in sessions(part) if each.name == name)


@pytest.mark.parametrize(
    ("name", "checksums"),
    [
        ("en-us-f1, quiet", [1660405325, 1818793572]),
        ("en-us-f1, room", [902186958, 1398787148]),
        ("en-us-m1, room and fan, 15 dB", [3184353557, 2481129287]),
    ],
)
def test_every_sample_of_a_turn_is_the_same_wherever_it_is_computed(name: str, checksums: list[int]) -> None:
    turns = list(session(name).turns())[: len(checksums)]
    assert [zlib.crc32(turn.pcm) for turn in turns] == checksums


def test_every_sample_of_a_noise_is_the_same_wherever_it_is_computed() -> None:
    found = {each.noise: zlib.crc32(each.sound().pcm) for each in disturbances("table") if each.draw == 0}
    assert found == {
        "silence": 2953649799,
        "fan": 1924091150,
        "hum": 2110119080,
        "keyboard": 1449654985,
        "music": 1900153575,
        "coughs": 3711364944,
        "claps": 1617317732,
    }


def test_who_is_tuned_on_is_not_reported() -> None:
    tuned, reported = ({each.speaker["name"] for each in sessions(part)} for part in ("tuning", "table"))
    assert tuned.isdisjoint(reported)


def test_the_truth_says_where_the_sound_is() -> None:
    turn = next(session("de-f5, quiet").turns())
    samples = np.frombuffer(turn.pcm, "<i2").astype(float)
    spoken = np.zeros(len(samples), bool)
    for start_s, end_s in turn.speech:
        spoken[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)] = True
    assert rms(samples[spoken]) > 10 * rms(samples[~spoken])
    assert rms(samples[~spoken]) == pytest.approx(33.0, rel=0.02)


def test_what_was_said_up_to_a_moment_is_the_phrases_that_were_over_by_then() -> None:
    turn = next(turn for session in sessions("tuning") for turn in session.turns() if len(turn.phrases) == 3)
    (_, first_end_s), (second_start_s, _), (_, last_end_s) = turn.speech
    assert turn.said_by(0.0) == ""
    assert turn.said_by(first_end_s) == turn.said_by(second_start_s) == turn.phrases[0]
    assert turn.said_by(last_end_s) == " ".join(turn.phrases)
