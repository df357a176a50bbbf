"""While an agent speaks other programs are quieter, and afterwards as loud as before, whatever happens."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ducking.players import music, volumes
from tests.support.pulse import PulseCard
from tests.support.stdio import StdioServer
from tests.support.waiting import eventually, eventually_async

pytestmark = [
    pytest.mark.pulse,
    pytest.mark.skipif(sys.platform != "linux", reason="offered where there is PulseAudio"),
]

WAIT_S = 20.0
SHARE = 0.3


class Ducking:
    """A ducking process. Use it as a context manager."""

    def __init__(self, card: PulseCard, base_dir: Path, share: float = SHARE) -> None:
        command = [sys.executable, "-m", "voice_mcp.ducking_process", str(base_dir), str(share)]
        env = card.env | {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        self.process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stderr=subprocess.PIPE)

    def __enter__(self) -> Ducking:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stderr):
            if stream is not None:
                stream.close()

    def tell(self, order: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(order)
        self.process.stdin.flush()

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(WAIT_S) == 0


def becomes(card: PulseCard, number: int, percent: int) -> None:
    eventually(lambda: volumes(card).get(number) == percent, WAIT_S, f"{percent} %")


def test_others_are_lowered_while_somebody_speaks(tmp_path: Path, pulse_card: PulseCard) -> None:
    with music(pulse_card, 80) as loud, music(pulse_card, 50) as softer, Ducking(pulse_card, tmp_path) as ducking:
        ducking.tell(b"L")
        becomes(pulse_card, loud, 24)
        becomes(pulse_card, softer, 15)
        ducking.tell(b"R")
        becomes(pulse_card, loud, 80)
        becomes(pulse_card, softer, 50)
        ducking.end()


def test_music_that_begins_meanwhile_is_lowered_too(tmp_path: Path, pulse_card: PulseCard) -> None:
    with Ducking(pulse_card, tmp_path) as ducking:
        ducking.tell(b"L")
        with music(pulse_card) as number:
            becomes(pulse_card, number, 30)
            ducking.end()
            becomes(pulse_card, number, 100)


def test_a_call_is_left_alone(tmp_path: Path, pulse_card: PulseCard) -> None:
    call_and_music = music(pulse_card, role="phone"), music(pulse_card)
    with call_and_music[0] as call, call_and_music[1] as number, Ducking(pulse_card, tmp_path) as ducking:
        ducking.tell(b"L")
        becomes(pulse_card, number, 30)
        assert volumes(pulse_card)[call] == 100


@pytest.mark.parametrize("ending", ["end of input", "SIGTERM"])
def test_when_the_server_goes_everything_is_put_back(tmp_path: Path, pulse_card: PulseCard, ending: str) -> None:
    with music(pulse_card) as number, Ducking(pulse_card, tmp_path) as ducking:
        ducking.tell(b"L")
        becomes(pulse_card, number, 30)
        if ending == "SIGTERM":
            ducking.process.send_signal(signal.SIGINT)  # a terminal's, to everybody: to be ignored
            ducking.process.terminate()
            ducking.process.wait(WAIT_S)
        else:
            ducking.end()
        becomes(pulse_card, number, 100)


def test_two_agents_do_not_lower_twice_and_the_last_one_restores(tmp_path: Path, pulse_card: PulseCard) -> None:
    with (
        music(pulse_card) as number,
        Ducking(pulse_card, tmp_path) as one,
        Ducking(pulse_card, tmp_path) as two,
    ):
        one.tell(b"L")
        becomes(pulse_card, number, 30)
        two.tell(b"L")
        eventually(lambda: len(list((tmp_path / "run" / "ducking").glob("*.here"))) == 2, WAIT_S)
        assert volumes(pulse_card)[number] == 30
        one.end()
        assert volumes(pulse_card)[number] == 30
        two.end()
        becomes(pulse_card, number, 100)


def test_what_a_killed_one_left_lowered_the_next_one_puts_back(tmp_path: Path, pulse_card: PulseCard) -> None:
    with music(pulse_card) as number:
        with Ducking(pulse_card, tmp_path) as killed:
            killed.tell(b"L")
            becomes(pulse_card, number, 30)
        assert volumes(pulse_card)[number] == 30
        with Ducking(pulse_card, tmp_path):
            becomes(pulse_card, number, 100)


def test_a_volume_that_somebody_changes_meanwhile_stays_as_he_wants_it(tmp_path: Path, pulse_card: PulseCard) -> None:
    with music(pulse_card) as number, Ducking(pulse_card, tmp_path) as ducking:
        ducking.tell(b"L")
        becomes(pulse_card, number, 30)
        pulse_card.control("set-sink-input-volume", str(number), "60%")
        ducking.end()
        assert volumes(pulse_card)[number] == 60


def test_a_program_whose_sound_ends_while_it_is_lowered_is_not_quiet_next_time(
    tmp_path: Path, pulse_card: PulseCard
) -> None:
    pulse_card.control("load-module", "module-stream-restore", "restore_device=no")
    with Ducking(pulse_card, tmp_path) as ducking:
        with music(pulse_card, 90) as number:
            ducking.tell(b"L")
            becomes(pulse_card, number, 27)
        with music(pulse_card, None) as number:  # the next song begins as loud as the last one was: lowered
            ducking.tell(b"L")
            eventually(lambda: (tmp_path / "run/ducking/lowered.json").read_text().count("index") == 2, WAIT_S)
            assert volumes(pulse_card)[number] == 27
        ducking.end()
    with music(pulse_card, None) as number:
        assert volumes(pulse_card)[number] == 90


def test_without_a_sound_server_it_says_so_once_and_goes_on(tmp_path: Path, pulse_card: PulseCard) -> None:
    with Ducking(pulse_card, tmp_path) as ducking:
        pulse_card.unplug()
        ducking.tell(b"L")
        ducking.tell(b"R")
        assert ducking.process.stdin is not None
        ducking.process.stdin.close()
        assert ducking.process.wait(WAIT_S) == 0
        assert ducking.process.stderr is not None
        assert ducking.process.stderr.read().count(b"VOICEMODE_DUCKING=off") <= 1


@pytest.mark.anyio
@pytest.mark.parametrize("ending", ["the last word", "SIGKILL"])
async def test_a_server_lowers_others_and_never_its_own_voice(
    tmp_path: Path, pulse_card: PulseCard, ending: str
) -> None:
    env = {**pulse_card.env, "VOICEMODE_AUDIO_OUTPUT": "sounddevice", "VOICEMODE_TTS_ENGINE": "tone"}
    with music(pulse_card) as number:
        async with StdioServer(tmp_path, env | {"VOICEMODE_DUCKING": "0.3"}) as server:
            await server.initialize()
            call = server.begin_speaking("While these words are spoken the music is not as loud as before. " * 2)
            await eventually_async(
                lambda: sorted(volumes(pulse_card).values()) == [30, 100], WAIT_S, "quiet music and a loud voice"
            )
            assert volumes(pulse_card)[number] == 30
            if ending == "SIGKILL":
                server.process.kill()
            else:
                await server.answer(call)
            await eventually_async(lambda: volumes(pulse_card)[number] == 100, WAIT_S, "loud music")
