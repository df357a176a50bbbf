"""A real sound system: a virtual microphone that hears what the test says, sample by sample."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.capture.ears import WAIT_S, Heard, linked
from tests.capture.sound import at_listening_rate, find, interleaved, mean, murmur
from tests.capture.test_link import PARENT, scripted
from tests.support.pattern import judge, pattern
from tests.support.pulse import PulseCard
from tests.support.stdio import gone
from tests.support.waiting import eventually_async
from voice_mcp.capture.link import CaptureConfig
from voice_mcp.errors import MicrophoneUnavailable
from voice_mcp.pipe.child import MICROPHONE_PROCESS, AudioChild
from voice_mcp.pipe.wire import Command, pack_json

pytestmark = [pytest.mark.anyio, pytest.mark.pulse]

SPOKEN_S = 1.5
BACKENDS = ["sounddevice", "miniaudio"]
PORTAUDIO_HZ = 44_100
"""What PortAudio takes for the rate of everything that PulseAudio has."""
CLOSE_S = 0.08
"""How exactly PulseAudio tells when it heard something, on a busy machine; on an idle one it is 10 ms."""


@pytest.fixture(autouse=True)
def on_the_card(pulse_card: PulseCard, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that are started here find the card."""
    for name, value in pulse_card.env.items():
        monkeypatch.setenv(name, value)


def listening(backend: str, **more: Any) -> CaptureConfig:
    return CaptureConfig(backends=(backend,), **more)


class Raw:
    """What the process itself sends, before anything is made of it."""

    def __init__(self) -> None:
        self.frames = b""
        self.opened: dict[str, Any] | None = None
        self.losses = 0

    def take(self, report: dict[str, Any]) -> None:
        if report["event"] == "opened":
            self.opened = report
        elif report["event"] == "heard":
            self.losses += "after_loss" in report
            self.frames += report["payload"]


@asynccontextmanager
async def raw(backend: str) -> AsyncIterator[Raw]:
    told = Raw()
    child = AudioChild(MICROPHONE_PROCESS, told.take, lambda process, code: None)
    await child.start()
    child.send(pack_json(Command.CAPTURE, n=1, backends=[backend], device=None))
    try:
        await eventually_async(lambda: told.frames, WAIT_S, "the first frames")
        yield told
    finally:
        await child.aclose()


@pytest.mark.parametrize("backend", BACKENDS)
async def test_every_sample_that_is_fed_arrives_once_and_in_order(pulse_card: PulseCard, backend: str) -> None:
    microphone, spoken = pulse_card.microphone(PORTAUDIO_HZ), pattern(3 * PORTAUDIO_HZ, seed=1)
    async with raw(backend) as told:
        microphone.say(spoken)
        await eventually_async(lambda: len(told.frames) > len(spoken) + 20_000, WAIT_S, "all of it")
    assert told.opened is not None
    assert (told.opened["rate_hz"], told.opened["channels"]) == (PORTAUDIO_HZ, 1)
    verdict = judge(told.frames, spoken)
    assert verdict.exact, verdict
    assert told.losses == 0


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("rate_hz", [16_000, 48_000])
async def test_words_that_begin_as_it_opens_are_there_whole_and_at_their_moment(
    pulse_card: PulseCard, backend: str, rate_hz: int
) -> None:
    microphone = pulse_card.microphone(rate_hz)
    async with linked(listening(backend)) as link:
        capture = await link.open()
        said = microphone.say(murmur(rate_hz, SPOKEN_S))
        heard = Heard(capture)
        await heard.up_to(await asyncio.to_thread(said.over_s, WAIT_S) + 0.2)
        await capture.aclose()
    place = find(at_listening_rate(SPOKEN_S), heard.frames)
    assert place.likeness > 0.99
    assert heard.moment_s(place.at_frame) == pytest.approx(said.begun_s(0), abs=CLOSE_S)
    assert heard.largest_step_s() < 0.002
    assert not heard.losses


@pytest.mark.parametrize("backend", BACKENDS)
async def test_of_a_stereo_microphone_the_mean_is_heard(pulse_card: PulseCard, backend: str) -> None:
    microphone = pulse_card.microphone(48_000, channels=2)
    async with linked(listening(backend)) as link:
        heard = Heard(await link.open())
        said = microphone.say(interleaved(murmur(48_000, SPOKEN_S, 1), murmur(48_000, SPOKEN_S, 2)))
        await heard.up_to(await asyncio.to_thread(said.over_s, WAIT_S) + 0.2)
    expected = mean(at_listening_rate(SPOKEN_S, 1), at_listening_rate(SPOKEN_S, 2))
    assert find(expected, heard.frames).likeness > 0.99


@pytest.mark.parametrize("backend", BACKENDS)
async def test_a_closed_microphone_is_closed(pulse_card: PulseCard, backend: str) -> None:
    pulse_card.microphone()
    async with linked(listening(backend)) as link:
        await link.prepare()
        assert pulse_card.recorders() == set(), "made ready, and not open"
        capture = await link.open()
        assert pulse_card.recorders() == {link.pid}
        await capture.aclose()
        assert pulse_card.recorders() == set()
        assert link.pid is not None, "the process is kept for a while, without a microphone"


async def test_a_muted_microphone_is_noticed_within_a_second_and_a_quiet_room_is_none(pulse_card: PulseCard) -> None:
    microphone = pulse_card.microphone(noise=2)
    async with linked(listening("sounddevice")) as link:
        capture = await link.open()
        heard = Heard(capture)
        await heard.seconds(0.5)
        assert capture.condition.zeros_s == 0
        assert -120 < capture.condition.rms_db < -80
        pulse_card.control("set-source-mute", microphone.name, "1")
        await heard.seconds(1.1)
        assert capture.condition.zeros_s > 0.8


