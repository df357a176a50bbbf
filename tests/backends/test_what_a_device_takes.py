"""Devices that refuse, are held, come and go: what PortAudio makes of them, and what reaches the card."""

from __future__ import annotations

import errno
import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest

from tests.backends.alsa import (
    PULSE,
    SILENT,
    SPDIF,
    UNPLUGGED,
    Script,
    as_an_ordinary_user,
    bound_to,
    has_plugin,
    held,
    held_terminal,
    missing_for_portaudio,
)
from tests.support.pattern import judge, pattern
from tests.support.pulse import PulseCard
from voice_mcp.backends._portaudio import is_busy
from voice_mcp.backends.sounddevice import nearest_formats
from voice_mcp.types import PcmFormat

pytestmark = pytest.mark.skipif(missing_for_portaudio() is not None, reason=missing_for_portaudio() or "")
spdif = pytest.mark.skipif(not has_plugin("a52"), reason="ALSA's AC-3 plugin is not installed (libasound2-plugins)")

TONE_HZ = 997
TONE_S = 1.0
WINDOW_FRAMES = 4_800
IEC_61937 = b"\x72\xf8\x1f\x4e"
PORTAUDIO = ["sounddevice"]
HEADSET = "pcm.headset { type null }\n"

Step = tuple[str, dict[str, Any]]


def opening(rate_hz: int, channels: int, device: str | None = None, backends: list[str] = PORTAUDIO) -> Step:
    return "open", {"fmt": [rate_hz, channels], "backends": backends, "device": device}


def playing(path: Path, rate_hz: int, channels: int, pan: float = 0.0, held_up: int = 0) -> Step:
    return "play", {"path": str(path), "fmt": [rate_hz, channels], "pan": pan, "held_up": held_up}


def configuring(text: str) -> Step:
    return "configure", {"text": text}


LISTING: Step = ("devices", {"backend": "sounddevice"})
CLOSING: Step = ("close", {})


def tone(rate_hz: int) -> bytes:
    t = np.arange(round(rate_hz * TONE_S)) / rate_hz
    return (20_000 * np.sin(2 * np.pi * TONE_HZ * t)).round().astype("<i2").tobytes()


def decoded(captured: bytes) -> npt.NDArray[np.float32]:
    """What a receiver on the digital output makes of its bursts: (channels, frames)."""
    with av.open(io.BytesIO(captured[captured.find(IEC_61937) :]), "r", format="spdif") as container:
        return np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1).astype(np.float32)


def fullest(samples: npt.NDArray[np.float32]) -> slice:
    """The tenth of a second with the most sound: AC-3 takes 32 ms at a time, and a busy machine leaves gaps."""
    start = int(np.argmax(np.convolve(samples**2, np.ones(WINDOW_FRAMES), "valid")))
    return slice(start, start + WINDOW_FRAMES)


def loudest_hz(samples: npt.NDArray[np.float32]) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * 48_000 / len(samples))


def intact(captured: bytes, sent: bytes) -> bool:
    """Whether every frame arrived once and as it was; how late is the machine's affair."""
    verdict = judge(captured, sent)
    return (verdict.missing, verdict.repeated, verdict.altered) == (0, 0, 0)


# --- formats ------------------------------------------------------------------------------------------------------


