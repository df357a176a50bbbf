"""Speech survives the loss of its device and of its audio process: every frame is heard, few twice, none never."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.playback.tape import LATENCY_S, PERIOD_S, TAPE_PROCESS, Tape
from tests.playback.test_link import MONO, NULL, WAIT_S, Heard, end_of, linked, scripted, tone
from tests.support.pattern import Verdict, judge, pattern
from tests.support.pulse import FIRST_SINK, PulseCard
from tests.support.stdio import gone
from tests.support.waiting import eventually_async
from voice_mcp.codecs.conversion import Converter
from voice_mcp.errors import AudioProcessLost, DeviceBusy, DeviceUnavailable, PlaybackError
from voice_mcp.playback.link import AudioLink, LinkConfig
from voice_mcp.playback.output import IN_HANDS_S, LOOK_S
from voice_mcp.playback.passage import FADE_IN_S
from voice_mcp.playback.player import BufferPolicy
from voice_mcp.protocols import Playback
from voice_mcp.types import PlaybackEvent, PlaybackEventType

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="needs the signals of Unix"),
]

LOST, MOVED = PlaybackEventType.LOST, PlaybackEventType.MOVED
FADE = MONO.frames_in(FADE_IN_S)
SEAM_S = LATENCY_S + IN_HANDS_S + LOOK_S + FADE_IN_S
"""How much may be heard twice: what the device may hold, what was not reported yet, and the fade."""
SOUND = pattern(2 * MONO.rate_hz)
SOUND_FRAMES = 2 * MONO.rate_hz
MIDDLE = MONO.rate_hz // 2


@pytest.fixture
def tape(tmp_path: Path) -> Tape:
    return Tape(tmp_path)


@asynccontextmanager
async def on_tape(tape: Tape, **given: Any) -> AsyncIterator[AudioLink]:
    config = LinkConfig(backends=("null",), device=str(tape.folder), **given)
    link = AudioLink(config, TAPE_PROCESS, Converter)
    try:
        yield link
    finally:
        async with asyncio.timeout(WAIT_S):
            await link.aclose()


async def say(playback: Playback, sound: bytes = SOUND) -> None:
    """What a caller does who knows of nothing."""
    await playback.write(sound)
    playback.finish()


async def moved(heard: Heard) -> PlaybackEvent:
    return await heard.until(lambda event: event.type is MOVED)


async def lost(heard: Heard) -> PlaybackEvent:
    return await heard.until(lambda event: event.type is LOST)


def whole(verdict: Verdict, *, losses: int = 1) -> bool:
    """Every frame was heard, and at each seam no more twice than has to be."""
    most = losses * MONO.frames_in(SEAM_S)
    return verdict.missing == 0 and verdict.repeated <= most and verdict.altered <= losses * FADE


def kill(link: AudioLink, how: signal.Signals = signal.SIGKILL) -> int:
    pid = link.pid
    assert pid is not None
    os.kill(pid, how)
    return pid


# --- lost and back -----------------------------------------------------------------------------------------------


async def test_a_device_that_is_lost_and_comes_back_goes_on_where_it_stopped_being_heard(tape: Tape) -> None:
    async with on_tape(tape) as link:
        playback = await link.begin(MONO, heard := Heard())
        speaking = asyncio.create_task(say(playback))
        await heard.position(MIDDLE)
        tape.set("gone")
        loss = await lost(heard)
        tape.unset("gone")
        ended = await end_of(playback)
        await speaking

    assert whole(verdict := judge(tape.heard(), SOUND)), verdict
    assert (ended.frames, ended.heard_frames, ended.underruns) == (SOUND_FRAMES, SOUND_FRAMES, 0)
    assert loss.message == "the tape was taken out"
    assert heard.kinds() == ["opened", "started", "first_audio", "lost", "moved", "ended"]
    first_tape = judge(tape.tapes()[0], SOUND)
    assert 0 <= first_tape.end_frame - loss.frames <= MONO.frames_in(2 * PERIOD_S)
    assert (await moved(heard)).backend == "null"
    assert (await moved(heard)).gap_s > 0


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_process_that_is_killed_or_hangs_is_replaced_and_the_sound_goes_on(
    tape: Tape, how: signal.Signals
) -> None:
    async with on_tape(tape, answer_s=0.6) as link:
        playback = await link.begin(MONO, heard := Heard())
        speaking = asyncio.create_task(say(playback))
        await heard.position(MIDDLE)
        first = kill(link, how)
        await moved(heard)
        await gone(first)
        ended = await end_of(playback)
        await speaking
        assert link.pid not in (None, first)

    assert whole(verdict := judge(tape.heard(), SOUND)), verdict
    assert ended.heard_frames == SOUND_FRAMES


async def test_a_crash_is_got_over_again_and_again(tape: Tape) -> None:
    losses = 4
    async with on_tape(tape) as link:
        playback = await link.begin(MONO, heard := Heard())
        speaking = asyncio.create_task(say(playback))
        for crash in range(losses):
            await heard.position((crash + 1) * SOUND_FRAMES // 6)
            await eventually_async(lambda: link.pid is not None, WAIT_S)
            kill(link)
            await eventually_async(lambda: heard.kinds().count(MOVED) > crash, WAIT_S)  # noqa: B023
        ended = await end_of(playback)
        await speaking

    assert whole(verdict := judge(tape.heard(), SOUND), losses=losses), verdict
    assert ended.heard_frames == SOUND_FRAMES


async def test_a_device_that_is_lost_every_quarter_of_a_second_still_lets_all_be_heard(tape: Tape) -> None:
    tape.set("lost-after", value=25)
    async with on_tape(tape) as link:
        playback = await link.begin(MONO, heard := Heard())
        speaking = asyncio.create_task(say(playback))
        ended = await end_of(playback)
        await speaking

    losses = heard.kinds().count(LOST)
    assert losses == heard.kinds().count(MOVED) >= 8
    assert whole(verdict := judge(tape.heard(), SOUND), losses=losses), verdict
    assert ended.heard_frames == SOUND_FRAMES


async def test_what_was_told_of_the_end_is_told_to_the_next_process(tape: Tape) -> None:
    async with on_tape(tape) as link:
        playback = await link.begin(MONO, heard := Heard())
        await say(playback, SOUND[: MONO.rate_hz])
        await heard.position(MONO.rate_hz // 4)
        kill(link)

        assert (await end_of(playback)).heard_frames == MONO.rate_hz // 2


async def test_what_was_told_of_a_pause_is_told_to_the_next_process(tape: Tape) -> None:
    little = MONO.rate_hz // 4
    async with on_tape(tape, policy=BufferPolicy(start_s=2.0)) as link:
        playback = await link.begin(MONO, heard := Heard())
        await playback.write(SOUND[: 2 * little])
        playback.rest()
        await heard.position(little // 2)
        kill(link)
        await heard.until(lambda event: event.frames == little)
        await playback.write(SOUND[2 * little : 4 * little])
        playback.finish()

        assert (await end_of(playback)).heard_frames == 2 * little


async def test_a_loss_in_a_pause_is_no_gap(tape: Tape) -> None:
    half = SOUND_FRAMES // 2
    async with on_tape(tape) as link:
        playback = await link.begin(MONO, heard := Heard())
        await playback.write(SOUND[: 2 * half])
        playback.rest()
        await eventually_async(lambda: ran_dry(tape), WAIT_S, "the pause")
        tape.set("gone")
        await lost(heard)
        tape.unset("gone")
        assert (await moved(heard)).gap_s == 0
        await playback.write(SOUND[2 * half :])
        playback.finish()
        ended = await end_of(playback)

    assert whole(verdict := judge(tape.heard(), SOUND)), verdict
    assert ended.heard_frames == SOUND_FRAMES


async def test_gaps_and_how_full_the_buffer_was_are_counted_over_all_devices(tape: Tape) -> None:
    part = MONO.rate_hz // 4
    async with on_tape(tape, policy=BufferPolicy(start_s=0.02, rebuffer_s=0.02, most_s=0.1)) as link:
        playback = await link.begin(MONO, heard := Heard())
        for gaps in (1, 2):
            await playback.write(tone(part))
            await eventually_async(lambda: ran_dry(tape), WAIT_S, "a gap")
            await playback.write(tone(part))
            await eventually_async(lambda: heard.kinds().count(PlaybackEventType.RESUMED) == gaps, WAIT_S)  # noqa: B023
            kill(link)
            await eventually_async(lambda: heard.kinds().count(MOVED) == gaps, WAIT_S)  # noqa: B023
        playback.finish()
        ended = await end_of(playback)

    inserted = [event.gap_s for event in heard.events if event.type is PlaybackEventType.UNDERRUN]
    assert ended.underruns == len(inserted) >= 2
    assert ended.inserted_s == pytest.approx(sum(inserted))
    assert ended.buffer_least_s is not None
    assert ended.buffer_mean_s is not None
    assert 0 <= ended.buffer_least_s < ended.buffer_mean_s < 2 * part / MONO.rate_hz


def ran_dry(tape: Tape) -> bool:
    """Whether the newest tape has sound, and some silence after it."""
    sound = tape.tapes()[-1] if tape.tapes() else b""
    return any(sound) and not any(sound[-2 * 10 * MONO.frames_in(PERIOD_S) :])


# --- lost for good -----------------------------------------------------------------------------------------------


async def test_a_device_that_does_not_come_back_is_an_error_that_says_why_once_the_wait_is_over(tape: Tape) -> None:
    async with on_tape(tape, device_wait_s=1.0) as link:
        playback = await link.begin(MONO, heard := Heard())
        writing = asyncio.create_task(playback.write(SOUND * 4))
        await heard.position(MIDDLE)
        tape.set("gone")
        loss = await lost(heard)
        began_s = time.perf_counter()
        with pytest.raises(DeviceUnavailable, match="The tape is gone") as failure:
            await end_of(playback)
        assert time.perf_counter() - began_s >= 0.9
        with pytest.raises(DeviceUnavailable):
            await writing

    assert failure.value.hint == "Bring it back."
    assert heard.kinds()[-1] is LOST
    on_the_tape = judge(tape.heard(), SOUND).end_frame
    assert 0 <= on_the_tape - loss.frames <= MONO.frames_in(2 * PERIOD_S), "what was heard is told, and no more"


async def test_a_device_that_never_lets_anything_be_heard_is_given_up(tape: Tape) -> None:
    tape.set("lost-after", value=0)
    async with on_tape(tape, device_wait_s=1.0) as link:
        playback = await link.begin(MONO, heard := Heard())
        await playback.write(SOUND)
        with pytest.raises(PlaybackError):
            await end_of(playback)

    assert len(tape.tapes()) <= 5
    assert not any(tape.heard())
    assert heard.frames == 0 or heard.events[-1].frames == 0


async def test_without_a_wait_a_loss_is_the_end(tape: Tape) -> None:
    async with on_tape(tape, device_wait_s=0) as link:
        playback = await link.begin(MONO, heard := Heard())
        await playback.write(SOUND[: MONO.rate_hz])
        await heard.position(1)
        tape.set("gone")
        with pytest.raises(PlaybackError, match="The tape was taken out"):
            await end_of(playback)

    assert len(tape.tapes()) == 1


async def test_a_file_is_not_gone_on_with_for_it_belonged_to_the_process_that_is_gone(tmp_path: Path) -> None:
    stuck = scripted("""
        from voice_mcp.audio_process import load_backend
        from voice_mcp.playback.process import run
        import os, threading, voice_mcp.backends.file as file
        file._Stream._run = lambda self: os.kill(os.getpid(), 9)
        run(load_backend)
    """)
    async with linked(NULL, stuck) as link:
        playback = await link.begin(MONO, heard := Heard(), to_file=True, path=tmp_path / "a.wav")
        with pytest.raises(AudioProcessLost):
            await end_of(playback)

    assert MOVED not in heard.kinds()


# --- the end of a wait -------------------------------------------------------------------------------------------


async def test_a_stop_during_the_wait_ends_at_once_with_what_was_heard(tape: Tape) -> None:
    async with on_tape(tape, device_wait_s=600.0) as link:
        playback = await link.begin(MONO, heard := Heard())
        await playback.write(SOUND)
        await heard.position(MIDDLE)
        tape.set("gone")
        loss = await lost(heard)
        playback.stop()
        async with asyncio.timeout(0.5):
            ended = await playback.wait()
        assert ended.heard_frames == ended.frames == loss.frames > 0
        assert heard.events[-1] == ended
        tapes = len(tape.tapes())
        tape.unset("gone")
        await playback.write(SOUND)

    assert len(tape.tapes()) == tapes


async def test_the_link_can_be_closed_during_the_wait_and_leaves_no_process(tape: Tape) -> None:
    async with on_tape(tape, device_wait_s=600.0) as link:
        playback = await link.begin(MONO, heard := Heard())
        await playback.write(SOUND)
        await heard.position(MIDDLE)
        tape.set("gone")
        await lost(heard)
        await eventually_async(lambda: link.pid is not None, WAIT_S)
        pid = link.pid
        assert pid is not None
        async with asyncio.timeout(WAIT_S):
            await link.aclose()
            with pytest.raises(PlaybackError):
                await playback.wait()
        await gone(pid)
        assert link.pid is None


async def test_killing_the_audio_process_on_purpose_is_no_loss_that_is_made_up_for(tape: Tape) -> None:
    async with on_tape(tape) as link:
        playback = await link.begin(MONO, heard := Heard())
        await playback.write(SOUND)
        await heard.position(MIDDLE)
        link.kill()
        with pytest.raises(AudioProcessLost):
            await end_of(playback)

    assert len(tape.tapes()) == 1


async def test_another_run_ends_the_wait_of_the_one_before(tape: Tape) -> None:
    async with on_tape(tape, device_wait_s=600.0) as link:
        abandoned = await link.begin(MONO, heard := Heard())
        await abandoned.write(SOUND)
        await heard.position(MIDDLE)
        tape.set("gone")
        await lost(heard)
        tape.unset("gone")
        playback = await link.begin(MONO, Heard())
        with pytest.raises(PlaybackError, match="took its place"):
            await abandoned.wait()
        await say(playback, SOUND[: MONO.rate_hz])

        assert (await end_of(playback)).heard_frames == MONO.rate_hz // 2


# --- a device that is held, or not there at all, at the start ----------------------------------------------------


async def test_a_device_that_somebody_holds_is_waited_for(tape: Tape) -> None:
    tape.set("busy")
    async with on_tape(tape) as link:
        playback = await link.begin(MONO, heard := Heard())
        speaking = asyncio.create_task(say(playback))
        first = link.pid
        await eventually_async(lambda: link.pid not in (None, first), WAIT_S, "the second try")
        tape.unset("busy")
        ended = await end_of(playback)
        await speaking

    assert judge(tape.heard(), SOUND).exact
    assert ended.heard_frames == SOUND_FRAMES
    assert heard.kinds() == ["opened", "started", "first_audio", "ended"]


async def test_a_device_that_goes_on_being_held_is_an_error_of_its_own(tape: Tape) -> None:
    tape.set("busy")
    async with on_tape(tape, device_wait_s=0.7) as link:
        playback = await link.begin(MONO, heard := Heard())
        async with asyncio.timeout(WAIT_S):
            with pytest.raises(DeviceBusy, match="The tape is held"):
                await playback.opened()

    assert heard.kinds() == [PlaybackEventType.FAILED]


async def test_a_device_that_is_not_there_is_reported_at_once(tape: Tape) -> None:
    tape.set("gone")
    async with on_tape(tape, device_wait_s=600.0) as link:
        playback = await link.begin(MONO, Heard())
        async with asyncio.timeout(WAIT_S):
            with pytest.raises(DeviceUnavailable, match="The tape is gone"):
                await playback.opened()


# --- devices that take something else ----------------------------------------------------------------------------


def left_of(stereo: bytes) -> bytes:
    return array("h", stereo)[::2].tobytes()


async def test_a_device_with_more_channels_gets_every_frame_on_both_sides(tape: Tape) -> None:
    tape.set("shape", value=[24_000, 2])
    async with on_tape(tape) as link:
        playback = await link.begin(MONO, heard := Heard())
        opened = await playback.opened()
        speaking = asyncio.create_task(say(playback))
        ended = await end_of(playback)
        await speaking

    assert (opened.rate_hz, opened.channels) == (24_000, 2)
    assert playback.format == MONO
    assert judge(left_of(tape.heard()), SOUND).exact
    assert (ended.frames, ended.heard_frames) == (SOUND_FRAMES, SOUND_FRAMES)
    assert max(event.frames for event in heard.events) == SOUND_FRAMES


@pytest.mark.parametrize("shape", [[48_000, 2], [44_100, 1], [8000, 1], [44_100, 6]])
async def test_at_any_rate_all_is_heard_and_counted_in_what_was_handed_over(tape: Tape, shape: list[int]) -> None:
    tape.set("shape", value=shape)
    async with on_tape(tape) as link:
        playback = await link.begin(MONO, heard := Heard())
        speaking = asyncio.create_task(say(playback))
        ended = await end_of(playback)
        await speaking

    assert (ended.frames, ended.heard_frames, ended.underruns) == (SOUND_FRAMES, SOUND_FRAMES, 0)
    frames = [event.frames for event in heard.events]
    assert frames == sorted(frames)
    played = tape.heard()
    size = 2 * shape[1]
    first = next(index for index, byte in enumerate(played) if byte) // size
    last = len(played.rstrip(b"\0")) // size
    assert abs((last - first) - SOUND_FRAMES * shape[0] / MONO.rate_hz) <= shape[0] / 500


async def test_the_next_device_may_take_yet_another_format(tape: Tape) -> None:
    async with on_tape(tape) as link:
        playback = await link.begin(MONO, heard := Heard())
        speaking = asyncio.create_task(say(playback))
        await heard.position(MIDDLE)
        tape.set("shape", value=[24_000, 2])
        kill(link)
        await moved(heard)
        ended = await end_of(playback)
        await speaking

    mono, stereo = tape.tapes()
    assert whole(verdict := judge(mono + left_of(stereo), SOUND)), verdict
    assert ended.heard_frames == SOUND_FRAMES


async def test_a_device_of_another_rate_can_be_lost_as_well(tape: Tape) -> None:
    tape.set("shape", value=[48_000, 2])
    async with on_tape(tape) as link:
        playback = await link.begin(MONO, heard := Heard())
        speaking = asyncio.create_task(say(playback))
        await heard.position(MIDDLE)
        tape.set("shape", value=[24_000, 1])
        kill(link)
        ended = await end_of(playback)
        await speaking

    loss, (_, direct) = await lost(heard), tape.tapes()
    verdict = judge(direct, SOUND)
    assert verdict.start_frame <= loss.frames + 1 + FADE
    assert (verdict.end_frame, verdict.repeated, ended.heard_frames) == (SOUND_FRAMES, 0, SOUND_FRAMES)


async def test_a_voice_on_one_side_asks_for_two_channels_and_is_louder_there(tape: Tape) -> None:
    async with on_tape(tape) as link:
        playback = await link.begin(MONO, Heard(), pan=-1.0)
        await say(playback, SOUND[: MONO.rate_hz])
        opened = await playback.opened()
        await end_of(playback)

    samples = array("h", tape.heard())
    assert opened.channels == 2
    assert max(map(abs, samples[::2])) > 4 * max(map(abs, samples[1::2]))


@pytest.mark.parametrize(("pan", "channels"), [(0.0, 4), (0.5, 4)])
async def test_as_many_channels_are_asked_for_as_are_set(tape: Tape, pan: float, channels: int) -> None:
    async with on_tape(tape, channels=4) as link:
        playback = await link.begin(MONO, Heard(), pan=pan)
        assert (await playback.opened()).channels == channels
        playback.stop()


async def test_a_device_of_another_format_is_no_device_where_nothing_can_convert(tape: Tape) -> None:
    tape.set("shape", value=[48_000, 1])
    config = LinkConfig(backends=("null",), device=str(tape.folder))
    async with linked(config, TAPE_PROCESS) as link:
        playback = await link.begin(MONO, Heard())
        async with asyncio.timeout(WAIT_S):
            with pytest.raises(DeviceUnavailable, match="takes only 48000 Hz"):
                await playback.opened()


# --- waking up ---------------------------------------------------------------------------------------------------


async def test_a_device_that_was_just_opened_wakes_up_before_the_first_frame_also_after_a_loss(tape: Tape) -> None:
    wake = MONO.frames_in(0.2)
    async with on_tape(tape, wake_s=0.2) as link:
        playback = await link.begin(MONO, heard := Heard())
        speaking = asyncio.create_task(say(playback))
        await heard.position(MIDDLE)
        kill(link)
        await end_of(playback)
        await speaking

    assert whole(verdict := judge(tape.heard(), SOUND)), verdict
    for sound in tape.tapes():
        assert judge(sound, SOUND).leading_silence >= wake - FADE


# --- a real sound system -----------------------------------------------------------------------------------------


@pytest.fixture
def card(pulse_card: PulseCard, monkeypatch: pytest.MonkeyPatch) -> PulseCard:
    """A card that the audio process of this test finds."""
    for name, value in pulse_card.env.items():
        monkeypatch.setenv(name, value)
    return pulse_card


PORTAUDIO = LinkConfig(backends=("sounddevice",))
CARD_PERIOD_S = 0.01
CARD_SEAM = MONO.frames_in(0.03 + IN_HANDS_S + LOOK_S + FADE_IN_S)
"""PortAudio's latency, what is in its hands, what was not reported yet, and the fade."""


