"""One turn, from a microphone that hears a file to the words: what it keeps when something on the way fails."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.capture.ears import WAIT_S, linked
from tests.server.hearing_server import write_wav
from tests.stt.recognising import as_wav
from tests.support.behaviour import Behaviour
from tests.support.endpoint import SpeechEndpoint
from tests.support.house import make_house
from tests.support.spoken import heard_share, phrases, recorded, said, silence
from tests.support.waiting import eventually_async
from voice_mcp.app import App
from voice_mcp.capture.link import CaptureConfig, MicrophoneLink
from voice_mcp.core.cues import Cues
from voice_mcp.core.endpointing import TurnRules
from voice_mcp.core.failover import Roster
from voice_mcp.core.listening import IS_HEARD, UNDERSTANDS, Ears, Heard, Listening, Wishes
from voice_mcp.core.open_microphone import OpenMicrophone
from voice_mcp.core.pauses import Pauses
from voice_mcp.core.transcribing import Transcriber
from voice_mcp.core.utterance import Trail
from voice_mcp.openai_client import Endpoint
from voice_mcp.protocols import SpeechRecognizer
from voice_mcp.storage.locking import locked
from voice_mcp.stt.openai import OpenAIRecognizer
from voice_mcp.stt.sphinx import SphinxRecognition, SphinxRecognizer
from voice_mcp.types import LISTENING_FORMAT, AudioClip, RecognitionHints
from voice_mcp.vad.silero import SileroDetector

pytestmark = pytest.mark.anyio

WORDS = "Change the port to eight thousand"
CONVERSATION = "conv_1"
WISHES = Wishes(TurnRules(no_speech_s=2.0))
unix_only = pytest.mark.skipif(sys.platform == "win32", reason="sends signals")


class Turn:
    """A turn that is taken, and whoever looks on."""

    def __init__(self, house: App, link: MicrophoneLink, microphone: OpenMicrophone, ears: Ears, file: Path) -> None:
        self.house = house
        self._file = file
        self.link = link
        self.microphone = microphone
        self.told: list[str] = []
        trail = Trail(house.archive, CONVERSATION, "utt_1")
        self.listening = Listening(
            ears, microphone, house.archive, trail, start=0, wishes=WISHES, tell=self.told.append
        )

    async def tells(self, what: str) -> None:
        await eventually_async(lambda: what in self.told, WAIT_S, what)

    def lose_the_microphone(self) -> None:
        """For good: its process is killed, and a fresh one finds nothing to listen to."""
        self._file.unlink()
        assert self.link.pid is not None
        os.kill(self.link.pid, signal.SIGKILL)

    async def result(self) -> Heard:
        async with asyncio.timeout(WAIT_S):
            return await self.listening.result()


@asynccontextmanager
async def turn(
    folder: Path,
    sound: bytes,
    recognizer: SpeechRecognizer,
    *,
    detector: SileroDetector | None = None,
    late_s: float = 0.0,
    **given: Any,
) -> AsyncIterator[Turn]:
    """Somebody says that, is listened to ``late_s`` seconds late, and understood by that recogniser."""
    write_wav(file := folder / "user.wav", sound)
    config = CaptureConfig(backends=("file",), device=str(file), device_wait_s=0.0)
    house = make_house(folder / "root", **given)
    transcriber = Transcriber(Roster([recognizer], house.clock), RecognitionHints())
    ears = Ears(detector or SileroDetector(), transcriber, Cues(), Pauses(0.8))
    async with linked(config) as link:
        async with asyncio.timeout(WAIT_S):
            microphone = await OpenMicrophone.begin(link)
            microphone.tape.mark(0)
            while microphone.tape.end < LISTENING_FORMAT.frames_in(late_s):
                await microphone.after(microphone.tape.end)
        try:
            yield Turn(house, link, microphone, ears, file)
        finally:
            await microphone.aclose()
            await recognizer.aclose()
            await house.aclose()


def asking(endpoint: SpeechEndpoint) -> OpenAIRecognizer:
    return OpenAIRecognizer(Endpoint(endpoint.base_url, part="STT"), stall_s=WAIT_S, pack=as_wav)


# --- mistakes ----------------------------------------------------------------------------------------------------


async def test_a_recogniser_that_fails_as_nobody_expected_costs_no_recording(tmp_path: Path) -> None:
    def unable(frames: bytes) -> AudioClip:
        raise ZeroDivisionError

    with SpeechEndpoint() as endpoint:
        recognizer = OpenAIRecognizer(Endpoint(endpoint.base_url, part="STT"), stall_s=WAIT_S, pack=unable)
        async with turn(tmp_path, silence(0.5) + said(), recognizer) as listens:
            heard = await listens.result()
    assert heard.problem is not None
    assert "ZeroDivisionError" in heard.problem.message
    assert heard.audio_path is not None
    assert heard_share(said(), recorded(heard.audio_path)) > 0.9


async def test_a_detector_that_fails_in_mid_word_costs_no_word_before(tmp_path: Path) -> None:
    class Failing(SileroDetector):
        heard_bytes = 0

        def add(self, frames: bytes) -> list[float]:
            self.heard_bytes += len(frames)
            if self.heard_bytes > len(silence(1.5)):
                raise ZeroDivisionError
            return super().add(frames)

    with SpeechEndpoint(hears=WORDS) as endpoint:
        async with turn(tmp_path, silence(0.5) + said(), asking(endpoint), detector=Failing()) as listens:
            heard = await listens.result()
    assert heard.problem is None
    assert heard.transcript is not None
    assert heard.transcript.text == WORDS
    assert "ZeroDivisionError" in " ".join(heard.remarks)


@pytest.mark.parametrize("step", ["open", "add", "aclose"])
async def test_a_recogniser_that_follows_and_fails_as_nobody_expected_is_asked_again_for_the_whole(
    tmp_path: Path, step: str
) -> None:
    class Recognition(SphinxRecognition):
        async def add(self, frames: bytes) -> str:
            if step == "add":
                raise ZeroDivisionError
            return ""

        async def aclose(self) -> None:
            if step == "aclose":
                raise ZeroDivisionError

    class Failing(SphinxRecognizer):
        async def open(self, hints: RecognitionHints) -> SphinxRecognition:
            if step == "open":
                raise ZeroDivisionError
            return Recognition(self, None)  # type: ignore[arg-type]

        async def transcribe(self, frames: bytes, hints: RecognitionHints) -> Any:
            return self.transcript(WORDS)

    async with turn(tmp_path, silence(0.5) + said(), Failing()) as listens:
        heard = await listens.result()
    assert heard.problem is None
    assert heard.transcript is not None
    assert heard.transcript.text == WORDS


# --- losses ------------------------------------------------------------------------------------------------------


@unix_only
async def test_a_microphone_that_is_lost_in_mid_turn_leaves_the_words_before(tmp_path: Path) -> None:
    with SpeechEndpoint(hears=WORDS) as endpoint:
        async with turn(tmp_path, silence(0.5) + said(), asking(endpoint)) as listens:
            await listens.tells(IS_HEARD)
            listens.lose_the_microphone()
            heard = await listens.result()
    assert heard.problem is None
    assert heard.transcript is not None
    assert heard.transcript.text == WORDS
    assert "microphone" in " ".join(heard.remarks)


@unix_only
async def test_a_microphone_that_is_lost_before_anybody_was_understood_is_the_reason(tmp_path: Path) -> None:
    with SpeechEndpoint(hears="") as endpoint:
        async with turn(tmp_path, silence(0.5) + said(), asking(endpoint)) as listens:
            await listens.tells(IS_HEARD)
            listens.lose_the_microphone()
            heard = await listens.result()
    assert heard.problem is not None
    assert heard.audio_path is not None


# --- ends --------------------------------------------------------------------------------------------------------


async def test_whoever_stops_does_not_wait_for_words_that_are_being_looked_for(tmp_path: Path) -> None:
    with SpeechEndpoint(hears=WORDS) as endpoint:
        endpoint.always_hear(Behaviour(never_answer=True))
        async with turn(tmp_path, silence(0.5) + phrases()[0], asking(endpoint)) as listens:
            await listens.tells(UNDERSTANDS)
            listens.listening.stop()
            async with asyncio.timeout(2.0):
                heard = await listens.listening.result()
    assert (heard.transcript, heard.problem) == (None, None)
    assert not heard.is_silence


@unix_only
async def test_what_was_said_before_a_key_ended_the_turn_counts_though_it_comes_late(tmp_path: Path) -> None:
    speech = silence(0.5) + said(pause_s=0.0)
    with SpeechEndpoint(hears=WORDS) as endpoint:
        async with turn(tmp_path, speech, asking(endpoint)) as listens:
            await listens.tells(IS_HEARD)
            assert listens.link.pid is not None
            tape, clock = listens.microphone.tape, listens.house.clock
            os.kill(listens.link.pid, signal.SIGSTOP)
            stopped_s = clock.now()
            await eventually_async(lambda: clock.now() > stopped_s + 0.25, WAIT_S, "a late microphone")
            pressed_s = clock.now()
            listens.listening.finish()
            os.kill(listens.link.pid, signal.SIGCONT)
            await listens.result()
            before = tape.read(0, tape.frame_at(pressed_s))
    assert len(before) > len(silence(0.6))
    assert before[-len(silence(0.25)) :] in endpoint.transcriptions[-1].upload.frames


@unix_only
async def test_a_key_ends_the_turn_also_where_nothing_comes_any_more(tmp_path: Path) -> None:
    with SpeechEndpoint(hears=WORDS) as endpoint:
        async with turn(tmp_path, silence(0.5) + said(), asking(endpoint)) as listens:
            await listens.tells(IS_HEARD)
            assert listens.link.pid is not None
            os.kill(listens.link.pid, signal.SIGSTOP)
            listens.listening.finish()
            async with asyncio.timeout(2.0):
                heard = await listens.listening.result()
            os.kill(listens.link.pid, signal.SIGCONT)
    assert heard.transcript is not None


async def test_the_tape_goes_on_where_the_turn_was_over(tmp_path: Path) -> None:
    with SpeechEndpoint(hears=WORDS) as endpoint:
        async with turn(tmp_path, silence(0.5) + phrases()[0], asking(endpoint)) as listens:
            heard = await listens.result()
            tape = listens.microphone.tape
            spoken_s = len(silence(0.5) + phrases()[0]) / len(silence(1.0))
            assert heard.over_at / 16_000 == pytest.approx(spoken_s + 0.8, abs=0.3)
            # However long nobody takes another turn.
            while tape.end < heard.over_at + 16_000 * 3:
                await listens.microphone.after(tape.end)
            assert tape.first < heard.over_at


async def test_who_is_listened_to_late_has_time_to_begin_all_the_same(tmp_path: Path) -> None:
    with SpeechEndpoint(hears=WORDS) as endpoint:
        async with turn(tmp_path, silence(0.1), asking(endpoint), late_s=3.0) as listens:
            silent = await listens.result()
        async with turn(tmp_path, silence(3.3) + phrases()[0], asking(endpoint), late_s=3.0) as listens:
            heard = await listens.result()
    assert silent.is_silence
    assert silent.listen_s == pytest.approx(3.0 + 1.0, abs=0.3)
    assert heard.transcript is not None
    assert heard.transcript.text == WORDS


# --- recordings --------------------------------------------------------------------------------------------------


async def test_words_that_nobody_understood_wait_for_a_folder_that_another_process_has_locked(tmp_path: Path) -> None:
    with SpeechEndpoint() as endpoint:
        endpoint.always_hear(Behaviour.refusing(500, "out of memory"))
        async with turn(tmp_path, silence(0.5) + phrases()[0], asking(endpoint)) as listens:
            archive = listens.house.archive
            with locked(archive.root.make(archive.root.path / "audio")):
                await asyncio.to_thread(endpoint.wait_for_transcriptions, 1, WAIT_S)
                asked_s = archive.clock.now()
                await eventually_async(lambda: archive.clock.now() > asked_s + 3.0, WAIT_S, "a lock that is kept long")
            heard = await listens.result()
    assert heard.problem is not None
    assert heard.audio_path is not None
    assert heard_share(phrases()[0], recorded(heard.audio_path)) > 0.9
