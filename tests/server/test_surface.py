"""What a host sees of the server before it calls anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError
from mcp.types import INVALID_PARAMS

from tests.support.house import make_house
from tests.support.ports import refusing_port
from voice_mcp import __version__
from voice_mcp.errors import EngineUnreachable
from voice_mcp.events import EventRecorder, EventType
from voice_mcp.server import create_server

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["legacy", "auto"])
def era(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_instructions_and_descriptions_fit_what_hosts_read(tmp_path: Path, era: str) -> None:
    async with Client(create_server(make_house(tmp_path)), mode=era) as client:
        tools = (await client.list_tools()).tools
        texts = [client.instructions or "", *(tool.description or "" for tool in tools)]
    assert all(0 < len(text) < 2000 for text in texts)
    assert sum(map(len, texts)) < 3000


async def test_the_tools_take_what_the_contract_says(tmp_path: Path) -> None:
    async with Client(create_server(make_house(tmp_path))) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert list(tools) == ["speak", "converse"]
    speak, converse = tools["speak"].input_schema, tools["converse"].input_schema
    assert list(speak["properties"]) == [
        *("message", "voice", "speed", "instructions", "conversation_id", "wait", "urgency"),
    ]
    assert speak["required"] == ["message"]
    assert list(converse["properties"]) == [
        *("message", "wait_for_response", "voice", "speed", "instructions", "conversation_id"),
        *("listen_duration_max", "listen_duration_min"),
    ]
    assert all("description" in field for tool in (speak, converse) for field in tool["properties"].values())


async def test_the_results_have_schemas_with_optional_facts_left_out(tmp_path: Path) -> None:
    async with Client(create_server(make_house(tmp_path))) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    speak = tools["speak"].output_schema
    assert speak is not None
    assert set(speak["properties"]) - set(speak["required"]) == {"heard", "unheard", "audio_path", "note", "metrics"}
    assert tools["converse"].output_schema is not None


async def test_the_server_says_its_own_name_and_version(tmp_path: Path, era: str) -> None:
    async with Client(create_server(make_house(tmp_path)), mode=era) as client:
        assert client.server_info is not None
        assert (client.server_info.name, client.server_info.version) == ("voice-mcp", __version__)


async def test_voices_are_listed_by_engine_and_silence_is_explained(tmp_path: Path) -> None:
    with refusing_port() as port:
        house = make_house(tmp_path, tts_engine="auto", tts_base_urls=(f"http://127.0.0.1:{port}/v1",))
        async with Client(create_server(house)) as client:
            record = json.loads((await client.read_resource("voice://voices")).contents[0].text)  # type: ignore[union-attr]
    endpoint, espeak = record["engines"]
    assert "cannot be reached" in endpoint["problem"]
    assert len(espeak["voices"]) > 100


async def test_status_says_who_rests_and_why(tmp_path: Path) -> None:
    with refusing_port() as port:
        urls = (f"http://127.0.0.1:{port}/v1",)
        house = make_house(tmp_path, tts_engine="auto", tts_base_urls=urls, stt_base_urls=urls)
        async with Client(create_server(house)) as client:
            await client.call_tool("speak", {"message": "Hi."})
            (deaf,) = house.transcriber.roster.engines
            house.transcriber.roster.failed(deaf, EngineUnreachable("It cannot be reached: no route."))
            record = json.loads((await client.read_resource("voice://status")).contents[0].text)  # type: ignore[union-attr]
    (recognizer,) = record["recognizers"]
    assert (recognizer["engine"], recognizer["state"]) == (f"127.0.0.1:{port}", "resting")
    assert 0 < recognizer["asked_again_in_s"] <= 30
    endpoint, espeak = record["engines"]
    assert (endpoint["state"], espeak["state"]) == ("resting", "ready")
    assert "cannot be reached" in endpoint["problem"]
    assert (record["speaking"], record["waiting"]) == (None, [])


@pytest.mark.parametrize("name", ["never-was", "..%2F..%2Fetc", "x" * 70])
async def test_a_conversation_that_is_not_there_is_an_error(tmp_path: Path, name: str) -> None:
    async with Client(create_server(make_house(tmp_path))) as client:
        with pytest.raises(Exception, match=r"conversation|Unknown resource"):
            await client.read_resource(f"voice://conversations/{name}")


async def test_a_prompt_that_is_not_there_is_the_clients_mistake_and_no_traceback(
    tmp_path: Path, era: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Client(create_server(make_house(tmp_path)), mode=era) as client:
        with pytest.raises(MCPError, match="There is no prompt 'nothing'") as refused:
            await client.get_prompt("nothing")
    assert refused.value.code == INVALID_PARAMS
    assert caplog.records == []


async def test_the_prompt_starts_a_conversation(tmp_path: Path, era: str) -> None:
    async with Client(create_server(make_house(tmp_path)), mode=era) as client:
        prompt = await client.get_prompt("converse", {"topic": "the release"})
    text = prompt.messages[0].content.text  # type: ignore[union-attr]
    assert "the release" in text
    assert "converse" in text


@pytest.mark.parametrize(
    ("tool", "arguments", "what"),
    [
        ("speak", {"message": "Hi.", "speed": "planted"}, "speak cannot be called like this: speed must be a number."),
        ("speak", {}, "speak cannot be called like this: message is missing."),
        ("speak", {"message": None}, "speak cannot be called like this: message must be text."),
        (
            "converse",
            {"message": 7, "wait_for_response": "planted", "planted": 1},
            "converse cannot be called like this: message must be text; wait_for_response must be true or false.",
        ),
        ("speak", {"conversation_id": ["planted"]}, "message is missing; conversation_id must be text."),
        (
            "speak",
            {"message": "Hi.", "urgency": "planted"},
            "speak cannot be called like this: urgency must be 'now', 'normal' or 'whenever'.",
        ),
        (
            "speak",
            {"message": "Hi.", "planted": "planted"},
            "speak cannot be called like this: it takes message, voice, speed, instructions, conversation_id, wait, "
            "urgency, and nothing else.",
        ),
    ],
)
async def test_wrong_arguments_get_two_sentences_without_the_value_and_are_on_record(
    tmp_path: Path, era: str, tool: str, arguments: dict[str, Any], what: str
) -> None:
    events = EventRecorder()
    async with Client(create_server(make_house(tmp_path, events=events)), mode=era) as client:
        result = await client.call_tool(tool, arguments)
    assert result.is_error
    assert result.structured_content is not None
    assert result.structured_content["error"] == "invalid_input"
    assert result.structured_content["message"].endswith(what)
    text = result.content[0].text  # type: ignore[union-attr]
    assert text == f"{result.structured_content['message']} Correct the argument and call again."
    assert "planted" not in text
    (start,) = events.of(EventType.TOOL_REQUEST_START)
    (end,) = events.of(EventType.TOOL_REQUEST_END)
    assert start.data["tool"] == end.data["tool"] == tool
    assert (end.data["success"], end.data["status"]) == (False, "invalid_input")


async def test_wrong_arguments_are_on_record_in_the_conversation_they_name(tmp_path: Path) -> None:
    events = EventRecorder()
    async with Client(create_server(make_house(tmp_path, events=events))) as client:
        await client.call_tool("speak", {"conversation_id": "of-mine"})
    assert {event.conversation_id for event in events.events} == {"of-mine"}


async def status_of(client: Client) -> dict[str, Any]:
    (content,) = (await client.read_resource("voice://status")).contents
    record: dict[str, Any] = json.loads(content.text)  # type: ignore[union-attr]
    return record


async def test_status_says_who_speaks_and_who_waits(tmp_path: Path) -> None:
    house = make_house(tmp_path, audio_output="null")
    async with Client(create_server(house)) as client:
        queued = [
            (await client.call_tool("speak", {"message": text, "wait": False})).structured_content
            for text in ("The first one takes a moment to say.", "The second.", "The third.")
        ]
        with anyio.fail_after(20):
            # It takes its turn among all processes first.
            while (record := await status_of(client))["speaking"] is None:
                pass
    names = [{"utterance_id": one["utterance_id"], "conversation_id": one["conversation_id"]} for one in queued if one]
    assert record["speaking"] == names[0]
    assert record["waiting"] == names[1:]
