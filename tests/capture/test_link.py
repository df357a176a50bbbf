"""The link and a real process that listens: what is heard, and what becomes of it when one of the two dies."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import wave
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.capture.ears import NULL, WAIT_S, Heard, duration_s, end_s, linked
from tests.capture.sound import at_listening_rate, find, interleaved, mean, murmur
from tests.support.stdio import gone
from tests.support.waiting import eventually_async
from voice_mcp.capture.link import CaptureConfig
from voice_mcp.capture.timeline import LONGEST_HOLE_S
from voice_mcp.errors import MicrophoneBusy, MicrophoneUnavailable
from voice_mcp.pipe.devices import DeviceList
from voice_mcp.types import LISTENING_FORMAT

pytestmark = pytest.mark.anyio

SPOKEN_S = 1.0
unix_only = pytest.mark.skipif(sys.platform == "win32", reason="sends signals")


def playing(path: Path, rate_hz: int, *channels: bytes) -> CaptureConfig:
    """A microphone that hears this, and silence afterwards."""
    with wave.open(str(path), "wb") as file:
        file.setframerate(rate_hz)
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.writeframes(channels[0] if len(channels) == 1 else interleaved(*channels))
    return CaptureConfig(backends=("file",), device=str(path))


def scripted(source: str) -> Sequence[str]:
    """A process that runs ``source`` instead of listening."""
    return (sys.executable, "-P", "-c", textwrap.dedent(source))


@pytest.mark.parametrize("rate_hz", [16_000, 44_100, 48_000])
async def test_what_the_microphone_hears_is_there_from_its_first_sample_on(tmp_path: Path, rate_hz: int) -> None:
    async with linked(playing(tmp_path / "a.wav", rate_hz, murmur(rate_hz, SPOKEN_S))) as link:
        capture = await link.open()
        heard = Heard(capture)
        await heard.seconds(SPOKEN_S + 0.2)
        await capture.aclose()
    place = find(at_listening_rate(SPOKEN_S), heard.frames)
    assert place.at_frame == 0
    assert place.likeness > 0.999
    assert heard.largest_step_s() < 0.001


async def test_at_the_rate_of_recognisers_nothing_changes_a_bit(tmp_path: Path) -> None:
    spoken = murmur(LISTENING_FORMAT.rate_hz, SPOKEN_S)
    async with linked(playing(tmp_path / "a.wav", LISTENING_FORMAT.rate_hz, spoken)) as link:
        capture = await link.open()
        heard = Heard(capture)
        await heard.seconds(SPOKEN_S + 0.1)
        await capture.aclose()
    assert heard.frames[: len(spoken)] == spoken
    assert not heard.frames[len(spoken) :].strip(b"\0")


async def test_of_two_channels_the_mean_is_heard(tmp_path: Path) -> None:
    left, right = (murmur(48_000, SPOKEN_S, seed) for seed in (1, 2))
    async with linked(playing(tmp_path / "a.wav", 48_000, left, right)) as link:
        capture = await link.open()
        heard = Heard(capture)
        await heard.seconds(SPOKEN_S + 0.1)
    expected = mean(at_listening_rate(SPOKEN_S, 1), at_listening_rate(SPOKEN_S, 2))
    assert find(expected, heard.frames).likeness > 0.999


async def test_only_zeros_are_noticed_within_a_second() -> None:
    async with linked() as link:
        capture = await link.open()
        await Heard(capture).seconds(1.0)
        assert capture.condition.zeros_s >= 0.9
        assert capture.condition.peak == 0


async def test_the_condition_tells_the_level_of_what_is_heard(tmp_path: Path) -> None:
    async with linked(playing(tmp_path / "a.wav", 48_000, murmur(48_000, 3.0))) as link:
        capture = await link.open()
        await Heard(capture).seconds(1.0)
        assert capture.condition.zeros_s == 0
        assert 0.2 < capture.condition.peak < 0.7
        assert -40 < capture.condition.rms_db < -10
        assert capture.condition.clipped_share == 0


async def test_what_is_not_read_yet_waits(tmp_path: Path) -> None:
    async with linked(playing(tmp_path / "a.wav", 16_000, murmur(16_000, SPOKEN_S))) as link:
        capture = await link.open()
        heard = Heard(capture)
        await heard.seconds(0.1)
        await eventually_async(lambda: capture.condition.zeros_s > 0.2, WAIT_S, "the silence after the words")
        await heard.seconds(SPOKEN_S)
    assert find(at_listening_rate(SPOKEN_S), heard.frames).at_frame == 0


async def test_a_reader_that_is_cancelled_loses_nothing(tmp_path: Path) -> None:
    async with linked(playing(tmp_path / "a.wav", 16_000, murmur(16_000, SPOKEN_S))) as link:
        capture = await link.open()
        heard = Heard(capture)
        while heard.duration_s < SPOKEN_S + 0.2:
            try:
                async with asyncio.timeout(0.03):
                    await heard.seconds(10)
            except TimeoutError:
                continue
    assert find(at_listening_rate(SPOKEN_S), heard.frames).likeness > 0.999


async def test_after_closing_what_was_heard_can_still_be_read_and_then_it_ends() -> None:
    async with linked() as link:
        capture = await link.open()
        await Heard(capture).seconds(0.1)
        await capture.aclose()
        await capture.aclose()
        async with asyncio.timeout(WAIT_S):
            rest = [sound async for sound in capture]
    assert sum(len(sound.frames) for sound in rest) < 32_000 * WAIT_S


async def test_one_listens_at_a_time_and_the_next_one_after_it() -> None:
    async with linked() as link:
        first = await link.open()
        with pytest.raises(MicrophoneBusy):
            await link.open()
        await first.aclose()
        pid = link.pid
        second = await link.open()
        await Heard(second).seconds(0.1)
        assert link.pid == pid, "the process was kept"


@unix_only
async def test_nothing_runs_before_somebody_listens_and_nothing_after_a_while() -> None:
    async with linked(replace(NULL, linger_s=0.1)) as link:
        assert link.pid is None
        capture = await link.open()
        pid = link.pid
        assert pid is not None
        await capture.aclose()
        await gone(pid)
        assert link.pid is None
        again = await link.open()
        await Heard(again).seconds(0.1)


@unix_only
async def test_what_was_prepared_and_is_not_needed_ends_as_well() -> None:
    async with linked(replace(NULL, ready_s=0.1)) as link:
        await link.prepare()
        pid = link.pid
        assert pid is not None
        await gone(pid)


async def test_what_was_prepared_is_what_listens() -> None:
    async with linked() as link:
        await link.prepare()
        pid = link.pid
        await link.open()
        assert link.pid == pid is not None


async def test_devices_are_listed_by_the_process_that_will_listen() -> None:
    async with linked() as link:
        assert await link.devices(("null", "file")) == [
            DeviceList("null", ("null",)),
            DeviceList("file", ("file",)),
        ]


async def test_a_microphone_nobody_has_is_an_error_that_says_what_to_do() -> None:
    async with linked(CaptureConfig(device="no such microphone")) as link:
        with pytest.raises(MicrophoneUnavailable) as unavailable:
            async with asyncio.timeout(WAIT_S):
                await link.open()
        assert unavailable.value.hint
        with pytest.raises(MicrophoneUnavailable):
            await link.open()


# --- processes that die, hang and lie ----------------------------------------------------------------------------


@unix_only
async def test_a_killed_process_costs_silence_as_long_as_it_lasted_and_shifts_nothing() -> None:
    async with linked() as link:
        capture = await link.open()
        heard = Heard(capture)
        await heard.seconds(0.3)
        killed = link.pid
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        await heard.until(lambda: bool(heard.losses))
        await heard.seconds(0.5)
        assert link.pid not in (None, killed)
    (loss,) = heard.losses
    assert "ended unexpectedly" in loss.lost
    assert not loss.frames.strip(b"\0")
    assert heard.largest_step_s() < 0.002


@unix_only
async def test_a_process_that_hangs_is_replaced() -> None:
    async with linked(replace(NULL, answer_s=0.4)) as link:
        capture = await link.open()
        heard = Heard(capture)
        await heard.seconds(0.2)
        hanging = link.pid
        assert hanging is not None
        os.kill(hanging, signal.SIGSTOP)
        await heard.until(lambda: bool(heard.losses))
        await heard.seconds(0.2)
        await gone(hanging)
    assert heard.losses[0].lost == "its process stopped answering"


@unix_only
async def test_a_microphone_that_does_not_close_is_closed_by_the_end_of_its_process() -> None:
    async with linked(replace(NULL, close_s=0.2)) as link:
        capture = await link.open()
        hanging = link.pid
        assert hanging is not None
        os.kill(hanging, signal.SIGSTOP)
        async with asyncio.timeout(WAIT_S):
            await capture.aclose()
        await gone(hanging)
        await Heard(await link.open()).seconds(0.1)


@unix_only
async def test_a_microphone_that_does_not_come_back_is_an_error_and_what_was_heard_before_is_not_lost(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.wav"
    config = replace(playing(path, 16_000, murmur(16_000, SPOKEN_S)), device_wait_s=0.2)
    async with linked(config) as link:
        capture = await link.open()
        heard = Heard(capture)
        await heard.seconds(0.2)
        path.unlink()
        assert link.pid is not None
        os.kill(link.pid, signal.SIGKILL)
        with pytest.raises(MicrophoneUnavailable, match="did not come back within 0.2 s"):
            await heard.seconds(60)
        assert find(at_listening_rate(0.2), heard.frames).at_frame == 0
        await capture.aclose()


async def test_an_opening_that_hangs_is_ended() -> None:
    hanging = scripted("import sys; sys.stdin.buffer.read()")
    async with linked(replace(NULL, open_s=0.3), hanging) as link:
        with pytest.raises(MicrophoneUnavailable, match="did not open within 0.3 s"):
            async with asyncio.timeout(WAIT_S):
                await link.open()


@unix_only
async def test_an_opening_that_is_cancelled_leaves_no_process_that_could_still_open_it() -> None:
    hanging = scripted("import sys; sys.stdin.buffer.read()")
    async with linked(replace(NULL, close_s=0.2), hanging) as link:
        opening = asyncio.create_task(link.open())
        await eventually_async(lambda: link.pid is not None, WAIT_S, "the start of the process")
        pid = link.pid
        assert pid is not None
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        await gone(pid)


async def test_a_process_that_cannot_be_started_is_a_microphone_that_is_not_there() -> None:
    async with linked(NULL, ("/no/such/program",)) as link:
        await link.prepare()
        with pytest.raises(MicrophoneUnavailable, match="cannot be started"):
            await link.open()


HELD = """
    import json, sys
    from voice_mcp.pipe.wire import Command, Unpacker
    unpacker, tries = Unpacker(), sys.argv[1]
    while data := sys.stdin.buffer.read1():
        for command, payload in unpacker.feed(data):
            if command is Command.CAPTURE:
                with open(tries, "a") as log:
                    log.write("x")
                report = {"event": "failed", "message": "Held.", "hint": "", "busy": True}
                print(json.dumps({**report, "n": json.loads(payload)["n"]}), flush=True)
