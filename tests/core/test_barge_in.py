"""Listening while the agent speaks, as the product puts it together, in computed rooms with the real detector."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from tests.support.echoes import CLOCK_S, Scene, agent_says, interruptions, phrases
from tests.support.noises import NOISES, RATE_HZ, Dice, Sound
from tests.support.rooms import Room, as_pcm, at_level
from voice_mcp.codecs.conversion import Converter
from voice_mcp.core.barge_in import BargeIn, barge_in
from voice_mcp.core.echo_removal import EchoRemoval
from voice_mcp.core.interruption import Decision, FalseAlarm, Interrupted
from voice_mcp.core.played_sound import PlayedSound
from voice_mcp.echo.webrtc import WebRtcCanceller
from voice_mcp.errors import ListeningUnavailable
from voice_mcp.types import CapturedSound
from voice_mcp.vad.silero import SileroDetector

pytestmark = pytest.mark.anyio

HOP_FRAMES = 320
SECONDS = 14.0


def captured(sound: Sound, at_s: float = CLOCK_S, hop_frames: int = HOP_FRAMES) -> Iterable[CapturedSound]:
    for first in range(0, len(sound), hop_frames):
        yield CapturedSound(as_pcm(sound[first : first + hop_frames]), at_s + first / RATE_HZ)


def heard_by(barge_in: BargeIn, sounds: Iterable[CapturedSound]) -> list[Decision]:
    return [decision for sound in sounds for decision in barge_in.add(sound).decisions]


def in_room(scene: Scene) -> tuple[list[Decision], bytes]:
    """What is decided in a scene, and what is kept of it."""
    played = scene.played()
    listener = BargeIn(SileroDetector(), EchoRemoval(WebRtcCanceller(), played))
    listener.agent_speaks()
    decisions: list[Decision] = []
    kept = b""
    for sound in scene.captured(HOP_FRAMES):
        scene.report(played, sound.at_s)
        out = listener.add(sound)
        assert len(out.sound.frames) == len(sound.frames)
        decisions += out.decisions
        kept += out.sound.frames
    return decisions, kept


def spoken(*parts: Sound) -> Sound:
    """Somebody in a quiet place."""
    sound = np.concatenate([at_level(part, -24.0) if part.any() else part for part in parts])
    return sound + Dice("quiet").noise(len(sound)) * 50


def pause(seconds: float) -> Sound:
    return np.zeros(round(seconds * RATE_HZ))


# --- headphones --------------------------------------------------------------------------------------------------


def test_with_headphones_whoever_speaks_interrupts_from_the_first_syllable_on() -> None:
    listener = BargeIn(SileroDetector())
    listener.agent_speaks()
    (found,) = heard_by(listener, captured(spoken(pause(2.0), phrases()[3], pause(0.5))))
    assert isinstance(found, Interrupted)
    assert found.at_s - (CLOCK_S + 2.0) <= 0.4
    assert abs(found.speech_s - (CLOCK_S + 2.0)) <= 0.1
    assert listener.is_interrupted


@pytest.mark.parametrize("noise", ["keyboard", "fan", "hum", "claps", "music", "coughs"])
def test_with_headphones_noise_interrupts_nobody_or_is_taken_back(noise: str) -> None:
    listener = BargeIn(SileroDetector())
    listener.agent_speaks()
    sound = at_level(NOISES[noise](Dice(f"barge-in {noise}"), 20 * RATE_HZ), -24.0)
    decisions = heard_by(listener, captured(sound))
    assert [type(each) for each in decisions] == [Interrupted, FalseAlarm] * (len(decisions) // 2)
    assert len(decisions) <= 2


def test_while_the_agent_is_silent_nobody_interrupts() -> None:
    listener = BargeIn(SileroDetector())
    sound = spoken(pause(0.5), *phrases()[:3])
    assert heard_by(listener, captured(sound)) == []
    listener.agent_speaks()
    listener.agent_is_silent()
    assert heard_by(listener, captured(sound, CLOCK_S + 60)) == []
    assert not listener.is_interrupted
    assert listener.no_words_came() is None


def test_the_owner_can_take_an_interruption_back_and_the_agent_can_be_interrupted_again() -> None:
    listener = BargeIn(SileroDetector())
    listener.agent_speaks()
    (first,) = heard_by(listener, captured(spoken(pause(0.5), phrases()[3], pause(0.5))))
    false_alarm = listener.no_words_came()
    assert isinstance(false_alarm, FalseAlarm)
    assert isinstance(first, Interrupted)
    assert false_alarm.speech_s == first.speech_s
    again = heard_by(listener, captured(spoken(pause(0.5), phrases()[4], pause(0.5)), CLOCK_S + 30))
    assert [type(each) for each in again] == [Interrupted]
    listener.words_came()
    assert listener.no_words_came() is None


def test_what_a_gap_in_the_capture_separates_does_not_add_up_to_speech() -> None:
    listener = BargeIn(SileroDetector())
    listener.agent_speaks()
    burst = at_level(phrases()[3], -24.0)[: RATE_HZ // 8]
    for number in range(6):
        assert heard_by(listener, captured(burst, CLOCK_S + 10 * number)) == []


@pytest.mark.parametrize("hop_frames", [1_600, 333])
def test_probabilities_and_decisions_do_not_depend_on_how_the_sound_was_cut(hop_frames: int) -> None:
    sound = spoken(pause(1.0), phrases()[2], pause(1.0))

    def told(hop: int) -> tuple[list[float], list[float]]:
        listener = BargeIn(SileroDetector())
        listener.agent_speaks()
        out = [listener.add(each) for each in captured(sound, hop_frames=hop)]
        times = [decision.at_s for each in out for decision in each.decisions]
        return [p for each in out for p in each.probabilities], times

    (some, when), (others, then) = told(hop_frames), told(HOP_FRAMES)
    assert some == pytest.approx(others, abs=1e-5)
    assert when == pytest.approx(then)


# --- open loudspeakers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("room", [Room("room", "room"), Room("far", "far", delay_s=0.2)], ids=lambda room: room.name)
async def test_on_open_loudspeakers_the_agent_does_not_interrupt_itself(room: Room) -> None:
    decisions, _ = in_room(Scene(room, await agent_says("en-us", SECONDS), -24.0))
    assert decisions == []


@pytest.mark.parametrize("relative_db", [-6.0, 0.0, 6.0])
async def test_on_open_loudspeakers_somebody_who_speaks_at_the_same_time_interrupts(relative_db: float) -> None:
    voice = await agent_says("en-gb", SECONDS)
    users = tuple(interruptions(phrases(), len(voice), relative_db, seed="over"))
    decisions, kept = in_room(Scene(Room("room", "room"), voice, -24.0, users))
    found = decisions[0]
    assert isinstance(found, Interrupted)
    assert found.at_s - users[0].begins_s <= 0.4
    assert found.speech_s - users[0].begins_s <= 0.3
    assert len(kept) > 0


async def test_without_cancelling_the_agent_would_interrupt_itself() -> None:
    scene = Scene(Room("room", "room"), await agent_says("en-us", 6.0), -24.0)
    listener = BargeIn(SileroDetector())
    listener.agent_speaks()
    assert any(isinstance(each, Interrupted) for each in heard_by(listener, scene.captured(HOP_FRAMES)))


async def test_what_is_kept_says_when_it_was_heard() -> None:
    said = spoken(pause(1.0), phrases()[3], pause(1.0))
    listener = BargeIn(SileroDetector(), EchoRemoval(WebRtcCanceller(), PlayedSound(Converter)))
    out = [listener.add(each).sound for each in captured(said)]
    kept = np.frombuffer(b"".join(each.frames for each in out), "<i2").astype(np.float64)
    late = round((CLOCK_S - out[0].at_s) * RATE_HZ)
    same = kept[late:]
    assert float(same @ said[: len(same)]) / float(said @ said) > 0.8


async def test_the_canceller_remembers_the_room_when_the_microphone_was_closed() -> None:
    voice = await agent_says("en-us", 8.0)
    scene = Scene(Room("hall", "hall", decay_s=0.9, direct_db=-3.0), voice, -24.0)
    played = scene.played()
    removal = EchoRemoval(WebRtcCanceller(), played)
    for sound in scene.captured(HOP_FRAMES):
        scene.report(played, sound.at_s)
        removal.add(sound)
    quiet = [removal.add(each) for each in captured(spoken(pause(1.0)), CLOCK_S + 100)]
    assert all(not any(each.played) for each in quiet[20:])
    assert all(len(each.heard) == len(each.sound.frames) == len(each.played) for each in quiet)


def test_what_was_heard_what_is_left_and_what_was_played_are_of_one_moment() -> None:
    played = PlayedSound(Converter)
    removal = EchoRemoval(WebRtcCanceller(), played)
    click = pause(1.0)
    click[RATE_HZ // 2 : RATE_HZ // 2 + 40] = 12_000
    cleaned = [removal.add(each) for each in captured(click)]
    heard = np.abs(np.frombuffer(b"".join(each.heard for each in cleaned), "<i2").astype(np.int64))
    left = np.abs(np.frombuffer(b"".join(each.sound.frames for each in cleaned), "<i2").astype(np.int64))
    assert abs(int(np.argmax(heard)) - int(np.argmax(left))) <= 40


# --- what there is to listen with --------------------------------------------------------------------------------


def missing() -> WebRtcCanceller:
    raise ListeningUnavailable("It is not installed.")


def test_off_is_nobody_and_headphones_need_no_canceller() -> None:
    assert barge_in("off", SileroDetector, missing, None) is None
    assert barge_in("headphones", SileroDetector, missing, None) is not None


def test_on_open_loudspeakers_without_a_canceller_nothing_is_pretended() -> None:
    with pytest.raises(ListeningUnavailable):
        barge_in("on", SileroDetector, missing, PlayedSound(Converter))
    with pytest.raises(ListeningUnavailable):
        barge_in("on", SileroDetector, WebRtcCanceller, None)
    assert barge_in("on", SileroDetector, WebRtcCanceller, PlayedSound(Converter)) is not None
