"""The network that ships, on the corpus that ships."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.corpus import Listening, Session, disturbances, sessions
from voice_mcp.core.endpointing import Decision, Endpointer, SpeechStarted, TurnEnded
from voice_mcp.core.pauses import Pauses
from voice_mcp.protocols import VoiceDetector
from voice_mcp.vad.silero import SileroDetector

PLACES = ("quiet", "keyboard, 5 dB", "music, 10 dB", "room and fan, 15 dB")
LONGEST_RUN_S = 60.0
# What onnxruntime makes of the published model in these windows of a turn: where speech begins, and where it ends.
REFERENCE = {
    24: (0.00279, 0.0026, 0.14572, 0.9114),
    56: (0.99998, 0.99998, 0.72547, 0.90417, 0.9732, 0.97813, 0.99975, 1.0),
    64: (0.99999, 0.99999, 0.99991, 0.99898, 0.9708, 0.68237, 0.28418, 0.13953),
}


@pytest.fixture(scope="module")
def detector() -> SileroDetector:
    return SileroDetector()


def heard(detector: SileroDetector, sound: Listening, pauses: Pauses | None = None) -> list[Decision]:
    detector.reset()
    endpointer = Endpointer(detector.format.seconds(detector.window_frames), pauses or Pauses())
    return [made for probability in detector.add(sound.pcm) if (made := endpointer.add(probability))]


def session(speaker: str, place: str) -> Session:
    return next(each for each in sessions("table") if each.name == f"{speaker}, {place}")


def first_turn(speaker: str = "en-us-f1", place: str = "quiet") -> Listening:
    return next(session(speaker, place).turns())


def test_it_takes_16_khz_mono_and_answers_every_32_ms(detector: VoiceDetector) -> None:
    assert (detector.format.rate_hz, detector.format.channels) == (16_000, 1)
    assert detector.format.seconds(detector.window_frames) == 0.032
    detector.reset()
    assert len(detector.add(bytes(2 * 16_000))) == 31


def test_it_computes_what_the_published_model_computes(detector: SileroDetector) -> None:
    detector.reset()
    probabilities = detector.add(first_turn().pcm)
    for first, expected in REFERENCE.items():
        assert probabilities[first : first + len(expected)] == pytest.approx(expected, abs=1e-4)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 5000), max_size=30))
def test_how_the_sound_is_cut_makes_no_difference(cuts: list[int]) -> None:
    detector = SileroDetector()
    pcm = first_turn().pcm[:60_000]
    whole = detector.add(pcm)
    detector.reset()
    at, pieces = 0, []
    for size in cuts:
        pieces += detector.add(pcm[at : at + size])
        at += size
    assert pieces + detector.add(pcm[at:]) == whole


def test_reset_forgets_what_was_heard_and_half_a_window(detector: SileroDetector) -> None:
    pcm = first_turn().pcm[:60_000]
    detector.reset()
    fresh = detector.add(pcm)
    detector.add(pcm[:777])
    detector.reset()
    assert detector.add(pcm) == fresh


def test_two_detectors_know_nothing_of_each_other() -> None:
    pcm = first_turn().pcm[:60_000]
    alone = SileroDetector().add(pcm)
    one, other = SileroDetector(), SileroDetector()
    together = []
    for at in range(0, len(pcm), 1024):
        together += one.add(pcm[at : at + 1024])
        other.add(bytes(1024))
    assert together == alone


@pytest.mark.parametrize("loudness", [0, 1, 32767])
def test_silence_and_the_loudest_square_wave_are_judged_without_a_warning(
    detector: SileroDetector, loudness: int
) -> None:
    wave = np.where(np.arange(16_000) // 40 % 2, loudness, -loudness).astype("<i2").tobytes()
    detector.reset()
    assert all(0.0 <= probability <= 1.0 for probability in detector.add(wave))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("speaker", ["en-us-f1", "en-gb-m2", "fr-fr-m4"])
def test_a_turn_is_heard_from_its_first_word_to_its_last(detector: SileroDetector, speaker: str, place: str) -> None:
    pauses = Pauses()
    turn = first_turn(speaker, place)
    decisions = heard(detector, turn, pauses)
    started, ended = decisions[0], decisions[-1]
    assert isinstance(started, SpeechStarted)
    assert turn.speech[0][0] - 0.5 <= started.keep_s <= turn.speech[0][0]
    assert turn.speech[0][0] <= started.at_s <= turn.speech[0][0] + 0.4
    assert isinstance(ended, TurnEnded)
    assert ended.speech_end_s == pytest.approx(turn.turn_end_s, abs=0.35)
    assert ended.at_s >= turn.turn_end_s


def test_a_speaker_who_thinks_is_not_cut_off_once_known(detector: SileroDetector) -> None:
    pauses = Pauses()
    turns = list(session("de-f5", "fan, 10 dB").turns())
    ends = [heard(detector, turn, pauses)[-1] for turn in turns]
    assert [end.at_s >= turn.turn_end_s for end, turn in zip(ends, turns, strict=True)][2:] == [True] * (len(turns) - 2)


def test_no_noise_is_taken_for_speech(detector: SileroDetector) -> None:
    taken = [each.noise for each in disturbances("table")[::5] if heard(detector, each.sound())]
    assert taken == []


def test_speech_while_keys_are_struck_is_not_taken_for_typing(detector: SileroDetector) -> None:
    turns = list(session("es-f2", "keyboard, 5 dB").turns())
    assert all(isinstance(heard(detector, turn)[0], SpeechStarted) for turn in turns)


def test_listening_takes_a_small_part_of_real_time(detector: SileroDetector) -> None:
    """The bar is 3 % of a core; this one only fails when something is badly wrong."""
    before_s = os.times().user
    detector.reset()
    detector.add(bytes(2 * 16_000 * 30))
    assert os.times().user - before_s < 30 * 0.2


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=LONGEST_RUN_S, check=True
    )
    return done.stdout.strip()


def test_numpy_is_loaded_with_the_first_detector_and_not_before() -> None:
    code = (
        "import sys; import voice_mcp.vad.silero as s; before = 'numpy' in sys.modules; s.SileroDetector();"
        "print(before, 'numpy' in sys.modules)"
    )
    assert run(code) == "False True"
