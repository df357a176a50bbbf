"""``streaming_say`` and ``say`` aloud: through a real audio process, into a device that takes its time."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.pulse import PulseCard
from tests.support.stdio import gone
from tests.support.waiting import eventually, eventually_async
from voice_mcp import TTS
from voice_mcp.errors import DeviceUnavailable, InvalidInput
from voice_mcp.library.playing import Said
from voice_mcp.tts.tone import ToneEngine

WAIT_S = 20.0
TEXT = "Every word has a tone of its own. This is the second sentence. And here the third one ends."
LONG = "A text that goes on and on, sentence after sentence, for minutes. " * 10


@pytest.fixture
def tts(monkeypatch: pytest.MonkeyPatch) -> Iterator[TTS]:
    monkeypatch.setenv("VOICEMODE_AUDIO_OUTPUT", "null")
    monkeypatch.setenv("VOICEMODE_OUTPUT_DEVICE", "20x")
    with TTS(ToneEngine()) as tts:
        yield tts


@pytest.mark.anyio
async def test_all_that_is_made_is_heard(tts: TTS) -> None:
    async with asyncio.timeout(WAIT_S):
        said = await tts.streaming_say(TEXT)
    assert said.duration_s == pytest.approx(len(tts.generate(TEXT)) / 24_000)
    assert (said.engine, said.voice, said.underruns, said.notes) == ("tone", "sine", 0, ())
    assert said.first_sound_ms is not None


def test_without_a_loop_say_does_the_same(tts: TTS) -> None:
    said = tts.say(TEXT)
    assert isinstance(said, Said)
    assert said.duration_s == pytest.approx(len(tts.generate(TEXT)) / 24_000)


@pytest.mark.anyio
async def test_what_was_closed_speaks_again(tts: TTS) -> None:
    async with asyncio.timeout(WAIT_S):
        async with tts:
            await asyncio.gather(tts.streaming_say("One."), tts.streaming_say("Two."))
        async with tts:
            said = await asyncio.gather(tts.streaming_say("Three."), tts.streaming_say("Four."))
    assert all(each.duration_s > 0 for each in said)


@pytest.mark.anyio
async def test_two_at_once_are_heard_one_after_the_other(tts: TTS) -> None:
    async with asyncio.timeout(WAIT_S):
        one, other = await asyncio.gather(tts.streaming_say(TEXT), tts.streaming_say("Another one."))
    assert one.duration_s == pytest.approx(len(tts.generate(TEXT)) / 24_000)
    assert other.duration_s == pytest.approx(len(tts.generate("Another one.")) / 24_000)


@pytest.mark.anyio
async def test_a_cancellation_silences_it_and_the_next_one_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICEMODE_AUDIO_OUTPUT", "null")
    with TTS(ToneEngine()) as tts:
        made = list[float]()
        task = asyncio.create_task(tts.streaming_say(LONG, progress=lambda progress: made.append(progress.made_s)))
        async with asyncio.timeout(WAIT_S):
            await eventually_async(lambda: made, WAIT_S, "the first sound")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            said = await tts.streaming_say("Now this.")
    assert said.duration_s == pytest.approx(len(TTS(ToneEngine()).generate("Now this.")) / 24_000)


@pytest.mark.anyio
async def test_without_a_device_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICEMODE_AUDIO_OUTPUT", "null")
    monkeypatch.setenv("VOICEMODE_OUTPUT_DEVICE", "no such device")
    with TTS(ToneEngine()) as tts, pytest.raises(DeviceUnavailable) as told:
        async with asyncio.timeout(WAIT_S):
            await tts.streaming_say(TEXT)
    assert told.value.hint


def test_where_nothing_is_to_be_heard_a_file_is_to_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICEMODE_AUDIO_OUTPUT", "file")
    with TTS(ToneEngine()) as tts, pytest.raises(InvalidInput, match="nothing is to be heard") as told:
        tts.say(TEXT)
    assert "speech.wav" in told.value.hint


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
@pytest.mark.parametrize("how", ["asyncio.run(tts.streaming_say(LONG, progress=tell))", "tts.say(LONG, progress=tell)"])
def test_ctrl_c_ends_the_program_and_leaves_no_process(tmp_path: Path, how: str) -> None:
    script = textwrap.dedent(f"""
        import asyncio
        from voice_mcp import TTS
        LONG = {LONG!r}
        tts = TTS("tone")
        told = []

        def tell(progress):
            if not told:
                print(tts._stage._link.pid, flush=True)
            told.append(progress)

        try:
            {how}
        except KeyboardInterrupt:
            print("stopped", flush=True)
        tts.close()
        """)
    env = {"HOME": str(tmp_path), "PATH": os.defpath, "VOICEMODE_AUDIO_OUTPUT": "null"}
    with subprocess.Popen([sys.executable, "-c", script], env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        audio_process = int(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == "stopped\n"
        assert process.wait(WAIT_S) == 0
    asyncio.run(gone(audio_process))


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_program_that_ends_without_closing_leaves_no_process(tmp_path: Path) -> None:
    script = 'from voice_mcp import TTS\ntts = TTS("tone")\ntts.say("Ready.")\nprint(tts._stage._link.pid)\n'
    env = {"HOME": str(tmp_path), "PATH": os.defpath, "VOICEMODE_AUDIO_OUTPUT": "null"}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    asyncio.run(gone(int(done.stdout)))


@pytest.mark.pulse
@pytest.mark.anyio
async def test_the_card_gets_what_generate_returns(pulse_card: PulseCard, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in pulse_card.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("VOICEMODE_AUDIO_OUTPUT", "sounddevice")
    with TTS(ToneEngine()) as tts:
        async with asyncio.timeout(WAIT_S):
            said = await tts.streaming_say(TEXT)
        expected = (tts.generate(TEXT) * 32768).round().astype("<i2").tobytes()
    eventually(lambda: expected.strip(b"\0") in pulse_card.captured(), WAIT_S, "the last sample")
    assert said.underruns == 0