@pytest.mark.pulse
@pytest.mark.parametrize("pan", [0.0, 1.0])
def test_a_voice_reaches_both_sides_of_a_card_sample_by_sample_and_one_side_alone(tmp_path: Path, pan: float) -> None:
    sent = pattern(24_000)
    (tmp_path / "pcm").write_bytes(sent)
    with PulseCard(24_000, 2) as card:
        script = Script(tmp_path, PULSE, card.env)
        opened, played = script.run(opening(24_000, 2), playing(tmp_path / "pcm", 24_000, 1, pan))
        heard = np.frombuffer(card.captured()[: len(card.captured()) // 4 * 4], "<i2").reshape(-1, 2)

    assert opened == ["sounddevice", 24_000, 2]
    assert played
    assert intact(heard[:, 1].tobytes(), sent)
    assert np.array_equal(heard[:, 0], heard[:, 1] if pan == 0 else np.zeros(len(heard)))


@pytest.mark.pulse
def test_what_a_device_that_ran_dry_has_dropped_is_heard_all_the_same(tmp_path: Path) -> None:
    sent = pattern(48_000)
    (tmp_path / "pcm").write_bytes(sent)
    with PulseCard(24_000, 1) as card:
        script = Script(tmp_path, PULSE, card.env)
        _, played = script.run(opening(24_000, 1), playing(tmp_path / "pcm", 24_000, 1, held_up=5))
        verdict = judge(card.captured(), sent)

    assert played
    assert len(verdict.gaps) >= 5, "it did run dry"
    assert (verdict.missing, verdict.repeated) == (0, 0), verdict


@spdif
@pytest.mark.pulse
@pytest.mark.parametrize("pan", [0.0, -1.0])
def test_a_device_with_one_rate_gets_the_voice_at_that_rate(tmp_path: Path, pan: float) -> None:
    (tmp_path / "pcm").write_bytes(tone(24_000))
    with PulseCard(48_000, 2) as card:
        script = Script(tmp_path, SPDIF, card.env)
        opened, played = script.run(opening(24_000, 2), playing(tmp_path / "pcm", 24_000, 1, pan))
        left, right = decoded(card.captured())

    assert opened == ["sounddevice", 48_000, 2]
    assert played
    part = fullest(left)
    assert loudest_hz(left[part]) == pytest.approx(TONE_HZ, abs=10)
    assert np.median(np.abs(left[part])) == pytest.approx(20_000 / 32_768 * np.sqrt(0.5), rel=0.1)
    assert np.abs(right[part] - (left[part] if pan == 0 else 0)).max() < 0.01


@spdif
@pytest.mark.pulse
def test_one_rate_is_enough_for_one_channel_too(tmp_path: Path) -> None:
    with PulseCard(48_000, 2) as card:
        (opened,) = Script(tmp_path, SPDIF, card.env).run(opening(24_000, 1))

    assert opened == ["sounddevice", 48_000, 1]  # PortAudio itself puts one channel on two, if the rate is right


@pytest.mark.parametrize(("has", "asked", "gets"), [(2, 6, 2), (1, 2, 1), (4, 8, 2), (2, 1, 1)])
def test_a_device_with_other_channels_keeps_the_rate(tmp_path: Path, has: int, asked: int, gets: int) -> None:
    (opened,) = Script(tmp_path, bound_to(has)).run(opening(22_050, asked))

    assert opened == ["sounddevice", 22_050, gets]


@spdif
@pytest.mark.pulse
def test_what_was_opened_for_a_format_serves_that_format_and_the_one_it_takes(tmp_path: Path) -> None:
    with PulseCard(48_000, 2) as card:
        script = Script(tmp_path, SPDIF, card.env)
        # Opened anew, it would be opened with another configuration.
        answers = script.run(opening(24_000, 1), configuring(SILENT), opening(48_000, 1), opening(24_000, 1), CLOSING)
        reopened = Script(tmp_path, SILENT, card.env).run(opening(24_000, 1))

    assert answers[0] == answers[2] == answers[3] == ["sounddevice", 48_000, 1]
    assert reopened == [["sounddevice", 24_000, 1]]


def test_the_nearest_formats_are_tried_first_and_none_twice() -> None:
    device = {"default_samplerate": 44_100.0, "max_output_channels": 2}
    rates = [(fmt.rate_hz, fmt.channels) for fmt in nearest_formats(PcmFormat(24_000, 1), device)]

    assert rates == [(24_000, 1), (24_000, 2), (44_100, 1), (44_100, 2), (48_000, 1), (48_000, 2)]


def test_a_device_with_many_channels_is_asked_for_all_of_them_last() -> None:
    device = {"default_samplerate": 96_000.0, "max_output_channels": 10}
    formats = nearest_formats(PcmFormat(48_000, 2), device)

    assert formats == [PcmFormat(rate, n) for rate in (48_000, 96_000, 44_100) for n in (2, 10)]


# --- held by another program --------------------------------------------------------------------------------------


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[tuple[Script, str]]:
    """A script that begins with a device that is free, and the configuration in which it is held."""
    prefix = as_an_ordinary_user()
    with held_terminal() as terminal:
        probe = f"import os, sys\ntry: os.open({terminal!r}, os.O_WRONLY)\nexcept OSError as exc: sys.exit(exc.errno)"
        opened = subprocess.run([*prefix, sys.executable, "-c", probe], timeout=60, check=False)
        if opened.returncode != errno.EBUSY:
            pytest.skip("this user may open a terminal that is held exclusively")
        yield Script(tmp_path, SILENT, prefix=prefix), held(terminal)


def test_a_device_that_another_program_holds_is_busy_until_it_is_free(busy: tuple[Script, str]) -> None:
    script, config = busy
    *_, refused, _, opened = script.run(
        LISTING, configuring(config), opening(24_000, 1), configuring(SILENT), opening(24_000, 1)
    )

    assert refused["code"] == "device_busy"
    assert "could not open the default output device" in refused["message"]
    assert refused["hint"]
    # PortAudio itself knocks 100 times, for a second in all; trying other formats would double that, or more.
    assert script.stderr.count("Cannot open device") < 200
    assert opened == ["sounddevice", 24_000, 1]


def test_another_way_to_a_device_is_tried_while_the_first_is_held(busy: tuple[Script, str]) -> None:
    script, config = busy
    *_, opened = script.run(LISTING, configuring(config), opening(24_000, 1, backends=["sounddevice", "null"]))

    assert opened == ["null", 24_000, 1]


def test_a_device_is_called_busy_if_one_way_to_it_finds_it_held_and_no_other_opens(busy: tuple[Script, str]) -> None:
    script, config = busy
    script.env = {"PULSE_SERVER": "unix:/nowhere"}
    *_, refused = script.run(LISTING, configuring(config), opening(24_000, 1, backends=["miniaudio", "sounddevice"]))

    assert refused["code"] == "device_busy"
    assert "miniaudio" in refused["message"]
    assert "PortAudio" in refused["message"]


@pytest.mark.parametrize(
    ("code", "host_error", "held"),
    [
        (-9985, None, True),
        (-9999, (0, -errno.EBUSY, "Device or resource busy"), True),
        (-9999, (0, -2004287478, "AUDCLNT_E_DEVICE_IN_USE"), True),
        (-9999, (0, -errno.ENODEV, "No such device"), False),
        (-9997, None, False),
    ],
)
def test_every_sound_system_has_its_own_word_for_busy(
    code: int, host_error: tuple[int, int, str] | None, held: bool
) -> None:
    # The shape of sounddevice's PortAudioError; importing it would load PortAudio into pytest.
    assert is_busy(Exception("Error opening RawOutputStream", code, *filter(None, [host_error]))) is held


# --- coming and going ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fresh_s", [0.0, 3600.0])
def test_a_device_that_was_plugged_in_meanwhile_can_be_opened_by_name(tmp_path: Path, fresh_s: float) -> None:
    script = Script(tmp_path, SILENT, fresh_s=fresh_s)
    before, _, _, _, opened = script.run(
        LISTING, opening(24_000, 1), CLOSING, configuring(SILENT + HEADSET), opening(24_000, 1, "headset")
    )

    assert before == ["default"]
    assert opened == ["sounddevice", 24_000, 1]


def test_the_list_of_devices_is_fresh_but_for_while_one_is_open(tmp_path: Path) -> None:
    script = Script(tmp_path, SILENT, fresh_s=0.0)
    *_, while_open, _, closed = script.run(
        LISTING, opening(24_000, 1), configuring(SILENT + HEADSET), LISTING, CLOSING, LISTING
    )

    assert while_open == ["default"]
    assert sorted(closed) == ["default", "headset"]


@pytest.mark.pulse
def test_looking_at_the_devices_does_not_disturb_what_is_being_played(tmp_path: Path) -> None:
    sent = pattern(24_000)
    (tmp_path / "pcm").write_bytes(sent)
    with PulseCard() as card:
        script = Script(tmp_path, PULSE, card.env, fresh_s=0.0)
        *_, played = script.run(opening(24_000, 1), LISTING, playing(tmp_path / "pcm", 24_000, 1))
        heard = card.captured()

    assert played
    assert intact(heard, sent)


@pytest.mark.pulse
def test_a_new_default_is_followed_without_a_look(tmp_path: Path) -> None:
    sent = pattern(24_000)
    (tmp_path / "pcm").write_bytes(sent)
    with PulseCard() as card:
        script = Script(tmp_path, SILENT, card.env, fresh_s=3600.0)
        *_, played = script.run(
            *(opening(24_000, 1), CLOSING, configuring(PULSE)),
            *(opening(24_000, 1), playing(tmp_path / "pcm", 24_000, 1)),
        )
        heard = card.captured()

    assert played
    assert intact(heard, sent)


def test_a_device_that_is_not_there_is_told_by_name(tmp_path: Path) -> None:
    (refused,) = Script(tmp_path, SILENT).run(opening(24_000, 1, "headset"))

    assert refused["code"] == "device_unavailable"
    assert "'headset'" in refused["message"]


def test_the_last_device_can_go_and_come_back(tmp_path: Path) -> None:
    script = Script(tmp_path, SILENT, fresh_s=0.0)
    *_, refused, _, opened = script.run(
        *(opening(24_000, 1), CLOSING, configuring(UNPLUGGED)),
        *(opening(24_000, 1), configuring(SILENT), opening(24_000, 1)),
    )

    assert refused["message"] == "PortAudio found no output device."
    assert opened == ["sounddevice", 24_000, 1]


# --- miniaudio ----------------------------------------------------------------------------------------------------


def test_miniaudio_puts_one_channel_on_a_device_that_has_two(tmp_path: Path) -> None:
    script = Script(tmp_path, bound_to(2), {"PULSE_SERVER": "unix:/nowhere"})
    (opened,) = script.run(opening(24_000, 1, backends=["miniaudio"]))

    assert opened == ["miniaudio", 24_000, 1]
