"""Sound that is held falls silent and goes on with the word in which it stopped, whatever happens in between."""

from __future__ import annotations

import asyncio
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.playback.tape import Tape
from tests.playback.test_link import MONO, NULL, Heard, end_of, linked
from tests.playback.test_moving import SOUND, SOUND_FRAMES, kill, on_tape, say
from tests.support.pattern import Verdict, judge, pattern
from tests.support.stdio import gone
from voice_mcp.audio.wav import WAV_HEADER_BYTES
from voice_mcp.errors import PlaybackError
from voice_mcp.playback.passage import FADE_IN_S
from voice_mcp.playback.player import STOP_FADE_S
from voice_mcp.playback.run import REMEMBERED_S
from voice_mcp.types import PlaybackEvent, PlaybackEventType

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="needs the signals of Unix"),
]

HELD, WENT_ON = PlaybackEventType.HELD, PlaybackEventType.WENT_ON
FADES = MONO.frames_in(STOP_FADE_S) + MONO.frames_in(FADE_IN_S)
WORD = MONO.rate_hz // 5
"""A word every 200 ms."""


@pytest.fixture
def tape(tmp_path: Path) -> Tape:
    return Tape(tmp_path)


def word_began(heard_frames: int) -> int:
    """A ``WordBegan`` for sound in which every word is as long as any other."""
    return heard_frames // WORD * WORD


async def held(heard: Heard, times: int = 1) -> PlaybackEvent:
    """Wait until it has fallen silent so many times."""
    await heard.until(lambda event: event.type is HELD and heard.kinds().count(HELD) >= times)
    return [event for event in heard.events if event.type is HELD][-1]


def parts_of(tape: Tape) -> tuple[bytes, bytes]:
    """What was heard before the silence in the middle, and after it."""
    sound = tape.heard()
    gap = max(judge(sound, SOUND).gaps, key=lambda gap: gap.frames)
    return sound[: gap.captured_frame * 2], sound[(gap.captured_frame + gap.frames) * 2 :]


def in_one_piece(verdict: Verdict) -> bool:
    """Every frame once; a busy machine may have put a gap in between."""
    return (verdict.missing, verdict.repeated) == (0, 0)


def went_on(heard: Heard) -> list[int]:
    """With which frames it went on."""
    return [event.frames for event in heard.events if event.type is WENT_ON]


