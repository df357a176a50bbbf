"""The virtual microphone, as PulseAudio's own recorder hears it."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.capture import Capture
from tests.support.pattern import judge, pattern
from tests.support.pulse import PulseCard
from tests.support.waiting import eventually

pytestmark = pytest.mark.pulse

RATE_HZ = 16_000
WAIT_S = 15.0


@contextmanager
def recording(card: PulseCard, channels: int = 1) -> Iterator[Capture]:
    """What a recorder hears of the card's default source."""
    heard = Capture(2 * RATE_HZ * channels)
    command = ["parec", "--raw", "--format=s16le", f"--rate={RATE_HZ}", f"--channels={channels}", "--latency-msec=10"]
    with subprocess.Popen(command, env={**os.environ, **card.env}, stdout=subprocess.PIPE) as recorder:
        output = recorder.stdout
        assert output is not None

        def read() -> None:
            while data := os.read(output.fileno(), 1 << 16):
                heard.append(data, time.perf_counter())
            heard.end()

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        heard.wait_for(lambda data: bool(data), WAIT_S)
        yield heard
        recorder.terminate()
        reader.join(WAIT_S)


@pytest.mark.parametrize("channels", [1, 2])
def test_what_is_said_is_heard_once_in_order_and_with_silence_around_it(pulse_card: PulseCard, channels: int) -> None:
    microphone = pulse_card.microphone(RATE_HZ, channels)
    first, second = (pattern(RATE_HZ * channels // 2, seed) for seed in (1, 2))
    with recording(pulse_card, channels) as heard:
        microphone.say(first)
        microphone.say(second)
        microphone.wait_until_said(WAIT_S)
        heard.wait_for_silence(0.1, WAIT_S)
    verdict = judge(heard.data(), first + second, channels=channels)
    assert verdict.exact, verdict


def test_it_is_known_when_something_was_in_the_air(pulse_card: PulseCard) -> None:
    microphone = pulse_card.microphone(RATE_HZ)
    with recording(pulse_card) as heard:
        before_s = time.perf_counter()
        saying = microphone.say(pattern(RATE_HZ // 2))
        heard_s = heard.wait_for_sound(WAIT_S)
        assert before_s - 0.02 < saying.begun_s(0) < heard_s
        assert saying.over_s(WAIT_S) == pytest.approx(saying.begun_s(0) + 0.5, abs=0.001)


def test_what_is_said_for_ever_is_said_until_it_is_hushed(pulse_card: PulseCard) -> None:
    microphone, spoken = pulse_card.microphone(RATE_HZ), pattern(1000)
    with recording(pulse_card) as heard:
        saying = microphone.say_forever(spoken)
        heard.wait_for(spoken * 5, WAIT_S)
        with pytest.raises(AssertionError, match="was not told everything"):
            microphone.wait_until_said(0.01)
        microphone.hush()
        saying.over_s(WAIT_S)
        heard.wait_for_silence(0.2, WAIT_S)


def test_between_the_words_there_can_be_noise(pulse_card: PulseCard) -> None:
    pulse_card.microphone(RATE_HZ, noise=5)
    with recording(pulse_card) as heard:
        heard.wait_for(lambda data: len(data) > RATE_HZ, WAIT_S)
    samples = array("h", heard.data()[: RATE_HZ // 2 * 2])
    assert set(range(-5, 6)) == set(samples)


def test_whoever_records_is_known(pulse_card: PulseCard) -> None:
    pulse_card.microphone(RATE_HZ)
    assert pulse_card.recorders() == set()
    with recording(pulse_card):
        assert len(pulse_card.recorders()) == 1
    eventually(lambda: not pulse_card.recorders(), WAIT_S, "nobody records")


def test_the_last_microphone_is_the_default_and_one_can_be_taken_away(pulse_card: PulseCard) -> None:
    first = pulse_card.microphone(RATE_HZ, name="first")
    second = pulse_card.microphone(RATE_HZ, name="second")
    assert pulse_card.control("get-default-source").strip() == "second"
    pulse_card.remove_microphone(second)
    with recording(pulse_card) as heard:
        first.say(pattern(1000))
        heard.wait_for(pattern(1000), WAIT_S)


def test_a_card_that_comes_back_has_its_microphone_again(pulse_card: PulseCard) -> None:
    microphone = pulse_card.microphone(RATE_HZ)
    pulse_card.unplug()
    lost = microphone.say(pattern(1000, seed=1))
    lost.over_s(WAIT_S)
    pulse_card.replug()
    with recording(pulse_card) as heard:
        microphone.say(pattern(1000, seed=2))
        heard.wait_for(pattern(1000, seed=2), WAIT_S)
        assert pattern(100, seed=1) not in heard.data()
