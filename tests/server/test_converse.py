from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.types import ElicitRequestParams, ElicitResult, ErrorData

from tests.support.house import exchanges, make_house
from voice_mcp.clock import SystemClock
from voice_mcp.events import Event, EventRecorder, EventType
from voice_mcp.server import create_server

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["legacy", "2026-07-28"])
def era(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class User:
    """Somebody who answers forms in a fixed way, and remembers what was asked."""

    def __init__(self, answer: ElicitResult) -> None:
        self.answer = answer
        self.asked: list[str] = []

    async def __call__(self, context: Any, params: ElicitRequestParams) -> ElicitResult:
        self.asked.append(params.message)
        return self.answer


def typing(text: str) -> User:
    return User(ElicitResult(action="accept", content={"answer": text}))


async def converse(client: Client, **arguments: Any) -> Any:
    with anyio.fail_after(20):
        return await client.call_tool("converse", arguments)


async def test_the_message_is_spoken_once_and_the_typed_answer_comes_back(tmp_path: Path, era: str) -> None:
    user = typing("  Blue.  ")
    server = create_server(make_house(tmp_path))
    async with Client(server, mode=era, elicitation_callback=user) as client:
        result = await converse(client, message="Which colour?")
    said = result.structured_content
    assert (said["status"], said["response"]) == ("answered", "Blue.")
    assert said["spoken"]["status"] == "saved"
    assert "typed" in said["note"]
    assert user.asked == ["Which colour?"]
    assert [line["text"] for line in exchanges(tmp_path)] == ["Which colour?"]


async def test_without_a_message_it_only_asks(tmp_path: Path, era: str) -> None:
    user = typing("Go on.")
    async with Client(create_server(make_house(tmp_path)), mode=era, elicitation_callback=user) as client:
        result = await converse(client)
    assert result.structured_content["response"] == "Go on."
    assert result.structured_content["spoken"] is None
    assert exchanges(tmp_path) == []


@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_a_user_who_will_not_answer_is_not_an_error(tmp_path: Path, era: str, action: Any) -> None:
    user = User(ElicitResult(action=action))
    async with Client(create_server(make_house(tmp_path)), mode=era, elicitation_callback=user) as client:
        result = await converse(client, message="Well?")
    assert not result.is_error
    assert (result.structured_content["status"], result.structured_content["response"]) == ("no_speech", None)


async def test_an_empty_answer_is_no_answer(tmp_path: Path, era: str) -> None:
    async with Client(create_server(make_house(tmp_path)), mode=era, elicitation_callback=typing(" ")) as client:
        result = await converse(client, message="Well?")
    assert result.structured_content["status"] == "no_speech"


async def test_a_host_that_cannot_ask_gets_a_clear_error_before_anything_is_said(tmp_path: Path, era: str) -> None:
    async with Client(create_server(make_house(tmp_path)), mode=era) as client:
        result = await converse(client, message="Anybody there?")
    assert result.is_error
    assert result.structured_content["error"] == "listening_unavailable"
    assert "nothing was said" in result.content[0].text
    assert exchanges(tmp_path) == []


async def test_it_can_speak_without_waiting_for_an_answer_on_any_host(tmp_path: Path, era: str) -> None:
    async with Client(create_server(make_house(tmp_path)), mode=era) as client:
        result = await converse(client, message="Just so you know.", wait_for_response=False)
    assert result.structured_content["status"] == "spoken"
    assert result.structured_content["spoken"]["duration_s"] > 0


async def test_a_message_longer_than_the_call_goes_on_being_spoken(tmp_path: Path) -> None:
    house = make_house(tmp_path, audio_output="null", call_limit_s=0.3)
    async with Client(create_server(house), mode="legacy", elicitation_callback=typing("Yes.")) as client:
        first = await converse(client, message="This message takes a good while longer than the call may.")
    assert first.structured_content["status"] == "listening"
    assert first.structured_content["spoken"]["status"] == "queued"
    assert "without a message" in first.content[0].text


async def test_what_is_only_spoken_is_spoken_on_when_it_takes_longer_than_the_call(tmp_path: Path, era: str) -> None:
    house = make_house(tmp_path, audio_output="null", call_limit_s=0.3)
    async with Client(create_server(house), mode=era) as client:
        result = await converse(
            client, message="This message takes a good while longer than the call may.", wait_for_response=False
        )
    said = result.structured_content
    assert (said["status"], said["spoken"]["status"]) == ("spoken", "queued")
    assert said["spoken"]["utterance_id"]
    assert "still being spoken" in said["note"]
    assert "call converse again" not in result.content[0].text


async def test_after_listening_the_question_that_was_spoken_is_asked(tmp_path: Path, era: str) -> None:
    user = typing("Blue.")
    question = "Which of the many colours there are, do you think, should this button have?"
    house = make_house(tmp_path, audio_output="null", call_limit_s=0.2)
    async with Client(create_server(house), mode=era, elicitation_callback=user) as client:
        first = await converse(client, message=question, conversation_id="colours")
        assert first.structured_content["status"] == "listening"
        assert user.asked == []
        result = first
        with anyio.fail_after(20):
            while result.structured_content["status"] == "listening":
                result = await converse(client, conversation_id="colours")
        assert (result.structured_content["response"], user.asked) == ("Blue.", [question])
        await converse(client, conversation_id="colours")
        with anyio.fail_after(20):  # the floor is kept for the first dialogue for a while
            while (await converse(client, conversation_id="another")).structured_content["status"] == "listening":
                pass
    assert user.asked == [question, *["What would you like to say?"] * 2]


async def test_a_question_nobody_answered_in_time_stays_the_question(tmp_path: Path) -> None:
    class Slow(User):
        async def __call__(self, context: Any, params: ElicitRequestParams) -> ElicitResult:
            answer = await super().__call__(context, params)
            if len(self.asked) == 1:
                await anyio.sleep_forever()
            return answer

    slow = Slow(ElicitResult(action="decline"))
    async with Client(create_server(make_house(tmp_path)), mode="legacy", elicitation_callback=slow) as client:
        await converse(client, message="Hello?", listen_duration_max=0.2)
        declined = await converse(client)
        await converse(client)
    assert declined.structured_content["status"] == "no_speech"
    assert slow.asked == ["Hello?", "Hello?", "What would you like to say?"]


async def test_a_user_who_never_answers_does_not_hold_the_call_for_ever(tmp_path: Path) -> None:
    class Absent(User):
        async def __call__(self, context: Any, params: ElicitRequestParams) -> ElicitResult:
            await anyio.sleep_forever()
            raise AssertionError

    absent = Absent(ElicitResult(action="cancel"))
    async with Client(create_server(make_house(tmp_path)), mode="legacy", elicitation_callback=absent) as client:
        result = await converse(client, message="Hello?", listen_duration_max=0.2)
    assert result.structured_content["status"] == "no_speech"
    assert "in time" in result.structured_content["note"]


@pytest.mark.parametrize(
    "arguments",
    [
        {"message": None, "wait_for_response": False},
        {"message": "Hi.", "listen_duration_max": -1},
        {"message": "Hi.", "listen_duration_min": 1e9},
    ],
)
async def test_arguments_that_make_no_sense_are_refused_before_anything_is_said(
    tmp_path: Path, arguments: dict[str, Any]
) -> None:
    async with Client(create_server(make_house(tmp_path)), elicitation_callback=typing("Hm.")) as client:
        result = await converse(client, **arguments)
    assert result.is_error
    assert exchanges(tmp_path) == []


@pytest.mark.parametrize("arguments", [{"message": "Well?"}, {}])
async def test_a_host_that_answers_a_form_with_an_error_cannot_ask_and_what_was_spoken_is_told(
    tmp_path: Path, arguments: dict[str, Any]
) -> None:
    async def refuse(context: Any, params: ElicitRequestParams) -> ErrorData:
        return ErrorData(code=-32600, message="There are no forms here.")

    async with Client(create_server(make_house(tmp_path)), mode="legacy", elicitation_callback=refuse) as client:
        result = await converse(client, **arguments)
    said = result.structured_content
    if arguments:
        assert (said["status"], said["spoken"]["status"]) == ("spoken", "saved")
        assert "did not show the question" in said["note"]
    else:
        assert (result.is_error, said["error"]) == (True, "listening_unavailable")


async def test_a_form_that_would_vanish_at_once_is_left_to_the_next_call(tmp_path: Path) -> None:
    class Later(SystemClock):
        ahead_s = 0.0

        def now(self) -> float:
            return super().now() + self.ahead_s

    class LongMessage(EventRecorder):
        def __call__(self, event: Event) -> None:
            super().__call__(event)
            if event.event_type is EventType.TTS_PLAYBACK_END:
                clock.ahead_s = 48.0

    clock, user = Later(), typing("Blue.")
    house = make_house(tmp_path, clock=clock, events=LongMessage())
    async with Client(create_server(house), mode="legacy", elicitation_callback=user) as client:
        first = await converse(client, message="Which colour?")
        assert first.structured_content["status"] == "listening"
        assert first.structured_content["spoken"]["status"] == "saved"
        assert user.asked == []
        again = await converse(client)
    assert (again.structured_content["status"], user.asked) == ("answered", ["Which colour?"])


async def test_what_nobody_heard_is_not_told_as_spoken(tmp_path: Path, era: str) -> None:
    async with Client(create_server(make_house(tmp_path)), mode=era) as client:
        result = await converse(client, message="Just so you know.", wait_for_response=False)
    said = result.structured_content
    assert result.content[0].text.startswith(f"Saved in {said['spoken']['audio_path']}.")
    assert "nobody heard" in result.content[0].text
    assert "nobody heard" in said["note"]


async def test_the_users_words_stand_in_quotes(tmp_path: Path, era: str) -> None:
    async with Client(create_server(make_house(tmp_path)), mode=era, elicitation_callback=typing("Blue.")) as client:
        result = await converse(client, message="Which colour?")
    assert result.content[0].text.startswith("The user answered: “Blue.” The answer was typed.")