async def test_it_goes_on_with_the_word_in_which_it_stopped(tape: Tape) -> None:
    async with on_tape(tape) as link:
        playback = await link.begin(MONO, heard := Heard())
        speaking = asyncio.create_task(say(playback))
        await heard.position(MONO.rate_hz // 2)
        playback.hold()
        silent = await held(heard)
        playback.go_on(word_began)
        ended = await end_of(playback)
        await speaking

    assert ended.frames == ended.heard_frames == SOUND_FRAMES
    first, again = (judge(part, SOUND) for part in parts_of(tape))
    assert 0 <= silent.heard_frames - first.end_frame <= FADES
    assert (first.start_frame, first.repeated) == (0, 0)
    assert went_on(heard) == [word_began(silent.heard_frames) - MONO.frames_in(FADE_IN_S)]
    assert again.start_frame == word_began(silent.heard_frames)
    assert (again.end_frame, again.repeated) == (SOUND_FRAMES, 0)
    assert heard.kinds().index(HELD) < heard.kinds().index(WENT_ON) < heard.kinds().index(PlaybackEventType.ENDED)


async def test_it_can_be_held_many_times_and_no_word_is_missing(tape: Tape) -> None:
    async with on_tape(tape) as link:
        playback = await link.begin(MONO, heard := Heard())
        speaking = asyncio.create_task(say(playback))
        for times, position in enumerate((0.1, 0.35, 0.36, 0.9, 1.5, 1.9), start=1):
            await heard.position(MONO.frames_in(position))
            playback.hold()
            await held(heard, times)
            playback.go_on(word_began)
        ended = await end_of(playback)
        await speaking

    verdict = judge(tape.heard(), SOUND)
    assert ended.heard_frames == SOUND_FRAMES
    assert verdict.missing == 0, verdict
    assert verdict.repeated <= 6 * (WORD + FADES)


@pytest.mark.parametrize("changes_of_mind", [1, 2, 5])
async def test_whoever_changes_their_mind_before_it_is_silent_is_obeyed(tape: Tape, changes_of_mind: int) -> None:
    async with on_tape(tape) as link:
        playback = await link.begin(MONO, heard := Heard())
        speaking = asyncio.create_task(say(playback))
        await heard.position(MONO.rate_hz // 2)
        for _ in range(changes_of_mind):
            playback.hold()
            playback.go_on(word_began)
        ended = await end_of(playback)
        await speaking

    assert ended.heard_frames == SOUND_FRAMES
    assert judge(tape.heard(), SOUND).missing == 0
    assert heard.kinds().count(HELD) == heard.kinds().count(WENT_ON) == 1


async def test_what_is_held_twice_before_it_is_silent_stays_silent(tape: Tape) -> None:
    async with on_tape(tape) as link:
        playback = await link.begin(MONO, heard := Heard())
        speaking = asyncio.create_task(say(playback))
        await heard.position(MONO.rate_hz // 2)
        playback.hold()
        playback.go_on(word_began)
        playback.hold()
        await held(heard)
        assert went_on(heard) == []
        playback.go_on(word_began)
        await end_of(playback)
        await speaking
    assert judge(tape.heard(), SOUND).missing == 0


async def test_what_is_held_before_it_sounds_begins_when_it_may(tape: Tape) -> None:
    async with on_tape(tape) as link:
        playback = await link.begin(MONO, heard := Heard())
        playback.hold()
        speaking = asyncio.create_task(say(playback))
        silent = await held(heard)
        assert (silent.frames, tape.heard().strip(b"\0")) == (0, b"")
        playback.go_on(word_began)
        await end_of(playback)
        await speaking
    assert in_one_piece(judge(tape.heard(), SOUND))


async def test_what_is_let_go_on_before_its_device_is_open_sounds_as_if_nothing_had_been(tape: Tape) -> None:
    async with on_tape(tape) as link:
        playback = await link.begin(MONO, heard := Heard())
        playback.hold()
        playback.go_on(word_began)
        await say(playback)
        await end_of(playback)
    assert in_one_piece(judge(tape.heard(), SOUND))
    assert {HELD, WENT_ON}.isdisjoint(heard.kinds())


async def test_a_stop_ends_what_is_held_at_once(tape: Tape) -> None:
    async with on_tape(tape) as link:
        playback = await link.begin(MONO, heard := Heard())
        speaking = asyncio.create_task(say(playback))
        await heard.position(MONO.rate_hz // 2)
        playback.hold()
        silent = await held(heard)
        playback.stop()
        ended = await end_of(playback)
        playback.go_on(word_began)
        await speaking

    assert (ended.frames, ended.heard_frames) == (silent.heard_frames, silent.heard_frames)
    assert heard.kinds()[-1] == "ended"
    assert went_on(heard) == []


@pytest.mark.parametrize("go_on_first", [False, True])
async def test_a_stop_while_it_falls_silent_is_its_end(tape: Tape, go_on_first: bool) -> None:
    async with on_tape(tape) as link:
        playback = await link.begin(MONO, heard := Heard())
        speaking = asyncio.create_task(say(playback))
        await heard.position(MONO.rate_hz // 2)
        playback.hold()
        if go_on_first:
            playback.go_on(word_began)
        playback.stop()
        ended = await end_of(playback)
        await speaking
    assert 0 < ended.heard_frames < SOUND_FRAMES
    assert {HELD, WENT_ON}.isdisjoint(heard.kinds())


async def test_what_has_been_heard_to_its_end_cannot_be_held(tape: Tape) -> None:
    async with on_tape(tape) as link:
        playback = await link.begin(MONO, heard := Heard())
        await say(playback)
        ended = await end_of(playback)
        playback.hold()
        playback.go_on(word_began)
    assert ended.heard_frames == SOUND_FRAMES
    assert heard.kinds()[-1] == "ended"


async def test_what_is_held_in_its_last_word_says_that_word_again(tape: Tape) -> None:
    async with on_tape(tape) as link:
        playback = await link.begin(MONO, heard := Heard())
        await say(playback)
        await heard.position(SOUND_FRAMES - WORD // 2)
        playback.hold()
        await held(heard)
        playback.go_on(word_began)
        ended = await end_of(playback)
    assert ended.heard_frames == SOUND_FRAMES
    assert judge(tape.heard(), SOUND).missing == 0


async def test_whoever_writes_waits_while_it_is_held_and_loses_nothing(tape: Tape) -> None:
    sound = pattern(6 * MONO.rate_hz)
    async with on_tape(tape, ahead_s=0.5) as link:
        playback = await link.begin(MONO, heard := Heard())
        speaking = asyncio.create_task(say(playback, sound))
        await heard.position(MONO.rate_hz // 2)
        playback.hold()
        await held(heard)
        assert not speaking.done()
        playback.go_on(word_began)
        ended = await end_of(playback)
        await speaking
    assert ended.heard_frames == MONO.frames(len(sound))
    assert judge(tape.heard(), sound).missing == 0


async def test_nobody_goes_back_farther_than_is_remembered(tape: Tape) -> None:
    sound = pattern(5 * MONO.rate_hz)
    async with on_tape(tape) as link:
        playback = await link.begin(MONO, heard := Heard())
        speaking = asyncio.create_task(say(playback, sound))
        await heard.position(4 * MONO.rate_hz)
        playback.hold()
        silent = await held(heard)
        playback.go_on(lambda heard_frames: 0)
        await end_of(playback)
        await speaking
    back_s = MONO.seconds(silent.heard_frames - went_on(heard)[0])
    assert REMEMBERED_S <= back_s <= REMEMBERED_S + 0.2
    assert judge(tape.heard(), sound).missing == 0


async def test_without_knowing_the_words_it_goes_on_where_it_was_quiet(tape: Tape) -> None:
    words = [pattern(MONO.rate_hz * 2 // 5, seed=word) + bytes(MONO.rate_hz // 20 * 2) for word in range(6)]
    period = MONO.frames(len(words[0]))
    async with on_tape(tape) as link:
        playback = await link.begin(MONO, heard := Heard())
        speaking = asyncio.create_task(say(playback, b"".join(words)))
        await heard.position(3 * period + period // 2)
        playback.hold()
        silent = await held(heard)
        playback.go_on(lambda heard_frames: None)
        await end_of(playback)
        await speaking
    assert silent.heard_frames > 3 * period
    assert 3 * period - MONO.rate_hz // 20 - FADES <= went_on(heard)[0] <= 3 * period


# --- combined with losses ----------------------------------------------------------------------------------------


async def test_a_device_that_goes_while_it_is_held_is_waited_for_when_it_goes_on(tape: Tape) -> None:
    async with on_tape(tape) as link:
        playback = await link.begin(MONO, heard := Heard())
        speaking = asyncio.create_task(say(playback))
        await heard.position(MONO.rate_hz // 2)
        playback.hold()
        await held(heard)
        tape.set("gone")
        playback.go_on(word_began)
        await heard.until(lambda event: event.type is WENT_ON)
        tape.unset("gone")
        ended = await end_of(playback)
        await speaking
    assert ended.heard_frames == SOUND_FRAMES
    assert judge(tape.heard(), SOUND).missing == 0


async def test_a_device_that_does_not_come_back_is_the_end_with_what_was_heard(tape: Tape) -> None:
    async with on_tape(tape, device_wait_s=0.1) as link:
        playback = await link.begin(MONO, heard := Heard())
        speaking = asyncio.create_task(say(playback))
        await heard.position(MONO.rate_hz // 2)
        playback.hold()
        await held(heard)
        tape.set("gone")
        playback.go_on(word_began)
        with pytest.raises(PlaybackError):
            await end_of(playback)
        await asyncio.wait([speaking])
        assert speaking.exception() is None or isinstance(speaking.exception(), PlaybackError)


@pytest.mark.parametrize("when", ["held", "going on"])
async def test_an_audio_process_that_is_killed_meanwhile_is_replaced(tape: Tape, when: str) -> None:
    async with on_tape(tape) as link:
        playback = await link.begin(MONO, heard := Heard())
        speaking = asyncio.create_task(say(playback))
        await heard.position(MONO.rate_hz // 2)
        playback.hold()
        await held(heard)
        if when == "going on":
            playback.go_on(word_began)
        await gone(kill(link))
        playback.go_on(word_began)
        ended = await end_of(playback)
        await speaking
    assert ended.heard_frames == SOUND_FRAMES
    assert judge(tape.heard(), SOUND).missing == 0


async def test_an_audio_process_that_hangs_as_it_is_held_is_replaced(tape: Tape) -> None:
    async with on_tape(tape, stop_s=0.3) as link:
        playback = await link.begin(MONO, heard := Heard())
        speaking = asyncio.create_task(say(playback))
        await heard.position(MONO.rate_hz // 2)
        hung = kill(link, signal.SIGSTOP)
        playback.hold()
        await held(heard)
        await gone(hung)
        playback.go_on(word_began)
        ended = await end_of(playback)
        await speaking
    assert ended.heard_frames == SOUND_FRAMES
    assert judge(tape.heard(), SOUND).missing == 0


async def test_a_device_lost_in_the_word_that_is_said_again_costs_nothing_of_it(tape: Tape) -> None:
    async with on_tape(tape) as link:
        playback = await link.begin(MONO, heard := Heard())
        speaking = asyncio.create_task(say(playback))
        await heard.position(MONO.rate_hz // 2)
        playback.hold()
        silent = await held(heard)
        heard.events.clear()
        playback.go_on(lambda heard_frames: heard_frames - WORD)
        await heard.position(silent.heard_frames - WORD // 2)
        tape.set("gone")
        await heard.until(lambda event: event.type is PlaybackEventType.LOST)
        tape.unset("gone")
        ended = await end_of(playback)
        await speaking
    assert ended.heard_frames == SOUND_FRAMES
    assert judge(tape.heard(), SOUND).missing == 0


async def test_what_is_held_while_a_device_is_waited_for_stays_silent_when_it_comes(tape: Tape) -> None:
    async with on_tape(tape) as link:
        playback = await link.begin(MONO, heard := Heard())
        speaking = asyncio.create_task(say(playback))
        await heard.position(MONO.rate_hz // 2)
        tape.set("gone")
        await heard.until(lambda event: event.type is PlaybackEventType.LOST)
        playback.hold()
        tape.unset("gone")
        await held(heard)
        assert went_on(heard) == []
        playback.go_on(word_began)
        ended = await end_of(playback)
        await speaking
    assert ended.heard_frames == SOUND_FRAMES
    assert judge(tape.heard(), SOUND).missing == 0


async def test_the_end_of_the_house_ends_what_is_held(tape: Tape) -> None:
    async with on_tape(tape) as link:
        playback = await link.begin(MONO, heard := Heard())
        speaking = asyncio.create_task(say(playback))
        await heard.position(MONO.rate_hz // 2)
        playback.hold()
        await held(heard)
    with pytest.raises(PlaybackError):
        await end_of(playback)
    await asyncio.wait([speaking])


# --- files -------------------------------------------------------------------------------------------------------


async def test_a_file_is_not_written_on_while_it_is_held_and_holds_every_frame_once(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    async with linked(replace(NULL, ahead_s=0.5)) as link:
        playback = await link.begin(MONO, Heard(), to_file=True, path=path)
        playback.hold()
        writing = asyncio.create_task(say(playback, SOUND))
        await playback.opened()
        assert not writing.done()
        playback.go_on(word_began)
        await writing
        ended = await end_of(playback)
    assert ended.frames == SOUND_FRAMES
    assert path.read_bytes()[WAV_HEADER_BYTES:] == SOUND