def unbroken(verdict: Verdict, seam: int = CARD_SEAM) -> bool:
    return verdict.missing == 0 and verdict.repeated <= seam and verdict.altered <= FADE


@pytest.mark.pulse
@pytest.mark.parametrize(("backend", "seam_s"), [("sounddevice", 0.075), ("miniaudio", 0.125)])
async def test_a_sound_server_that_dies_and_comes_back_loses_not_a_sample(
    card: PulseCard, backend: str, seam_s: float
) -> None:
    async with linked(LinkConfig(backends=(backend,), device_wait_s=20.0)) as link:
        playback = await link.begin(MONO, heard := Heard())
        speaking = asyncio.create_task(say(playback))
        await heard.position(MIDDLE)
        await asyncio.to_thread(card.unplug)
        before = await asyncio.to_thread(card.replug)
        ended = await end_of(playback)
        await speaking
        await asyncio.to_thread(card.wait_for_silence, 0.2, WAIT_S)

    verdict = judge(before + card.captured(), SOUND)
    assert unbroken(verdict, MONO.frames_in(seam_s)), verdict
    assert ended.heard_frames == SOUND_FRAMES


@pytest.mark.pulse
async def test_a_killed_audio_process_loses_not_a_sample_on_the_card(card: PulseCard) -> None:
    async with linked(PORTAUDIO) as link:
        playback = await link.begin(MONO, heard := Heard())
        speaking = asyncio.create_task(say(playback))
        await heard.position(MIDDLE)
        kill(link)
        ended = await end_of(playback)
        await speaking
        await asyncio.to_thread(card.wait_for_silence, 0.2, WAIT_S)

    assert unbroken(verdict := judge(card.captured(), SOUND)), verdict
    assert ended.heard_frames == SOUND_FRAMES