"""


@pytest.mark.parametrize("device_wait_s", [0.0, 1.2])
async def test_a_microphone_that_is_held_is_waited_for_as_long_as_is_set(tmp_path: Path, device_wait_s: float) -> None:
    tries = tmp_path / "tries"
    async with linked(replace(NULL, device_wait_s=device_wait_s), (*scripted(HELD), str(tries))) as link:
        with pytest.raises(MicrophoneBusy):
            async with asyncio.timeout(WAIT_S):
                await link.open()
    assert (len(tries.read_text()) > 1) is (device_wait_s > 0)


LONG_GONE = """
    import json, sys
    from voice_mcp.pipe.wire import Command, Unpacker

    def tell(payload=b"", **report):
        sys.stdout.buffer.write(json.dumps({**report, "bytes": len(payload)}).encode() + b"\\n" + payload)
        sys.stdout.buffer.flush()

    unpacker, tries = Unpacker(), sys.argv[1]
    while data := sys.stdin.buffer.read1():
        for command, payload in unpacker.feed(data):
            if command is Command.CAPTURE:
                with open(tries, "a+") as log:
                    log.write("x")
                    log.seek(0)
                    hours = len(log.read()) - 1
                number = json.loads(payload)["n"]
                tell(event="opened", n=number, backend="null", rate_hz=16_000, channels=1, latency_s=0.0)
                tell(bytes(3200), event="heard", n=number, at_s=3600.0 * hours)
                if not hours:
                    sys.exit()
