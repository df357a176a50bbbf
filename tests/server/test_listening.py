"""The user answers by voice: a real microphone (PulseAudio), the real processes, a real transcription server."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.types import ElicitRequestParams, ElicitResult

from tests.server.listening_room import WAIT_S, Prompted, Room, converse, said_when, saying, until
from tests.server.listening_room import room as room
from tests.stt.recognising import as_wav
from tests.support.behaviour import Behaviour
from tests.support.house import exchanges
from tests.support.ports import refusing_port
from tests.support.spoken import heard_share, phrases, recorded, said, silence
from tests.support.waiting import eventually_async
from voice_mcp.core.failover import Roster
from voice_mcp.core.floor import Floor
from voice_mcp.core.listening import UNDERSTANDS
from voice_mcp.core.signals import Signals
from voice_mcp.events import EventType
from voice_mcp.openai_client import Endpoint
from voice_mcp.protocols import Playback, PlaybackListener
from voice_mcp.server import create_server
from voice_mcp.stt.openai import OpenAIRecognizer
from voice_mcp.types import PcmFormat, RecognitionHints, Transcript

pytestmark = [pytest.mark.anyio, pytest.mark.pulse]


async def test_what_the_user_says_comes_back_as_words(room: Room) -> None:
    speech = said()
    async with Client(create_server(room.house())) as client:
        result = await converse(client, Prompted(saying(room, speech)), message="Which port?")

    assert (result["status"], result["response"]) == ("answered", "Change the port to eight thousand")
    assert result["spoken"]["status"] == "completed"
    assert result["stt_engine"] == room.endpoint.host
    assert 0 < result["end_of_turn_ms"] < 5_000
    assert heard_share(speech, room.heard[-1]) > 0.9
    (spoken, heard) = exchanges(room.folder)
    assert (spoken["type"], heard["type"], heard["text"]) == ("tts", "stt", "Change the port to eight thousand")


async def test_the_microphone_is_closed_when_the_answer_is_there(room: Room) -> None:
    async with Client(create_server(room.house())) as client:
        await converse(client, Prompted(saying(room, said())), message="Which port?")
        assert room.card.recorders() == set()
    assert room.seen(EventType.RECORDING_START) == room.seen(EventType.RECORDING_END) == 1


async def test_nobody_who_says_nothing_is_waited_for_until_the_longest_turn(room: Room) -> None:
    async with Client(create_server(room.house())) as client:
        result = await converse(client, message="Which port?")

    assert (result["status"], result["response"]) == ("no_speech", None)
    assert room.heard == []


async def test_what_is_said_is_recorded_while_it_is_said(room: Room) -> None:
    speech = said()
    async with Client(create_server(room.house(save_audio=True))) as client:
        result = await converse(client, Prompted(saying(room, speech)), message="Which port?")

    path = Path(result["audio_path"])
    assert path.name == "0002_stt.wav"
    assert heard_share(speech, recorded(path)) > 0.9
    (_, heard) = exchanges(room.folder)
    assert heard["audio_file"].endswith("0002_stt.wav")


async def test_a_turn_that_is_longer_than_the_call_goes_on_in_the_next_and_nothing_is_lost(room: Room) -> None:
    speech = said(number=1, pause_s=0.5) + silence(0.4) + said(number=0, pause_s=0.5) + silence(0.4) + said(number=6)
    house = room.house(call_limit_s=3)
    async with Client(create_server(house)) as client:
        speaking = asyncio.ensure_future(said_when(room, speech, EventType.TTS_PLAYBACK_END))
        results = [await converse(client, message="Well?")]
        await speaking
        while results[-1]["status"] == "listening":
            results.append(await converse(client))

    assert len(results) >= 3, "over three calls"
    assert results[-1]["response"] == "Change the port to eight thousand"
    assert heard_share(speech, room.heard[-1]) > 0.9
    assert room.card.recorders() == set()


async def test_a_message_that_comes_while_the_user_speaks_is_not_said(room: Room) -> None:
    house = room.house(call_limit_s=3)
    async with Client(create_server(house)) as client:
        speech = said(number=1) + silence(0.3) + said(number=0)
        speaking = asyncio.ensure_future(said_when(room, speech, EventType.TTS_PLAYBACK_END))
        first = await converse(client, message="Well?")
        await speaking
        results = [first, await converse(client, message="Something else.")]
        while results[-1]["status"] == "listening":
            results.append(await converse(client))

    assert first["status"] == "listening"
    assert "not said" in results[1]["note"]
    assert (results[-1]["status"], results[-1]["spoken"]["status"]) == ("answered", "completed")
    assert "Something else." not in [line["text"] for line in exchanges(room.folder)]


async def test_a_cancelled_call_closes_the_microphone(room: Room) -> None:
    async with Client(create_server(room.house())) as client:
        call = asyncio.ensure_future(converse(client, message="Well?"))
        await until(room, EventType.RECORDING_START)
        call.cancel()
        await until(room, EventType.RECORDING_END)
        assert room.card.recorders() == set()
        assert (await converse(client, Prompted(saying(room, said())), message="Again?"))["status"] == "answered"


async def test_an_answer_that_begins_before_the_chime_loses_nothing(room: Room) -> None:
    speech = phrases(number=0)[0]
    async with Client(create_server(room.house())) as client:
        speaking = asyncio.ensure_future(said_when(room, speech, EventType.TTS_PLAYBACK_END))
        assert (await converse(client, message="Well?"))["status"] == "answered"
        await speaking

    assert heard_share(speech, room.heard[-1]) > 0.9


async def test_who_asks_for_it_hears_the_message_again(room: Room) -> None:
    room.endpoint.hear_next("Sorry, what did you say?")
    again = saying(room, said(number=3))
    async with Client(create_server(room.house())) as client:
        result = await converse(client, Prompted(again, again), message="Which port?")

    assert result["response"] == "Change the port to eight thousand"
    spoken = [line["text"] for line in exchanges(room.folder) if line["type"] == "tts"]
    assert spoken == ["Which port?", "Which port?"]


async def test_who_asks_for_time_gets_it(room: Room) -> None:
    room.endpoint.hear_next("Wait a minute.")
    speech = said(number=3) + silence(4.5) + said(number=0)
    async with Client(create_server(room.house())) as client:
        result = await converse(client, Prompted(saying(room, speech)), message="Which port?")

    assert "Change the port to eight thousand" in result["response"]


async def test_the_end_word_ends_the_turn_at_once(room: Room) -> None:
    room.endpoint.always_hear("Change the port to eight thousand. Over.")
    house = room.house(end_word="over", silence_threshold_ms=10_000)
    async with Client(create_server(house)) as client:
        result = await converse(client, Prompted(saying(room, said())), message="Which port?")

    assert result["response"] == "Change the port to eight thousand."
    assert result["end_of_turn_ms"] < 2_000


async def test_a_transcription_that_fails_is_an_error_and_the_recording_is_kept(room: Room) -> None:
    room.endpoint.always_hear(Behaviour.refusing(500, "out of memory"))
    async with Client(create_server(room.house())) as client:
        with anyio.fail_after(WAIT_S):
            result = await client.call_tool(
                "converse", {"message": "Which port?"}, progress_callback=Prompted(saying(room, said()))
            )

    assert result.is_error
    assert "voice-mcp conversations retry" in str(result.content)
    (heard,) = [line for line in exchanges(room.folder) if line["type"] == "stt"]
    assert heard["metadata"]["status"] == "failed"
    assert heard_share(said(), recorded(room.folder / heard["audio_file"])) > 0.9


async def test_where_nobody_turns_speech_into_words_the_answer_is_typed_and_says_why(room: Room) -> None:
    async def type_it(context: Any, params: ElicitRequestParams) -> ElicitResult:
        return ElicitResult(action="accept", content={"answer": "Typed."})

    with refusing_port() as port:
        house = room.house(stt_base_urls=(f"http://127.0.0.1:{port}/v1",))
        async with Client(create_server(house), elicitation_callback=type_it) as client:
            result = await converse(client, message="Which port?")

    assert (result["status"], result["response"]) == ("answered", "Typed.")
    assert "typed" in result["note"]
    assert "connection refused" in result["note"]


async def test_a_voice_without_words_is_listened_to_again_and_then_the_place_is_noisy(room: Room) -> None:
    room.endpoint.always_hear("")
    again = saying(room, said(number=3))
    async with Client(create_server(room.house())) as client:
        result = await converse(client, Prompted(again, again, again), message="Which port?")

    assert (result["status"], result["response"]) == ("no_speech", None)
    assert "no words" in result["note"]


async def test_a_muted_microphone_is_told(tmp_path: Path, room: Room) -> None:
    room.card.remove_microphone(room.microphone)
    room.card.microphone(16_000, name="muted", noise=0)
    async with Client(create_server(room.house())) as client:
        result = await converse(client, message="Which port?")

    assert result["status"] == "no_speech"
    assert "muted" in result["note"]


class Recognizer:
    """Somebody who understands whatever is said, and is seen to be there when they are let."""

    name, model, is_remote, leaves_machine = "somebody", "", False, False

    def __init__(self) -> None:
        self.is_there = asyncio.Event()
        self.heard: list[bytes] = []

    async def transcribe(self, frames: bytes, hints: RecognitionHints) -> Transcript:
        self.heard.append(frames)
        return Transcript("Change the port to eight thousand", self.name, self.model, "en")

    async def check(self) -> None:
        await self.is_there.wait()

    async def aclose(self) -> None:
        pass


class MistakenSpeakers:
    """``Speakers`` that fail as nobody expects."""

    async def begin(self, fmt: PcmFormat, listener: PlaybackListener, **how: Any) -> Playback:
        raise RuntimeError("A library failed.")


async def test_a_mistake_costs_one_call_and_not_the_conversation(room: Room) -> None:
    house = room.house()
    signals, house.dialogue.signals = house.dialogue.signals, Signals(MistakenSpeakers(), enabled=True)
    async with Client(create_server(house)) as client:
        with anyio.fail_after(WAIT_S):
            failed = await client.call_tool("converse", {"message": "Which port?"})
        house.dialogue.signals = signals
        result = await converse(client, Prompted(saying(room, said())), message="And now?")

    assert failed.is_error
    assert result["status"] == "answered"


async def test_of_two_questions_at_once_in_one_conversation_one_is_said_and_the_other_is_told_so(room: Room) -> None:
    async with Client(create_server(room.house())) as client:
        prompted = Prompted(saying(room, said()))
        first, second = await asyncio.gather(
            converse(client, prompted, message="Which port?"), converse(client, prompted, message="Which host?")
        )

    assert [each["status"] for each in (first, second)] == ["answered"] * 2
    assert "note" not in first
    assert "not said" in second["note"]
    assert [line["text"] for line in exchanges(room.folder) if line["type"] == "tts"] == ["Which port?"]


async def test_an_answer_is_whole_that_is_given_before_it_is_known_whether_anybody_listens(room: Room) -> None:
    speech, house, slow = said(), room.house(), Recognizer()
    house.transcriber.roster = Roster([slow], house.clock)
    conversing = await house.session.ask(
        "Which port?",
        house.session.manner(None, None, None),
        house.session.wishes(None, None),
        house.session.conversation_id,
        house.clock.now(),
    )
    await until(room, EventType.TTS_PLAYBACK_END)
    await until(room, EventType.RECORDING_START)
    saying = room.microphone.say(speech + silence(2.5))
    await asyncio.to_thread(saying.over_s, WAIT_S)
    slow.is_there.set()
    async with asyncio.timeout(WAIT_S):
        outcome = await conversing.result()
    await house.aclose()

    assert outcome.response == "Change the port to eight thousand"
    assert heard_share(speech, slow.heard[-1]) > 0.9


async def test_what_others_say_who_have_the_floor_before_the_answer_is_no_answer(room: Room) -> None:
    speech, house = said(number=3), room.house(audio_feedback=False)
    house.speaker.floor = Floor(clock=house.clock, longest_hold_s=0.3)
    async with Client(create_server(house)) as client:
        call = asyncio.ensure_future(
            converse(client, Prompted(saying(room, speech)), message="This takes longer than the floor is kept.")
        )
        await until(room, EventType.TTS_FIRST_AUDIO)
        other = {"message": "And this is another agent who speaks.", "conversation_id": "other", "urgency": "now"}
        await client.call_tool("speak", other | {"wait": False})
        await eventually_async(lambda: room.seen(EventType.FLOOR_ACQUIRED) == 2, WAIT_S, "the other's turn")
        room.microphone.say(phrases(number=1)[0])  # as a loudspeaker does
        result = await call

    assert result["status"] == "answered"
    assert heard_share(speech, room.heard[0]) > 0.9


@pytest.mark.parametrize("key", ["skip", "stop", "hush"])
async def test_a_key_that_ends_the_repeated_message_ends_the_listening_too(room: Room, key: str) -> None:
    room.endpoint.always_hear("Repeat that.")
    house = room.house()
    async with Client(create_server(house)) as client:
        question = "Which of the many ports that there are should it be?"
        call = asyncio.ensure_future(converse(client, Prompted(saying(room, said(number=3))), message=question))
        await eventually_async(lambda: room.seen(EventType.TTS_FIRST_AUDIO) == 2, WAIT_S, "the message again")
        await getattr(house.controls, key)()
        result = await call

    assert (result["status"], result["spoken"]["status"]) == ("interrupted", "interrupted")
    assert room.seen(EventType.RECORDING_START) == room.seen(EventType.RECORDING_END) == 1


async def test_a_wish_to_hear_it_again_is_an_answer_where_nothing_was_said(room: Room) -> None:
    room.endpoint.always_hear("Sorry, what did you say?")
    async with Client(create_server(room.house())) as client:
        result = await converse(client, Prompted(saying(room, said())))

    assert (result["status"], result["response"]) == ("answered", "Sorry, what did you say?")


async def test_an_end_word_that_stands_alone_is_an_answer(room: Room) -> None:
    room.endpoint.always_hear("Over.")
    async with Client(create_server(room.house(end_word="over"))) as client:
        result = await converse(client, Prompted(saying(room, said())), message="Is it over?")

    assert (result["status"], result["response"]) == ("answered", "Over.")


@pytest.mark.parametrize("key", ["stop", "hush"])
async def test_a_key_ends_the_listening_that_is_only_about_to_begin(room: Room, key: str) -> None:
    house = room.house()
    async with Client(create_server(house)) as client, house.speaker.floor.hold("another", lambda in_front: None):
        waiting = asyncio.Event()

        async def told(progress: float, total: float | None, message: str | None) -> None:
            waiting.set()

        call = asyncio.ensure_future(client.call_tool("converse", {}, progress_callback=told))
        async with asyncio.timeout(WAIT_S):
            await waiting.wait()
            obeyed = await getattr(house.controls, key)()
            result = (await call).structured_content

    assert (obeyed.obeyed, obeyed.sentence) == (True, "Stopped listening.")
    assert result is not None
    assert result["status"] == "interrupted"
    assert "with a key" in result["note"]
    assert room.seen(EventType.RECORDING_START) == 0


async def test_words_before_a_turn_that_nobody_understands_reach_the_agent(room: Room) -> None:
    def more() -> None:
        room.endpoint.always_hear(Behaviour.refusing(500, "out of memory"))
        room.microphone.say(said(number=3))

    room.endpoint.always_hear("Use the second one. No, hold on.")
    async with Client(create_server(room.house(wait_s=4.0, default_listen_duration=30))) as client:
        with anyio.fail_after(WAIT_S):
            prompted = Prompted(saying(room, said(number=3)), more)
            result = await client.call_tool("converse", {"message": "Which one?"}, progress_callback=prompted)

    assert result.is_error
    assert result.structured_content is not None
    assert result.structured_content["error"] == "transcription_failed"
    assert result.structured_content["response"] == "Use the second one. No, hold on."
    assert "“Use the second one. No, hold on.”" in str(result.content)


async def test_the_longest_wait_is_that_for_the_answer_however_many_turns_it_has(room: Room) -> None:
    room.endpoint.always_hear("")
    again = saying(room, said(number=3))
    async with Client(create_server(room.house())) as client:
        result = await converse(client, Prompted(again, again, again), message="Well?", listen_duration_max=4.0)

    assert result["status"] == "no_speech"
    assert result["listen_s"] == pytest.approx(4.0, abs=0.2)


async def test_the_shortest_wait_holds_where_nobody_speaks(room: Room) -> None:
    async with Client(create_server(room.house(no_speech_timeout_s=1))) as client:
        result = await converse(client, listen_duration_min=2.5, listen_duration_max=20.0)

    assert result["status"] == "no_speech"
    assert result["listen_s"] >= 2.5


async def test_what_is_said_while_a_turn_is_being_understood_belongs_to_the_next(room: Room) -> None:
    speech = phrases(number=0)[1]

    def go_on() -> None:
        room.endpoint.always_hear("Change the port to eight thousand")
        room.microphone.say(speech)

    room.endpoint.always_hear(Behaviour.hearing("Wait a minute.", after_s=4.0))
    told = Prompted(saying(room, said(number=3)), on_understanding=go_on)
    async with Client(create_server(room.house(wait_s=4, stream_stall_timeout=10.0))) as client:
        result = await converse(client, told, message="Which port?")

    assert "Change the port to eight thousand" in result["response"]
    assert heard_share(speech, room.heard[-1]) > 0.9


async def test_an_answer_is_kept_however_long_it_takes_until_somebody_listens(room: Room) -> None:
    class Slow(OpenAIRecognizer):
        async def check(self) -> None:
            await somebody_listens.wait()

    async def type_it(context: Any, params: ElicitRequestParams) -> ElicitResult:
        return ElicitResult(action="decline")  # where there are forms, a message is said before that is known

    somebody_listens, speech = asyncio.Event(), phrases()[0]
    house = room.house()
    recognizer = Slow(Endpoint(room.endpoint.base_url, part="STT"), stall_s=WAIT_S, pack=as_wav)
    house.transcriber.roster = Roster([recognizer], house.clock)
    async with Client(create_server(house), elicitation_callback=type_it) as client:
        answering = asyncio.ensure_future(converse(client, message="Which port?"))
        await until(room, EventType.TTS_PLAYBACK_END)
        room.microphone.say(silence(0.2) + speech + silence(4.0))
        await asyncio.to_thread(room.microphone.wait_until_said, WAIT_S)
        somebody_listens.set()
        result = await answering

    assert result["response"] == "Change the port to eight thousand"
    assert heard_share(speech, room.heard[-1]) > 0.9


async def test_a_call_that_is_cancelled_while_its_words_are_looked_for_hands_the_floor_on(room: Room) -> None:
    room.endpoint.always_hear(Behaviour(never_answer=True))
    told = Prompted(saying(room, said(number=3)))
    async with Client(create_server(room.house(save_audio=True, stream_stall_timeout=60.0))) as client:
        call = asyncio.ensure_future(converse(client, told, message="Well?"))
        await eventually_async(lambda: UNDERSTANDS in told.told, WAIT_S, "a turn that is over")
        call.cancel()
        with anyio.fail_after(10):
            spoken = await client.call_tool("speak", {"message": "Next."})

    assert not spoken.is_error
    (heard,) = [line for line in exchanges(room.folder) if line["type"] == "stt"]
    assert heard["metadata"]["status"] == "interrupted"


async def test_a_recording_that_could_not_be_kept_is_not_promised(room: Room) -> None:
    room.endpoint.always_hear(Behaviour.refusing(500, "out of memory"))
    (room.folder / "audio").write_text("where the recordings should be")
    async with Client(create_server(room.house())) as client:
        with anyio.fail_after(WAIT_S):
            result = await client.call_tool(
                "converse", {"message": "Which port?"}, progress_callback=Prompted(saying(room, said()))
            )

    assert result.is_error
    assert "could not be kept" in str(result.content)
    assert "retry" not in str(result.content)
