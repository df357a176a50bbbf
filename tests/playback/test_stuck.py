"""A sound system that hangs, and an audio process that hangs with it: nobody waits for ever, and nothing is left."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue

import pytest

from tests.playback.test_link import BLOCK_FRAMES, MONO, NULL, WAIT_S, Heard, end_of, linked, play, scripted, tone
from tests.playback.test_output import HandBackend
from tests.support.stdio import StdioServer, gone
from voice_mcp.errors import AudioProcessLost, DeviceUnavailable, PlaybackError
from voice_mcp.playback.link import AudioLink, LinkConfig
from voice_mcp.playback.output import Output, Utterance
from voice_mcp.playback.player import BufferPolicy
from voice_mcp.playback.run import HANG_S
from voice_mcp.types import PcmFormat, PlaybackEventType

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="needs the signals of Unix"),
]

QUICK = LinkConfig(backends=("null",), answer_s=1.0, stop_s=0.5, device_wait_s=0)
AT_ONCE = LinkConfig(backends=("null",), open_s=0.5)

STUCK = """
    import threading
    from voice_mcp.audio_process import load_backend
    from voice_mcp.playback.process import run

    class Stuck:
        name = "null"

        def open(self, fmt, device, path, source):
            threading.Event().wait()

        def devices(self):
            threading.Event().wait()

    run(lambda name: Stuck() if name == "null" else load_backend(name))
