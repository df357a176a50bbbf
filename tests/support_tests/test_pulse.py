import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.pattern import Verdict, judge, pattern
from tests.support.pulse import PulseCard
from tests.support.waiting import eventually

pytestmark = pytest.mark.pulse

RATE_HZ = 24_000
REFERENCE = pattern(RATE_HZ, seed=5)
STOP_TAIL_S = 0.3


@pytest.fixture
def reference_file(tmp_path: Path) -> Path:
    file = tmp_path / "pattern.pcm"
    file.write_bytes(REFERENCE)
    return file


def play(card: PulseCard, module: str, file: Path, *arguments: object) -> tuple[dict[str, Any], Verdict]:
    """Play the file on the card with one of the reference players."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.support.{module}", str(file), str(RATE_HZ), *map(str, arguments)],
        env={**os.environ, **card.env},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    card.wait_for_silence(STOP_TAIL_S, 5)
    return json.loads(done.stdout), judge(card.captured(), REFERENCE)


def test_what_portaudio_plays_reaches_the_card_bit_by_bit(pulse_card: PulseCard, reference_file: Path) -> None:
    report, verdict = play(pulse_card, "play_sounddevice", reference_file, 240, 30, -1, "stop")
    assert verdict.exact, verdict
    assert report["underflows"] == 0


def test_what_miniaudio_plays_reaches_the_card_bit_by_bit(pulse_card: PulseCard, reference_file: Path) -> None:
    _, verdict = play(pulse_card, "play_miniaudio", reference_file, 30, -1)
    assert verdict.exact, verdict


def test_a_tail_without_padding_is_seen_to_be_lost(pulse_card: PulseCard, reference_file: Path) -> None:
    _, verdict = play(pulse_card, "play_sounddevice", reference_file, 240, 30, 0, "abort")
    assert 0 < verdict.missing < RATE_HZ // 10
    assert verdict.end_frame == len(REFERENCE) // 2 - verdict.missing


def test_the_moment_of_a_sound_lies_within_its_play(pulse_card: PulseCard, reference_file: Path) -> None:
    report, _ = play(pulse_card, "play_sounddevice", reference_file, 240, 30, -1, "stop")
    first_s, last_s = pulse_card.capture.first_sound_s, pulse_card.capture.last_sound_s
    assert first_s is not None
    assert last_s is not None
    assert report["started_s"] < first_s < last_s
    assert pulse_card.wait_for_sound(1) == first_s


def test_a_listener_can_wait_for_what_the_card_gets(pulse_card: PulseCard, reference_file: Path) -> None:
    play(pulse_card, "play_sounddevice", reference_file, 240, 30, -1, "stop")
    pulse_card.wait_for(REFERENCE[-2000:], 1)
    pulse_card.clear()
    with pytest.raises(AssertionError, match="did not reach the card"):
        pulse_card.wait_for(REFERENCE[:2000], 0.05)
    pulse_card.wait_for(lambda got: len(got) >= 4800, 5)


def test_an_unplugged_card_is_gone_at_once_for_whoever_waits(pulse_card: PulseCard) -> None:
    pulse_card.unplug()
    with pytest.raises(AssertionError, match="the card is gone"):
        pulse_card.wait_for_sound(10)


def test_two_cards_do_not_hear_each_other(pulse_card: PulseCard, reference_file: Path) -> None:
    with PulseCard() as other:
        _, verdict = play(other, "play_sounddevice", reference_file, 240, 30, -1, "stop")
        assert verdict.exact, verdict
        assert not any(pulse_card.captured())


def test_a_card_of_another_shape_takes_its_own_frames() -> None:
    with PulseCard(rate_hz=48_000, channels=2, period_ms=None) as stereo:
        stereo.wait_for(lambda got: len(got) >= 19_200, 5)


def test_nothing_is_left_of_a_card_that_was_stopped() -> None:
    with PulseCard() as card:
        folder = Path(card.env["ALSA_CONFIG_PATH"]).parent
        assert folder.exists()
    card.stop()
    eventually(lambda: not folder.exists(), 1, "the card's folder went away")


def test_a_daemon_that_cannot_start_is_reported_with_what_it_said() -> None:
    with pytest.raises(RuntimeError, match="module-pipe-sink"):
        PulseCard(rate_hz=-1).start()
