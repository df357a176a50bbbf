"""Recordings joined: as loud as each other, as long as they were, and without a click."""

from __future__ import annotations

import math

import numpy
import pytest

from voice_mcp.core.joining import FADE_MS, MOST_GAIN_DB, PEAK_DBFS, TARGET_DBFS, Joiner, Placed
from voice_mcp.types import PcmFormat

MONO = PcmFormat(24_000, 1)
EDGE = MONO.frames_in(FADE_MS / 1000)
Array = numpy.ndarray


def tone(peak_dbfs: float, seconds: float = 1.0, hz: float = 660.0, fmt: PcmFormat = MONO) -> bytes:
    """A cosine: it begins at its highest, as sound does that was cut out of a longer one."""
    frames = numpy.arange(fmt.frames_in(seconds))
    wave = 32768 * 10 ** (peak_dbfs / 20) * numpy.cos(2 * math.pi * hz * frames / fmt.rate_hz)
    return numpy.repeat(numpy.rint(wave).astype("<i2"), fmt.channels).tobytes()


def samples(pcm: bytes) -> Array:
    return numpy.frombuffer(pcm, "<i2").astype(float)


def inside(placed: Placed) -> Array:
    """The recording without its faded edges."""
    return samples(placed.pcm)[-MONO.frames_in(placed.end_s - placed.start_s) :][EDGE:-EDGE]


def rms_dbfs(sound: Array) -> float:
    return float(20 * numpy.log10(numpy.sqrt(numpy.mean(sound**2)) / 32768))


def test_loud_and_quiet_recordings_become_equally_loud() -> None:
    joiner = Joiner(24_000)
    levels = [rms_dbfs(inside(joiner.add(tone(peak_dbfs), MONO))) for peak_dbfs in (-6, -26, -40)]
    assert levels == pytest.approx([TARGET_DBFS] * 3, abs=0.1)


def test_pauses_inside_a_recording_do_not_count() -> None:
    pause = bytes(MONO.frame_bytes * 24_000)
    placed = Joiner(24_000).add(tone(-30) + pause + pause + tone(-30), MONO)
    assert rms_dbfs(inside(placed)[: 24_000 - EDGE]) == pytest.approx(TARGET_DBFS, abs=0.2)


def test_the_gain_is_the_same_all_through_a_recording() -> None:
    swelling = samples(tone(-12, 2.0)) * numpy.linspace(0.2, 1.0, 48_000)
    before = numpy.rint(swelling).astype("<i2")
    after = inside(Joiner(24_000).add(before.tobytes(), MONO))
    played = before[EDGE:-EDGE].astype(float)
    gain = numpy.dot(after, played) / numpy.dot(played, played)
    assert numpy.abs(after - gain * played).max() < 1.1  # it rounds down


def test_a_click_keeps_a_quiet_recording_quiet_rather_than_being_clipped() -> None:
    clicking = samples(tone(-40, 2.0))
    clicking[20_000] = 16_384
    placed = Joiner(24_000).add(clicking.astype("<i2").tobytes(), MONO)
    peak = numpy.abs(samples(placed.pcm)).max()
    assert 20 * math.log10(peak / 32768) == pytest.approx(PEAK_DBFS, abs=0.01)


def test_the_noise_of_a_room_is_not_lifted_to_the_loudness_of_speech() -> None:
    assert rms_dbfs(inside(Joiner(24_000).add(tone(-60), MONO))) == pytest.approx(-63 + MOST_GAIN_DB, abs=0.3)


def test_silence_stays_silent() -> None:
    assert set(Joiner(24_000).add(bytes(48_000), MONO).pcm) == {0}


@pytest.mark.parametrize("fmt", [PcmFormat(24_000, 1), PcmFormat(22_050, 1), PcmFormat(48_000, 2), PcmFormat(8_000, 1)])
@pytest.mark.parametrize("rate_hz", [24_000, 11_025, 48_000])
def test_the_whole_is_as_long_as_its_parts_and_the_pauses(fmt: PcmFormat, rate_hz: int) -> None:
    joiner = Joiner(rate_hz, 0.6)
    lengths_s = (0.3337, 1.00004, 0.25)
    parts = [joiner.add(tone(-12, length_s, 440, fmt), fmt) for length_s in lengths_s]
    frames = sum(len(part.pcm) // 2 for part in parts)
    assert frames == pytest.approx((sum(lengths_s) + 1.2) * rate_hz, abs=3)
    assert joiner.length_s == pytest.approx(frames / rate_hz)
    assert [part.start_s for part in parts] == pytest.approx([0.0, 0.9337, 2.53374], abs=2e-4)


def test_there_is_no_pause_before_the_first_recording_and_none_where_one_goes_on() -> None:
    joiner = Joiner(24_000, 0.5)
    sizes = [len(joiner.add(tone(-20, 0.1), MONO, pause=pause).pcm) for pause in (True, True, False)]
    assert sizes == [4_800, 24_000 + 4_800, 4_800]


def test_a_joint_is_no_steeper_than_the_sound_itself() -> None:
    joiner = Joiner(24_000, 0.1)
    whole = samples(b"".join(joiner.add(tone(-9, 0.5003), MONO).pcm for _ in range(3)))
    bend = numpy.abs(numpy.diff(whole, 2))
    interior = bend[EDGE : MONO.frames_in(0.5) - EDGE].max()
    assert bend.max() <= interior + 2  # two roundings


@pytest.mark.parametrize("frames", [1, 30, 300, 479])
def test_a_recording_shorter_than_its_fades_keeps_its_length(frames: int) -> None:
    assert len(Joiner(24_000).add(tone(-12)[: 2 * frames], MONO).pcm) == 2 * frames


def test_other_rates_keep_their_pitch() -> None:
    fmt = PcmFormat(44_100, 2)
    sound = inside(Joiner(24_000).add(tone(-12, 1.0, 997, fmt), fmt))
    spectrum = numpy.abs(numpy.fft.rfft(sound * numpy.hanning(len(sound)), 24_000))
    assert int(spectrum.argmax()) == pytest.approx(997, abs=1)