"""
"""An audio process whose sound system never answers; files work."""


def freeze(link: AudioLink) -> int:
    assert link.pid is not None
    os.kill(link.pid, signal.SIGSTOP)
    return link.pid


# --- the link ----------------------------------------------------------------------------------------------------


async def test_a_device_that_never_opens_is_an_error_and_its_process_is_killed() -> None:
    heard = Heard()
    async with linked(AT_ONCE, scripted(STUCK)) as link:
        playback = await link.begin(MONO, heard)
        stuck = link.pid
        assert stuck is not None
        async with asyncio.timeout(WAIT_S):
            with pytest.raises(DeviceUnavailable, match=r"did not open within 0\.5 s\.$"):
                await playback.opened()
        with pytest.raises(DeviceUnavailable):
            await end_of(playback)
        await gone(stuck)

    assert heard.kinds() == [PlaybackEventType.FAILED]


async def test_after_a_device_that_never_opens_the_next_utterance_gets_a_process_that_works(tmp_path: Path) -> None:
    config = LinkConfig(backends=("null",), open_s=2.0)
    async with linked(config, scripted(STUCK)) as link:
        first = await link.begin(MONO, Heard())
        async with asyncio.timeout(WAIT_S):
            with pytest.raises(DeviceUnavailable):
                await first.opened()
        to_file = await link.begin(MONO, Heard(), to_file=True, path=tmp_path / "a.wav")
        await to_file.write(tone(1200))
        to_file.finish()

        assert (await end_of(to_file)).frames == 1200


async def test_without_a_wait_a_process_that_freezes_in_the_middle_of_speech_is_killed_and_replaced() -> None:
    heard = Heard()
    async with linked(QUICK) as link:
        playback = await link.begin(MONO, heard)
        await playback.write(tone(MONO.rate_hz))
        await heard.position(1)
        frozen = freeze(link)
        with pytest.raises(AudioProcessLost, match="stopped answering"):
            await end_of(playback)
        await gone(frozen)
        assert heard.kinds()[-1] is PlaybackEventType.LOST
        assert (await play(link)).heard_frames == 1200
        assert link.pid != frozen


async def test_a_writer_is_freed_from_a_process_that_freezes() -> None:
    async with linked(QUICK) as link:
        playback = await link.begin(MONO, heard := Heard())
        writing = asyncio.create_task(playback.write(tone(60 * MONO.rate_hz)))
        await heard.position(1)
        freeze(link)
        async with asyncio.timeout(WAIT_S):
            with pytest.raises(AudioProcessLost):
                await writing


async def test_a_stop_that_a_frozen_process_does_not_obey_ends_it() -> None:
    config = LinkConfig(backends=("null",), answer_s=600.0, stop_s=0.5)
    async with linked(config) as link:
        playback = await link.begin(MONO, heard := Heard())
        await playback.write(tone(MONO.rate_hz))
        await heard.position(1)
        frozen = freeze(link)
        playback.stop()
        with pytest.raises(AudioProcessLost):
            await end_of(playback)
        await gone(frozen)


@pytest.mark.parametrize("frames", [0, 10, BLOCK_FRAMES * 10])
@pytest.mark.parametrize("resting", [True, False])
async def test_a_pause_is_not_taken_for_a_hang(frames: int, resting: bool) -> None:
    config = LinkConfig(backends=("null",), answer_s=1.0)
    async with linked(config) as link:
        playback = await link.begin(MONO, Heard())
        await playback.write(tone(frames))
        if resting:
            playback.rest()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2 * config.answer_s):
                await playback.wait()
        await playback.write(tone(1200))
        playback.finish()

        assert (await end_of(playback)).frames == frames + 1200


async def test_an_utterance_can_be_stopped_while_its_device_is_being_opened() -> None:
    async with linked(LinkConfig(backends=("null",), open_s=600.0), scripted(STUCK)) as link:
        playback = await link.begin(MONO, heard := Heard())
        await playback.write(tone(1200))
        playback.stop()
        ended = await end_of(playback)
        async with asyncio.timeout(WAIT_S):
            assert await playback.opened() == ended

    assert ended.frames == 0
    assert heard.kinds() == [PlaybackEventType.ENDED]


async def test_a_run_that_another_one_replaces_is_waited_for_no_longer_and_ends_nobody() -> None:
    async with linked(LinkConfig(backends=("null",), answer_s=600.0, stop_s=600.0)) as link:
        abandoned = await link.begin(MONO, Heard())
        await play(link)
        async with asyncio.timeout(WAIT_S):
            with pytest.raises(PlaybackError, match="took its place"):
                await abandoned.wait()


async def test_killing_leaves_nothing_and_the_next_utterance_starts_another() -> None:
    async with linked() as link:
        await play(link)
        frozen = freeze(link)
        link.kill()
        link.kill()
        assert link.pid is None
        await gone(frozen)
        assert (await play(link)).heard_frames == 1200


async def test_a_kill_ends_also_a_process_that_is_being_closed() -> None:
    link = AudioLink(NULL)
    await play(link)
    frozen = freeze(link)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await link.aclose()
    link.kill()
    await gone(frozen)
    await link.aclose()


# --- the audio process -------------------------------------------------------------------------------------------


def begun(command: tuple[str, ...]) -> str:
    """A parent that begins to speak, says which audio process it has once that is opening its device, and waits."""
    return textwrap.dedent(f"""
        import asyncio
        from voice_mcp.playback.link import AudioLink, LinkConfig
        from voice_mcp.types import PcmFormat

        async def speak():
            link = AudioLink(LinkConfig(backends=("null",), open_s=600.0), {command!r})
            playback = await link.begin(PcmFormat(24000, 1), lambda event: None)
            await playback.write(b"ab" * 4800)
            print(link.pid, flush=True)
            await playback.opened()

        asyncio.run(speak())
    """)


def test_a_process_whose_sound_system_hangs_still_ends_with_its_parent() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-P", "-c", begun(scripted(STUCK))], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert parent.stdout is not None
    assert int(parent.stdout.readline()) > 0
    parent.kill()
    # The child holds its parent's stderr: that ends when both are gone, and not before.
    _, complaints = parent.communicate(timeout=10)

    assert complaints == b""


async def test_a_bug_in_the_device_work_ends_the_process_and_says_where(capfd: pytest.CaptureFixture[str]) -> None:
    broken = scripted("""
        from voice_mcp.playback.process import run

        def broken(name):
            raise ZeroDivisionError("a bug")

        run(broken)
    """)
    async with linked(NULL, broken) as link:
        playback = await link.begin(MONO, Heard())
        with pytest.raises(AudioProcessLost, match="code 1"):
            await end_of(playback)

    assert "ZeroDivisionError: a bug" in capfd.readouterr().err


def test_the_device_of_the_last_utterance_takes_nothing_of_the_next_while_that_ones_device_opens() -> None:
    hand, work = HandBackend("hand"), SimpleQueue[Callable[[], None]]()
    output = Output(lambda name: hand, lambda report: None, work.put)
    output.begin(Utterance(1, MONO, ("hand",), None, None, BufferPolicy(start_s=0.0)))
    work.get_nowait()()
    first = hand.stream
    output.begin(Utterance(2, PcmFormat(8000, 2), ("hand",), None, None, BufferPolicy(start_s=0.0)))
    output.push(tone(1000))
    assert not any(first.pull(2)), "frames of another format"
    work.get_nowait()()
    assert hand.stream.pull(2) == tone(1000)[: 2 * 4 * hand.stream.period_frames]
    output.close()


# --- the server --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
async def test_a_signal_ends_the_server_and_its_frozen_audio_process(tmp_path: Path, name: str) -> None:
    async with StdioServer(tmp_path) as server:
        await server.initialize()
        server.begin_speaking("This sentence is one of many and takes its time. " * 40)
        await server.speaking()
        frozen = await server.audio_process()
        os.kill(frozen, signal.SIGSTOP)
        server.process.send_signal(getattr(signal, name))
        try:
            assert await server.exit_code() == 128 + getattr(signal, name)
            await gone(frozen)
        finally:
            _let_go(frozen)


def _let_go(pid: int) -> None:
    """What a failing test must not leave behind."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


async def test_a_stop_while_a_device_hangs_in_opening_makes_nobody_wait_behind_it(tmp_path: Path) -> None:
    async with linked(LinkConfig(backends=("null",), open_s=60.0), scripted(STUCK)) as link:
        playback = await link.begin(MONO, Heard())
        stuck = link.pid
        assert stuck is not None
        await asyncio.wait([asyncio.ensure_future(playback.opened())], timeout=2 * HANG_S)
        playback.stop()
        await gone(stuck)
        async with asyncio.timeout(WAIT_S):
            another = await link.begin(MONO, Heard(), to_file=True, path=tmp_path / "next.wav")
            await another.opened()
            another.stop()