@pytest.mark.pulse
async def test_the_sound_goes_to_a_device_that_appears_after_the_only_one_was_taken_away(card: PulseCard) -> None:
    async with linked(replace(PORTAUDIO, device_wait_s=20.0)) as link:
        playback = await link.begin(MONO, heard := Heard())
        speaking = asyncio.create_task(say(playback))
        await heard.position(MIDDLE)
        await asyncio.to_thread(card.remove_sink, FIRST_SINK)
        await lost(heard)
        other = await asyncio.to_thread(card.add_sink, "headphones")
        ended = await end_of(playback)
        await speaking
        await asyncio.to_thread(other.wait_for_silence, 0.2, WAIT_S)

    assert unbroken(verdict := judge(card.captured() + other.data(), SOUND)), verdict
    assert ended.heard_frames == SOUND_FRAMES


@pytest.mark.pulse
@pytest.mark.parametrize("how", ["another default", "taken away"])
async def test_the_sound_follows_the_default_device(card: PulseCard, how: str) -> None:
    other = await asyncio.to_thread(card.add_sink, "headphones")
    async with linked(PORTAUDIO) as link:
        playback = await link.begin(MONO, heard := Heard())
        speaking = asyncio.create_task(say(playback))
        await heard.position(MIDDLE)
        if how == "another default":
            await asyncio.to_thread(card.control, "set-default-sink", "headphones")
        else:
            await asyncio.to_thread(card.remove_sink, FIRST_SINK)
        ended = await end_of(playback)
        await speaking
        await asyncio.to_thread(other.wait_for_silence, 0.2, WAIT_S)

    first, second = judge(card.captured(), SOUND), judge(other.data(), SOUND)
    both = judge(card.captured() + other.data(), SOUND)
    assert first.found > 0
    assert second.end_frame == SOUND_FRAMES
    # Here it is PulseAudio that moves the stream, and it may drop what its sink had taken and not yet written.
    assert both.missing <= MONO.frames_in(CARD_PERIOD_S), both
    assert both.repeated <= CARD_SEAM
    assert ended.heard_frames == SOUND_FRAMES


@pytest.mark.parametrize("shape", [None, [48_000, 2]])
async def test_a_device_that_is_lost_as_soon_as_it_is_open_is_waited_for(tape: Tape, shape: list[int] | None) -> None:
    if shape is not None:
        tape.set("shape", value=shape)
    tape.set("lost-after", value=0)
    async with on_tape(tape) as link:
        playback = await link.begin(MONO, Heard())
        await eventually_async(tape.tapes, WAIT_S, "the first loss")
        tape.unset("lost-after")
        await say(playback)

        assert (await end_of(playback)).heard_frames == MONO.frames(len(SOUND))
