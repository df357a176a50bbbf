"""A server that is back is noticed, and by nobody's waiting for it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest

from tests.support.behaviour import Behaviour
from tests.support.endpoint import SpeechEndpoint
from tests.support.ports import refusing_port
from tests.support.waiting import eventually_async
from voice_mcp.clock import SystemClock
from voice_mcp.core.failover import Roster
from voice_mcp.core.recovery import Recovery
from voice_mcp.errors import EngineBusy, EngineUnreachable
from voice_mcp.openai_client import Endpoint
from voice_mcp.protocols import SpeechEngine
from voice_mcp.tts.openai import OpenAIEngine
from voice_mcp.tts.tone import ToneEngine

pytestmark = pytest.mark.anyio

GONE = EngineUnreachable("It is gone.")
REST_S = 0.3
"""Short, so that a test need not wait for long."""


class Ward:
    """An engine that has failed, and whoever looks after it."""

    def __init__(self, base_url: str) -> None:
        self.engine = OpenAIEngine(Endpoint(base_url), audio_format="pcm", stall_s=1.0)
        engines: list[SpeechEngine] = [self.engine, ToneEngine()]
        self.roster = Roster(engines, SystemClock(), first_rest_s=REST_S)
        self.recovery = Recovery(self.roster)

    async def __aenter__(self) -> Ward:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.recovery.aclose()
        await self.engine.aclose()

    @property
    def rests(self) -> bool:
        return self.roster.rests_for_s(self.engine) > 0


@pytest.fixture
async def ward(speech_endpoint: SpeechEndpoint) -> AsyncIterator[Ward]:
    async with Ward(speech_endpoint.base_url) as made:
        yield made


def looks(endpoint: SpeechEndpoint) -> int:
    return len(endpoint.requests) - len(endpoint.speech)


async def test_a_server_that_answers_is_asked_again_when_its_rest_is_over(
    ward: Ward, speech_endpoint: SpeechEndpoint
) -> None:
    ward.roster.failed(ward.engine, GONE)
    await eventually_async(lambda: looks(speech_endpoint) == 1, 5, "the look")
    await eventually_async(lambda: not ward.rests, 5, "the end of the rest")

    assert ward.roster.candidates()[0] is ward.engine
    assert not speech_endpoint.speech


async def test_a_server_that_is_still_gone_rests_longer_each_time_without_anybodys_waiting_for_it() -> None:
    with refusing_port() as port:
        async with Ward(f"http://127.0.0.1:{port}/v1") as ward:
            ward.roster.failed(ward.engine, GONE)
            await eventually_async(lambda: ward.roster.rests_for_s(ward.engine) > 2 * REST_S, 10, "the third rest")

            assert ward.engine not in ward.roster.candidates()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405])
async def test_a_server_that_refuses_its_list_is_there_all_the_same(status: int) -> None:
    with SpeechEndpoint(listing=Behaviour.refusing(status)) as endpoint:
        async with Ward(endpoint.base_url) as ward:
            ward.roster.failed(ward.engine, GONE)
            await eventually_async(lambda: looks(endpoint) == 1, 5, "the look")
            await eventually_async(lambda: not ward.rests, 5, "the end of the rest")

            assert ward.roster.last_error(ward.engine) is GONE


@pytest.mark.parametrize("status", [500, 503])
async def test_a_server_whose_list_is_broken_rests_as_long_as_it_would_have_and_no_longer(status: int) -> None:
    with SpeechEndpoint(listing=Behaviour.refusing(status)) as endpoint:
        async with Ward(endpoint.base_url) as ward:
            ward.roster.failed(ward.engine, GONE)
            with anyio.fail_after(5):
                await ward.recovery.settled()

            assert looks(endpoint) == 1
            assert not ward.rests
            assert ward.roster.last_error(ward.engine) is GONE


async def test_a_server_that_said_when_to_come_back_is_not_looked_at_before(
    ward: Ward, speech_endpoint: SpeechEndpoint
) -> None:
    ward.roster.failed(ward.engine, EngineBusy("Too much.", retry_after_s=REST_S))
    await eventually_async(lambda: not ward.rests, 5, "the end of the rest")

    assert not speech_endpoint.requests


async def test_an_engine_that_spoke_meanwhile_is_not_looked_at(ward: Ward, speech_endpoint: SpeechEndpoint) -> None:
    ward.roster.failed(ward.engine, GONE)
    ward.roster.worked(ward.engine)
    with anyio.fail_after(5):
        await ward.recovery.settled()

    assert not speech_endpoint.requests


async def test_nobody_is_looked_after_when_the_house_is_closed(ward: Ward, speech_endpoint: SpeechEndpoint) -> None:
    ward.roster.failed(ward.engine, GONE)
    with anyio.fail_after(5):
        await ward.recovery.aclose()

    assert not speech_endpoint.requests
