"""The link and a real audio process: what is played, what is told, and what is left when one of the two dies."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from array import array
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.waiting import eventually_async
from voice_mcp.audio.wav import WAV_HEADER_BYTES
from voice_mcp.errors import AudioProcessLost, DeviceUnavailable, PlaybackError
from voice_mcp.playback.link import AUDIO_PROCESS, AudioLink, DeviceList, LinkConfig
from voice_mcp.playback.player import BufferPolicy
from voice_mcp.protocols import Playback
from voice_mcp.types import PcmFormat, PlaybackEvent, PlaybackEventType

pytestmark = pytest.mark.anyio

WAIT_S = 15.0
MONO = PcmFormat(24_000, 1)
BLOCK_FRAMES = 240
NULL = LinkConfig(backends=("null",))
NO_WAIT = LinkConfig(backends=("null",), device_wait_s=0)


class Heard:
    """A listener that remembers, and lets a test wait for what it is told."""

    def __init__(self) -> None:
        self.events: list[PlaybackEvent] = []
        self._changed = asyncio.Event()

    def __call__(self, event: PlaybackEvent) -> None:
        self.events.append(event)
        self._changed.set()

    async def until(self, condition: Callable[[PlaybackEvent], bool]) -> PlaybackEvent:
        """The first event, from the beginning, for which ``condition`` holds."""
        async with asyncio.timeout(WAIT_S):
            while True:
                for event in self.events:
                    if condition(event):
                        return event
                self._changed.clear()
                await self._changed.wait()

    async def position(self, frames: int) -> PlaybackEvent:
        """Wait until ``frames`` frames have left."""
        return await self.until(lambda event: event.frames >= frames)

    @property
    def frames(self) -> int:
        """How many have left, as far as is known."""
        return max((event.frames for event in self.events), default=0)

    def kinds(self) -> list[PlaybackEventType]:
        """What was told, but for the positions."""
        return [event.type for event in self.events if event.type is not PlaybackEventType.POSITION]


def tone(frames: int) -> bytes:
    return array("h", [1000 + index % 20_000 for index in range(frames)]).tobytes()


@asynccontextmanager
async def linked(config: LinkConfig = NULL, command: Sequence[str] = AUDIO_PROCESS) -> AsyncIterator[AudioLink]:
    link = AudioLink(config, command)
    try:
        yield link
    finally:
        async with asyncio.timeout(WAIT_S):
            await link.aclose()


async def end_of(playback: Playback) -> PlaybackEvent:
    async with asyncio.timeout(WAIT_S):
        return await playback.wait()


async def play(link: AudioLink, frames: int = 1200) -> PlaybackEvent:
    """Play something short to its end."""
    playback = await link.begin(MONO, Heard())
    await playback.write(tone(frames))
    playback.finish()
    return await end_of(playback)


# --- playing -----------------------------------------------------------------------------------------------------


async def test_an_utterance_is_played_to_its_end_and_told_in_order() -> None:
    heard = Heard()
    async with linked() as link:
        playback = await link.begin(MONO, heard)
        opened = await playback.opened()
        await playback.write(tone(4800))
        playback.finish()
        ended = await end_of(playback)

    assert playback.format == MONO
    assert (opened.backend, opened.latency_s) == ("null", 0.01)
    assert (ended.frames, ended.heard_frames, ended.underruns) == (4800, 4800, 0)
    assert heard.kinds() == [
        PlaybackEventType.OPENED,
        PlaybackEventType.STARTED,
        PlaybackEventType.FIRST_AUDIO,
        PlaybackEventType.ENDED,
    ]
    frames = [event.frames for event in heard.events]
    assert frames == sorted(frames)


async def test_a_file_holds_every_frame_once_its_end_is_told(tmp_path: Path) -> None:
    path, sent = tmp_path / "a.wav", tone(50_000)
    async with linked() as link:
        playback = await link.begin(MONO, Heard(), to_file=True, path=path)
        await playback.write(sent)
        playback.finish()
        ended = await end_of(playback)
        assert path.read_bytes()[WAV_HEADER_BYTES:] == sent

    assert ended.heard_frames == 50_000


async def test_the_same_process_plays_one_utterance_after_the_other(tmp_path: Path) -> None:
    async with linked() as link:
        await play(link)
        first = link.pid
        to_file = await link.begin(PcmFormat(8000, 2), Heard(), to_file=True, path=tmp_path / "a.wav")
        await to_file.write(bytes(400))
        to_file.finish()
        await end_of(to_file)
        await play(link)

        assert link.pid == first is not None


async def test_starting_twice_at_once_starts_one_process() -> None:
    async with linked() as link:
        await asyncio.gather(link.start(), link.start())
        first = link.pid
        await link.start()

        assert link.pid == first is not None


async def test_an_utterance_without_a_frame_ends() -> None:
    async with linked() as link:
        playback = await link.begin(MONO, Heard())
        playback.finish()

        assert (await end_of(playback)).frames == 0


async def test_a_stop_ends_long_before_what_was_handed_over() -> None:
    heard = Heard()
    async with linked(LinkConfig(backends=("null",), ahead_s=10.0)) as link:
        playback = await link.begin(MONO, heard)
        await playback.write(tone(8 * MONO.rate_hz))
        await heard.position(MONO.frames_in(0.1))
        before = heard.frames
        playback.stop()
        ended = await end_of(playback)

    assert before <= ended.heard_frames == ended.frames < before + MONO.rate_hz
    assert heard.events[-1] == ended


async def test_frames_after_a_stop_go_nowhere_and_block_nobody() -> None:
    async with linked(LinkConfig(backends=("null",), ahead_s=0.1)) as link:
        playback = await link.begin(MONO, heard := Heard())
        writing = asyncio.create_task(playback.write(tone(60 * MONO.rate_hz)))
        await heard.position(1)
        playback.stop()
        ended = await end_of(playback)
        async with asyncio.timeout(WAIT_S):
            await writing
            await playback.write(tone(MONO.rate_hz))

    assert ended.frames < 30 * MONO.rate_hz


# --- what is on the way ------------------------------------------------------------------------------------------


async def test_never_more_is_on_the_way_than_allowed() -> None:
    config = LinkConfig(backends=("null",), ahead_s=0.1, block_bytes=2 * BLOCK_FRAMES)
    ahead, written = MONO.frames_in(0.1), 0
    async with linked(config) as link:
        playback = await link.begin(MONO, heard := Heard())
        for _ in range(60):
            async with asyncio.timeout(WAIT_S):
                await playback.write(tone(BLOCK_FRAMES))
            written += BLOCK_FRAMES
            assert written - heard.frames < ahead + BLOCK_FRAMES
        playback.finish()
        ended = await end_of(playback)

    assert ended.frames == written > 5 * ahead


async def test_gaps_are_got_over_however_little_may_be_on_the_way() -> None:
    policy = BufferPolicy(start_s=0.04, rebuffer_s=0.3, most_s=2.0)
    config = LinkConfig(backends=("null",), policy=policy, ahead_s=0.1, block_bytes=480)
    written = 0
    async with linked(config) as link:
        playback = await link.begin(MONO, heard := Heard())
        for _ in range(3):
            async with asyncio.timeout(WAIT_S):
                await playback.write(tone(4800))
            written += 4800
            await heard.position(written - MONO.frames_in(0.005))
        playback.finish()
        ended = await end_of(playback)

    # What comes at once after the fade leaves no silence, and without silence there was no gap to report.
    assert ended.frames == written
    assert ended.underruns == heard.kinds().count(PlaybackEventType.UNDERRUN)
    assert all(event.gap_s > 0 for event in heard.events if event.type is PlaybackEventType.UNDERRUN)


# --- devices that cannot be had ----------------------------------------------------------------------------------


async def test_a_device_nobody_has_is_an_error_that_says_what_to_do() -> None:
    config = LinkConfig(backends=("sounddevice", "miniaudio"), device="no such loudspeaker")
    heard = Heard()
    async with linked(config) as link:
        playback = await link.begin(MONO, heard)
        async with asyncio.timeout(WAIT_S):
            with pytest.raises(DeviceUnavailable) as unavailable:
                await playback.opened()
            with pytest.raises(DeviceUnavailable):
                await playback.write(tone(10))
        with pytest.raises(DeviceUnavailable):
            await end_of(playback)
        pid = link.pid
        await (to_nowhere := await link.begin(MONO, Heard())).write(tone(10))

        assert link.pid == pid is not None, "the process is still there"
        assert to_nowhere is not playback

    assert unavailable.value.hint
    assert heard.kinds() == [PlaybackEventType.FAILED]


async def test_devices_are_listed_by_the_process_that_will_play() -> None:
    async with linked() as link:
        lists = await link.devices(("null", "file"))

    assert lists == [DeviceList("null", ("null",)), DeviceList("file", ("file",))]


def scripted(source: str) -> tuple[str, ...]:
    """An audio process that runs ``source``."""
    return (sys.executable, "-P", "-c", textwrap.dedent(source))


async def test_without_a_wait_a_device_lost_before_it_is_reported_open_ends_the_utterance_and_nothing_else() -> None:
    process = scripted("""
        import sys
        sys.stdin.buffer.read(1)
        print('{"event": "lost", "n": 1, "message": "gone already"}', flush=True)
        print('{"event": "opened", "n": 1, "backend": "null"}', flush=True)
        asked = b""
        while b'{"backends"' not in asked:
            asked += sys.stdin.buffer.read1()
        print('{"event": "devices_end"}', flush=True)
        sys.stdin.buffer.read()
    """)
    async with linked(replace(NULL, device_wait_s=0), process) as link:
        playback = await link.begin(MONO, Heard())
        with pytest.raises(PlaybackError) as lost:
            await end_of(playback)
        assert lost.value.message == "Gone already."
        async with asyncio.timeout(WAIT_S):
            assert await link.devices(("null",)) == [], "reports are still read"


NOISY = """
    import os, sys
    from voice_mcp.audio_process import load_backend
    from voice_mcp.playback.process import run

    def noisy(name):
        print("a Python library says something")
        sys.stdout.flush()
        os.write(1, b'{"event": "lost"}\\n')
        os.system("echo a native library says something; echo and complains >&2")
        os.write(2, b"more complaints\\n")
        return load_backend(name)

    run(noisy)