"""


async def test_hours_without_a_microphone_are_a_minute_of_silence_before_it_is_back(tmp_path: Path) -> None:
    async with linked(NULL, (*scripted(LONG_GONE), str(tmp_path / "tries"))) as link:
        async with asyncio.timeout(WAIT_S):
            capture = await link.open()
        heard = Heard(capture)
        await heard.until(lambda: len(heard.sounds) == 3)
        before, silence, after = heard.sounds
        assert (before.lost, after.lost) == ("", "")
        assert "ended unexpectedly" in silence.lost
        assert duration_s(silence) == LONGEST_HOLE_S
        assert end_s(silence) == after.at_s == 3600.0


@unix_only
async def test_the_end_of_the_link_ends_whoever_listens() -> None:
    async with linked() as link:
        capture = await link.open()
        heard = Heard(capture)
        await heard.seconds(0.1)
        pid = link.pid
        assert pid is not None
        await link.aclose()
        await gone(pid)
        with pytest.raises(MicrophoneUnavailable):
            await heard.seconds(10)
    link.kill()


PARENT = """
    import asyncio, sys
    from voice_mcp.capture.link import CaptureConfig, MicrophoneLink
    from voice_mcp.codecs.conversion import Converter

    async def listen():
        link = MicrophoneLink(CaptureConfig(backends=("null",)), Converter)
        await link.open()
        print(link.pid, flush=True)
        await asyncio.Event().wait()

    asyncio.run(listen())
"""


@unix_only
async def test_a_server_that_is_killed_leaves_no_process_behind_that_listens() -> None:
    parent = await asyncio.create_subprocess_exec(*scripted(PARENT), stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    parent.kill()
    await parent.wait()
    await gone(pid)


def test_the_process_that_listens_imports_no_more_than_it_needs() -> None:
    source = "import sys, voice_mcp.microphone_process, voice_mcp.capture.process; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-P", "-c", source], capture_output=True, timeout=WAIT_S, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.decode().split()}

    assert not loaded & {"mcp", "openai", "httpx2", "numpy", "pydantic", "asyncio", "sounddevice", "miniaudio"}
