"""Echo cancellation with the real library, in computed rooms."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from tests.support.echoes import Scene, agent_says, interruptions, phrases
from tests.support.noises import RATE_HZ, Dice, Sound
from tests.support.rooms import Room, as_pcm, as_sound, level_db
from voice_mcp.echo.webrtc import WebRtcCanceller

SECONDS = 12.0
ECHO_DB = -24.0
SETTLED = slice(round(5.0 * RATE_HZ), round(11.0 * RATE_HZ))


def cancelled(canceller: WebRtcCanceller, heard: bytes, played: bytes, size: int = 640) -> bytes:
    return b"".join(
        canceller.cancel(heard[at : at + size], played[at : at + size]) for at in range(0, len(heard), size)
    )


def in_time(canceller: WebRtcCanceller, out: bytes) -> Sound:
    """What came out, at the time it was heard."""
    return np.concatenate([as_sound(out)[canceller.delay_frames :], np.zeros(canceller.delay_frames)])


@pytest.mark.parametrize(
    ("room", "least_db"),
    [
        (Room("near", "near", delay_s=0.02), 25),
        (Room("late", "late", delay_s=0.25), 18),
        (Room("driven", "driven", drive=2.0), 20),
        (Room("two clocks", "clocks", skew_ppm=100.0), 18),
        (Room("across", "across", decay_s=0.6, direct_db=-6.0), 14),
    ],
    ids=lambda value: getattr(value, "name", None),
)
@pytest.mark.anyio
async def test_the_agents_voice_is_taken_out(room: Room, least_db: float) -> None:
    voice = await agent_says("en-us", SECONDS)
    scene, canceller = Scene(room, voice, ECHO_DB), WebRtcCanceller()
    out = in_time(canceller, cancelled(canceller, as_pcm(scene.heard), as_pcm(voice)))
    assert level_db(scene.heard[SETTLED]) - level_db(out[SETTLED]) >= least_db


@pytest.mark.anyio
async def test_a_voice_half_as_loud_as_the_echo_is_kept_nearly_whole() -> None:
    voice = await agent_says("en-us", SECONDS)
    users = tuple(interruptions(phrases(), len(voice), -6.0, seed="kept"))
    scene, canceller = Scene(Room("room", "room"), voice, ECHO_DB, users), WebRtcCanceller()
    out = in_time(canceller, cancelled(canceller, as_pcm(scene.heard), as_pcm(voice)))
    assert users
    for user in users:
        said, left = user.sound * 10 ** (ECHO_DB / 20), out[user.at : user.at + len(user.sound)]
        share = float(said @ left) / float(said @ said)
        assert share > 0.6


def test_where_nothing_is_played_nothing_is_taken_out() -> None:
    said = np.concatenate([np.zeros(1600), *phrases()[:4]]) * 0.05
    canceller = WebRtcCanceller()
    out = in_time(canceller, cancelled(canceller, as_pcm(said), bytes(2 * len(said))))
    assert abs(level_db(out) - level_db(said)) < 1.0
    same = float(said @ out) / float(np.sqrt((said @ said) * (out @ out)))
    assert same > 0.9, "the delay is what it is said to be"


@pytest.mark.parametrize("size_frames", [1, 37, 160, 512, 4_000])
def test_what_comes_out_has_the_length_of_what_went_in_however_it_is_cut(size_frames: int) -> None:
    dice = Dice("cut")
    heard, played = as_pcm(dice.noise(4_801) * 3_000), as_pcm(dice.noise(4_801) * 3_000)
    whole = WebRtcCanceller().cancel(heard, played)
    canceller, parts = WebRtcCanceller(), []
    for at in range(0, len(heard), 2 * size_frames):
        part = canceller.cancel(heard[at : at + 2 * size_frames], played[at : at + 2 * size_frames])
        assert len(part) == len(heard[at : at + 2 * size_frames])
        parts.append(part)
    assert b"".join(parts) == whole
    assert len(whole) == len(heard)


def test_full_scale_and_nothing_at_all_are_both_survived() -> None:
    loud = as_pcm(np.where(np.arange(16_000) % 40 < 20, 32_767.0, -32_768.0))
    canceller = WebRtcCanceller()
    assert canceller.cancel(b"", b"") == b""
    out = as_sound(cancelled(canceller, loud, loud))
    assert np.isfinite(out).all()
    assert len(out) == 16_000


@pytest.mark.anyio
async def test_after_another_loudspeaker_took_over_the_echo_is_taken_out_again() -> None:
    voice = await agent_says("en-us", 24.0)
    half = len(voice) // 2
    here, there = Room("here", "here", delay_s=0.03), Room("there", "there", delay_s=0.11)
    heard = np.concatenate([Scene(here, voice[:half], ECHO_DB).heard, Scene(there, voice[half:], ECHO_DB).heard])
    canceller = WebRtcCanceller()
    out = in_time(canceller, cancelled(canceller, as_pcm(heard), as_pcm(voice)))
    end = slice(half + 6 * RATE_HZ, half + 11 * RATE_HZ)
    assert level_db(heard[end]) - level_db(out[end]) >= 20


def test_without_the_library_it_says_what_to_install_and_what_to_do_without() -> None:
    code = (
        "import sys; sys.modules['pywebrtc_audio'] = None\n"
        "from voice_mcp.echo.webrtc import WebRtcCanceller\n"
        "from voice_mcp.errors import ListeningUnavailable\n"
        "try: WebRtcCanceller()\n"
        "except ListeningUnavailable as exc: print(exc.advice)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert 'pip install "voice-mcp[aec]"' in done.stdout
    assert "VOICEMODE_BARGE_IN=headphones" in done.stdout


def test_numpy_is_loaded_only_when_a_canceller_is_made() -> None:
    code = "import sys, voice_mcp.echo.webrtc; print(sorted({'numpy', 'pywebrtc_audio'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.anyio
@pytest.mark.parametrize("slip_s", [0.012, 0.004])
async def test_a_device_that_is_later_after_a_pause_is_followed_at_once(slip_s: float) -> None:
    words = await agent_says("en-us", 8.0)
    voice = np.concatenate([words, np.zeros(2 * RATE_HZ), words])
    scene = Scene(Room("room", "room"), voice, ECHO_DB, slip_s=slip_s)
    canceller = WebRtcCanceller()
    out = in_time(canceller, cancelled(canceller, as_pcm(scene.heard), as_pcm(voice)))
    soon = slice(round(10.5 * RATE_HZ), round(12.0 * RATE_HZ))
    assert level_db(scene.heard[soon]) - level_db(out[soon]) >= 15