"""


async def test_whatever_is_printed_in_the_audio_process_does_not_reach_the_reports() -> None:
    async with linked(NULL, scripted(NOISY)) as link:
        assert (await play(link, 1200)).heard_frames == 1200


async def test_input_meant_for_the_audio_process_cannot_be_taken_by_a_library() -> None:
    greedy = scripted("""
        import sys
        from voice_mcp.audio_process import load_backend
        from voice_mcp.playback.process import run

        def greedy(name):
            assert sys.stdin.read() == ""
            return load_backend(name)

        run(greedy)
    """)
    async with linked(NULL, greedy) as link:
        assert (await play(link, 1200)).heard_frames == 1200


# --- death -------------------------------------------------------------------------------------------------------


def kill(link: AudioLink) -> None:
    assert link.pid is not None
    os.kill(link.pid, signal.SIGKILL)


unix_only = pytest.mark.skipif(os.name == "nt", reason="needs the signals of Unix")


@unix_only
async def test_without_a_wait_a_killed_audio_process_is_an_error_and_the_next_utterance_gets_a_new_one() -> None:
    heard = Heard()
    async with linked(NO_WAIT) as link:
        playback = await link.begin(MONO, heard)
        await playback.write(tone(MONO.rate_hz))
        await heard.position(1)
        first = link.pid
        kill(link)
        with pytest.raises(AudioProcessLost):
            await end_of(playback)
        with pytest.raises(AudioProcessLost):
            await playback.write(tone(10))
        playback.finish()
        playback.stop()
        assert link.pid is None
        assert heard.kinds()[-1] is PlaybackEventType.LOST
        assert (await play(link)).heard_frames == 1200
        assert link.pid not in (None, first)


@unix_only
async def test_a_writer_that_waits_for_room_is_told_when_the_audio_process_dies() -> None:
    async with linked(LinkConfig(backends=("null",), ahead_s=0.1, device_wait_s=0)) as link:
        playback = await link.begin(MONO, heard := Heard())
        writing = asyncio.create_task(playback.write(tone(60 * MONO.rate_hz)))
        await heard.position(1)
        kill(link)
        async with asyncio.timeout(WAIT_S):
            with pytest.raises(AudioProcessLost):
                await writing


@unix_only
async def test_an_audio_process_killed_between_utterances_disturbs_nobody() -> None:
    async with linked() as link:
        await play(link)
        kill(link)
        await eventually_async(lambda: link.pid is None, WAIT_S)

        assert (await play(link)).heard_frames == 1200


@unix_only
async def test_ctrl_c_reaches_the_whole_group_and_does_not_end_the_sound() -> None:
    async with linked() as link:
        playback = await link.begin(MONO, Heard())
        await playback.opened()
        assert link.pid is not None
        os.kill(link.pid, signal.SIGINT)
        await playback.write(tone(4800))
        playback.finish()

        assert (await end_of(playback)).heard_frames == 4800


async def test_an_audio_process_that_cannot_be_started_is_an_error(tmp_path: Path) -> None:
    link = AudioLink(NULL, (str(tmp_path / "missing"),))
    with pytest.raises(AudioProcessLost, match="cannot be started"):
        await link.begin(MONO, Heard())
    await link.aclose()

    assert link.pid is None


@unix_only
async def test_closing_leaves_no_child_even_in_the_middle_of_speech() -> None:
    link = AudioLink(NULL)
    playback = await link.begin(MONO, heard := Heard())
    await playback.write(tone(MONO.rate_hz))
    await heard.position(1)
    pid = link.pid
    assert pid is not None
    async with asyncio.timeout(WAIT_S):
        await link.aclose()
        await link.aclose()

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert heard.events[-1].type in (PlaybackEventType.ENDED, PlaybackEventType.LOST)


@unix_only
async def test_an_audio_process_that_does_not_go_is_killed() -> None:
    stubborn = scripted("""
        import signal, sys
        sys.stdin.buffer.read()
        print('{"event": "devices_end"}', flush=True)
        signal.pause()
    """)
    link = AudioLink(NULL, stubborn)
    await link.start()
    pid = link.pid
    assert pid is not None
    async with asyncio.timeout(WAIT_S):
        await link.aclose()

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


PARENT = """
    import asyncio
    from voice_mcp.playback.link import AudioLink, LinkConfig
    from voice_mcp.types import PcmFormat

    async def speak_for_ever():
        link = AudioLink(LinkConfig(backends=("null",)))
        playback = await link.begin(PcmFormat(24000, 1), lambda event: None)
        await playback.opened()
        print("speaking", flush=True)
        while True:
            await playback.write(b"ab" * 4800)

    asyncio.run(speak_for_ever())
"""


@unix_only
def test_the_audio_process_ends_with_its_parent_however_that_dies() -> None:
    parent = subprocess.Popen(scripted(PARENT), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"speaking\n"
    parent.kill()
    # The child holds its parent's stderr: that ends when both are gone, and not before.
    _, complaints = parent.communicate(timeout=5)

    assert complaints == b""
