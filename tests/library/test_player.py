"""``StreamingAudioPlayer``: what is queued is what the card gets, in its order, until it is stopped."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.support.pattern import judge, pattern
from tests.support.processes import children
from tests.support.pulse import PulseCard
from tests.support.waiting import eventually
from voice_mcp import StreamingAudioPlayer
from voice_mcp.errors import DeviceUnavailable, InvalidInput, PlaybackError

WAIT_S = 20.0


@pytest.fixture
def null_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICEMODE_AUDIO_OUTPUT", "null")
    monkeypatch.setenv("VOICEMODE_OUTPUT_DEVICE", "20x")


@pytest.fixture
def card(pulse_card: PulseCard, monkeypatch: pytest.MonkeyPatch) -> Iterator[PulseCard]:
    for name, value in pulse_card.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("VOICEMODE_AUDIO_OUTPUT", "sounddevice")
    yield pulse_card


def as_float(frames: bytes) -> np.ndarray:
    return np.frombuffer(frames, "<i2").astype(np.float32) / 32768


@pytest.mark.pulse
def test_chunks_reach_the_card_once_in_their_order(card: PulseCard) -> None:
    sent = pattern(72_000)
    sound = as_float(sent)
    with StreamingAudioPlayer() as player:
        for start in range(0, len(sound), 1920):
            player.queue_audio(sound[start : start + 1920])
        assert player.drain() == pytest.approx(3.0)
        gaps = player.underruns  # none but on a machine that is very busy
    verdict = judge(card.captured(), sent)
    assert (verdict.missing, verdict.repeated, len(verdict.gaps)) == (0, 0, gaps)
    assert verdict.exact or gaps


@pytest.mark.pulse
def test_a_tone_in_chunks_comes_out_as_clean_as_16_bits_allow(card: PulseCard) -> None:
    tone = (0.9 * np.sin(2 * np.pi * 220 * np.arange(48_000) / 24_000)).astype(np.float32)
    with StreamingAudioPlayer() as player:
        for start in range(0, len(tone), 4096):
            player.queue_audio(tone[start : start + 4096])
    captured = as_float(card.captured())
    lead = int(np.flatnonzero(captured)[0]) - int(np.flatnonzero(np.rint(tone * 32768))[0])
    heard = captured[lead : lead + len(tone)]
    snr_db = 10 * np.log10(np.sum(tone**2) / np.sum((heard - tone) ** 2))
    assert snr_db >= 90


@pytest.mark.pulse
def test_an_empty_queue_is_a_pause_and_no_end(card: PulseCard) -> None:
    sent = pattern(48_000)
    sound = as_float(sent)
    with StreamingAudioPlayer() as player:
        player.queue_audio(sound[:24_000])
        card.wait_for_silence(0.3, WAIT_S)
        assert player.is_playing
        player.queue_audio(sound[24_000:])
        assert player.drain() == pytest.approx(2.0)
        assert player.underruns == 1
    verdict = judge(card.captured(), sent)
    assert (verdict.missing, verdict.repeated, len(verdict.gaps)) == (0, 0, 1)


@pytest.mark.pulse
def test_stop_is_silence_at_once(card: PulseCard) -> None:
    with StreamingAudioPlayer() as player:
        player.queue_audio(as_float(pattern(24_000 * 10)))
        card.wait_for_sound(WAIT_S)
        player.stop()
        assert not player.is_playing
        heard = len(card.captured())
        card.wait_for_silence(0.2, WAIT_S)
        assert len(card.captured().rstrip(b"\0")) - heard < 48_000 * 0.3


@pytest.mark.usefixtures("null_device")
@pytest.mark.parametrize("shape", [(4800,), (1, 4800), (4800, 1), (1, 1, 4800)])
def test_dimensions_of_one_do_not_count(shape: tuple[int, ...]) -> None:
    with StreamingAudioPlayer() as player:
        player.queue_audio(np.full(shape, 0.25, np.float64))
        assert player.drain() == pytest.approx(0.2)


@pytest.mark.usefixtures("null_device")
def test_two_channels_are_two_columns() -> None:
    with StreamingAudioPlayer(48_000, channels=2) as player:
        player.queue_audio(np.zeros((1, 4800, 2), np.float32))
        with pytest.raises(InvalidInput, match="2 channels"):
            player.queue_audio(np.zeros(4800, np.float32))
        assert player.drain() == pytest.approx(0.1)


@pytest.mark.usefixtures("null_device")
@pytest.mark.parametrize("bad", [np.array([0.0, np.nan]), np.array([np.inf]), np.array(["a"]), "sound", None])
def test_what_is_no_sound_is_refused_and_what_was_queued_is_heard(bad: object) -> None:
    with StreamingAudioPlayer() as player:
        player.queue_audio(np.zeros(2400, np.float32))
        with pytest.raises(InvalidInput):
            player.queue_audio(bad)  # type: ignore[arg-type]
        assert player.drain() == pytest.approx(0.1)


@pytest.mark.usefixtures("null_device")
def test_it_starts_again_after_a_stop_and_after_its_end() -> None:
    with StreamingAudioPlayer() as player:
        for _ in range(2):
            player.start()
            player.start()
            player.queue_audio(np.zeros(2400, np.float32))
            assert player.drain() == pytest.approx(0.1)
            player.start()
            player.stop()
            player.stop()


@pytest.mark.usefixtures("null_device")
def test_sound_for_a_player_that_was_not_started_is_an_error() -> None:
    player = StreamingAudioPlayer()
    with pytest.raises(PlaybackError, match="not been started"):
        player.queue_audio(np.zeros(10, np.float32))
    with pytest.raises(PlaybackError, match="not been started"):
        player.drain()
    player.stop()
    player.close()
    player.close()


def test_without_a_device_start_tells_it_and_a_later_start_may_succeed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICEMODE_AUDIO_OUTPUT", "null")
    monkeypatch.setenv("VOICEMODE_OUTPUT_DEVICE", "no such device")
    player = StreamingAudioPlayer()
    for _ in range(2):
        with pytest.raises(DeviceUnavailable):
            player.start()
        assert not player.is_playing
    player.close()


@pytest.mark.usefixtures("null_device")
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_block_that_could_not_begin_leaves_no_thread_and_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICEMODE_AUDIO_OUTPUT", "null")
    monkeypatch.setenv("VOICEMODE_OUTPUT_DEVICE", "no such device")
    before = threading.active_count(), len(children(os.getpid()))
    with pytest.raises(DeviceUnavailable), StreamingAudioPlayer():
        pass
    eventually(lambda: (threading.active_count(), len(children(os.getpid()))) <= before, WAIT_S, "the end of it")


@pytest.mark.usefixtures("null_device")
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_player_that_is_thrown_away_leaves_no_process() -> None:
    before = len(children(os.getpid()))
    player = StreamingAudioPlayer()
    player.start()
    player.queue_audio(np.zeros(2400, np.float32))
    assert len(children(os.getpid())) == before + 1
    del player
    gc.collect()
    eventually(lambda: len(children(os.getpid())) == before, WAIT_S, "the end of the audio process")


@pytest.mark.usefixtures("null_device")
def test_a_gap_is_counted_while_it_plays() -> None:
    with StreamingAudioPlayer() as player:
        player.queue_audio(np.ones(24_000, np.float32))
        eventually(lambda: player.played_s == pytest.approx(1.0), WAIT_S, "the last frame")
        player.queue_audio(np.ones(24_000, np.float32))
        eventually(lambda: player.underruns == 1, WAIT_S, "the gap")


@pytest.mark.parametrize("wrong", [{"sample_rate": 24_000.0}, {"channels": 1.0}, {"buffer_size": 2.5}])
def test_numbers_that_are_not_whole_are_told(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="no whole number"):
        StreamingAudioPlayer(**wrong)


@pytest.mark.usefixtures("null_device")
def test_what_is_played_is_counted_while_it_plays() -> None:
    with StreamingAudioPlayer() as player:
        player.queue_audio(np.zeros(48_000, np.float32))
        eventually(lambda: player.played_s > 0, WAIT_S, "the first position")
        assert player.drain() == pytest.approx(2.0)
        assert player.played_s == pytest.approx(2.0)


@pytest.mark.parametrize(("rate", "block", "channels"), [(0, 4096, 1), (24_000, 4096, 3), (24_000, 0, 1)])
def test_a_shape_that_cannot_be_played_is_told(rate: int, block: int, channels: int) -> None:
    with pytest.raises(InvalidInput):
        StreamingAudioPlayer(rate, block, channels)