async def test_a_microphone_that_is_turned_up_too_far_is_noticed(pulse_card: PulseCard) -> None:
    microphone = pulse_card.microphone()
    async with linked(listening("sounddevice")) as link:
        capture = await link.open()
        microphone.say_forever(b"\xff\x7f" * 200 + b"\x01\x80" * 200)
        await Heard(capture).seconds(1.2)
        assert capture.condition.clipped_share > 0.9
        assert capture.condition.peak > 0.9


@pytest.mark.parametrize("backend", BACKENDS)
async def test_a_sound_server_that_dies_and_comes_back_costs_what_was_said_meanwhile_and_shifts_nothing(
    pulse_card: PulseCard, backend: str
) -> None:
    microphone = pulse_card.microphone(48_000)
    async with linked(listening(backend, device_wait_s=15.0)) as link:
        heard = Heard(await link.open())
        before = microphone.say(murmur(48_000, SPOKEN_S, 1))
        await heard.up_to(await asyncio.to_thread(before.over_s, WAIT_S) + 0.1)
        pulse_card.unplug()
        await asyncio.to_thread(pulse_card.replug)
        await heard.until(lambda: bool(heard.losses))
        after = microphone.say(murmur(48_000, SPOKEN_S, 2))
        await heard.up_to(await asyncio.to_thread(after.over_s, WAIT_S) + 0.2)
    (loss,) = heard.losses
    assert not loss.frames.strip(b"\0")
    for said, seed in ((before, 1), (after, 2)):
        place = find(at_listening_rate(SPOKEN_S, seed), heard.frames)
        assert place.likeness > 0.99
        assert heard.moment_s(place.at_frame) == pytest.approx(said.begun_s(0), abs=CLOSE_S)
    apart_s = after.begun_s(0) - before.begun_s(0)
    places = [find(at_listening_rate(SPOKEN_S, seed), heard.frames).at_frame for seed in (1, 2)]
    assert (places[1] - places[0]) / 16_000 == pytest.approx(apart_s, abs=2 * CLOSE_S)


async def test_a_process_that_is_killed_hears_on_in_a_fresh_one(pulse_card: PulseCard) -> None:
    microphone = pulse_card.microphone(48_000, noise=3)
    async with linked(listening("sounddevice")) as link:
        heard = Heard(await link.open())
        await heard.seconds(0.3)
        assert link.pid is not None
        os.kill(link.pid, signal.SIGKILL)
        await heard.until(lambda: bool(heard.losses))
        said = microphone.say(murmur(48_000, SPOKEN_S))
        await heard.up_to(await asyncio.to_thread(said.over_s, WAIT_S) + 0.2)
        assert pulse_card.recorders() == {link.pid}
    place = find(at_listening_rate(SPOKEN_S), heard.frames)
    assert place.likeness > 0.99
    assert heard.moment_s(place.at_frame) == pytest.approx(said.begun_s(0), abs=CLOSE_S)


async def test_a_microphone_that_is_unplugged_gives_way_to_the_next(pulse_card: PulseCard) -> None:
    first = pulse_card.microphone(48_000, name="headset")
    async with linked(listening("sounddevice", device_wait_s=15.0)) as link:
        heard = Heard(await link.open())
        await heard.seconds(0.2)
        second = await asyncio.to_thread(pulse_card.microphone, 48_000, 1, "built-in")
        await asyncio.to_thread(pulse_card.remove_microphone, first)
        said = second.say(murmur(48_000, SPOKEN_S))
        await heard.up_to(await asyncio.to_thread(said.over_s, WAIT_S) + 0.2)
    assert find(at_listening_rate(SPOKEN_S), heard.frames).likeness > 0.99


async def test_without_a_sound_system_there_is_no_microphone_and_it_is_said_soon(pulse_card: PulseCard) -> None:
    pulse_card.unplug()
    async with linked(CaptureConfig()) as link:
        with pytest.raises(MicrophoneUnavailable) as unavailable:
            async with asyncio.timeout(WAIT_S):
                await link.open()
    assert unavailable.value.hint


async def test_a_microphone_can_be_chosen_by_a_part_of_its_name(pulse_card: PulseCard) -> None:
    wanted = pulse_card.microphone(48_000, name="wanted")
    pulse_card.microphone(48_000, name="default")
    async with linked(listening("miniaudio", device="fifo-wanted")) as link:
        heard = Heard(await link.open())
        said = wanted.say(murmur(48_000, SPOKEN_S))
        await heard.up_to(await asyncio.to_thread(said.over_s, WAIT_S) + 0.2)
    assert find(at_listening_rate(SPOKEN_S), heard.frames).likeness > 0.99


async def test_a_server_that_is_killed_leaves_no_microphone_open(pulse_card: PulseCard) -> None:
    pulse_card.microphone()
    source = PARENT.replace('"null"', '"sounddevice"')
    parent = await asyncio.create_subprocess_exec(*scripted(source), stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    assert pulse_card.recorders() == {pid}
    parent.kill()
    await parent.wait()
    await gone(pid)
    assert pulse_card.recorders() == set()


async def test_the_microphones_there_are_can_be_listed(pulse_card: PulseCard) -> None:
    pulse_card.microphone()
    async with linked(CaptureConfig()) as link:
        portaudio, miniaudio = await link.devices()
    assert portaudio.names[0] == "default"
    assert any("fifo-microphone" in name for name in miniaudio.names)
