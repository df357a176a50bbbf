"""What keys do to what is said."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.core.test_holding import WAIT_S, begin, end_of, house
from tests.support.house import exchanges
from tests.support.waiting import eventually_async
from voice_mcp.core.remote_control import HUSHED, SKIPPED, STOPPED, RemoteControl
from voice_mcp.core.speech import Spoken
from voice_mcp.types import ControlAnswer, SpeechStatus

pytestmark = pytest.mark.anyio

LONG = "This sentence is one of many and takes its time. " * 10


class Listener:
    """Somebody who listens, and says what was done to them."""

    def __init__(self) -> None:
        self.listens_since: datetime | None = datetime.now(UTC)
        self.told: list[str] = []

    def end_turn(self) -> None:
        self.told.append("end of turn")

    def stop(self) -> bool:
        self.told.append("stop")
        listened, self.listens_since = self.listens_since is not None, None
        return listened


def interrupted(spoken: Spoken, note: str) -> bool:
    return spoken.status is SpeechStatus.INTERRUPTED and spoken.note == note


async def test_stop_ends_what_speaks_and_the_next_one_speaks(tmp_path: Path) -> None:
    async with house(tmp_path) as (app, _):
        speech, place = begin(app, LONG)
        after, _ = begin(app, "Next.")
        await place.reaches(0.5)
        assert await app.controls.stop() == ControlAnswer(True, "Stopped.")
        assert interrupted(await end_of(speech), STOPPED)
        assert (await end_of(after)).status is SpeechStatus.COMPLETED


async def test_skip_ends_the_message_and_the_next_one_speaks(tmp_path: Path) -> None:
    async with house(tmp_path) as (app, _):
        speech, place = begin(app, LONG)
        after, _ = begin(app, "Next.")
        await place.reaches(0.5)
        assert (await app.controls.skip()).obeyed
        spoken = await end_of(speech)
        assert interrupted(spoken, SKIPPED)
        assert spoken.heard
        assert (await end_of(after)).status is SpeechStatus.COMPLETED


async def test_hush_ends_what_speaks_and_all_that_waits_and_none_of_it_is_heard(tmp_path: Path) -> None:
    async with house(tmp_path) as (app, _):
        speech, place = begin(app, LONG)
        waiting = [begin(app, f"Message {number}.") for number in range(5)]
        await place.reaches(0.5)
        assert await app.controls.hush() == ControlAnswer(True, "Silenced 6 messages.")
        for ended, _ in ((speech, place), *waiting):
            assert interrupted(await end_of(ended), HUSHED)
        assert [other.position_s for _, other in waiting] == [0.0] * 5
        assert (await app.controls.hush()).obeyed
        again, _ = begin(app, "Later.")
        assert (await end_of(again)).status is SpeechStatus.COMPLETED


async def test_pause_and_resume_hold_what_speaks(tmp_path: Path) -> None:
    async with house(tmp_path) as (app, events):
        speech, place = begin(app)
        await place.reaches(0.5)
        assert (await app.controls.pause()).obeyed
        assert not (await app.controls.pause()).obeyed
        await events.silence()
        assert app.controls.status()["speaking"]["paused"] is True
        assert (await app.controls.resume()).obeyed
        assert not (await app.controls.resume()).obeyed
        assert (await end_of(speech)).status is SpeechStatus.COMPLETED


@pytest.mark.parametrize("command", ["stop", "skip", "hush"])
async def test_what_is_paused_can_be_ended(tmp_path: Path, command: str) -> None:
    async with house(tmp_path) as (app, events):
        speech, place = begin(app)
        await place.reaches(0.5)
        await app.controls.pause()
        await events.silence()
        assert (await getattr(app.controls, command)()).obeyed
        assert (await end_of(speech)).status is SpeechStatus.INTERRUPTED


async def test_repeat_says_the_last_message_again_as_an_utterance_of_its_own(tmp_path: Path) -> None:
    async with house(tmp_path) as (app, _):
        first, _ = begin(app, "Say **this**.")
        await end_of(first)
        assert (await app.controls.repeat()).obeyed
        assert (again := (app.speaker.current or app.speaker.queued[0])) is not first
        assert (await end_of(again)).status is SpeechStatus.COMPLETED
        assert app.speaker.unreported() == []
    lines = exchanges(tmp_path)
    assert [line["text"] for line in lines] == ["Say **this**."] * 2
    assert len({line["utterance_id"] for line in lines}) == 2
    assert len({line["conversation_id"] for line in lines}) == 1


async def test_repeat_says_again_what_was_stopped(tmp_path: Path) -> None:
    async with house(tmp_path) as (app, _):
        speech, place = begin(app)
        await place.reaches(0.3)
        await app.controls.stop()
        await end_of(speech)
        await app.controls.repeat()
        async with asyncio.timeout(WAIT_S):
            await (app.speaker.current or app.speaker.queued[0]).ended()
    assert [line["metadata"]["status"] for line in exchanges(tmp_path)] == ["interrupted", "completed"]


@pytest.mark.parametrize("command", ["done", "stop", "pause", "resume", "skip", "repeat"])
async def test_without_anything_to_do_it_to_nothing_is_done_and_said_so(tmp_path: Path, command: str) -> None:
    async with house(tmp_path) as (app, _):
        answer = await getattr(app.controls, command)()
    assert not answer.obeyed
    assert answer.sentence.endswith(".")


async def test_done_ends_the_turn_of_whoever_is_listened_to_and_stop_ends_the_listening(tmp_path: Path) -> None:
    async with house(tmp_path) as (app, _):
        ears = Listener()
        controls = RemoteControl(app.session, ears)
        assert controls.status()["listening"]["since"]
        assert (await controls.done()).obeyed
        assert (await controls.stop()).obeyed
        assert ears.told == ["end of turn", "stop"]
        assert not (await controls.done()).obeyed
        assert controls.status()["listening"] is None


async def test_hush_ends_listening_too(tmp_path: Path) -> None:
    async with house(tmp_path) as (app, _):
        ears = Listener()
        assert (await RemoteControl(app.session, ears).hush()).obeyed
        assert ears.told == ["stop"]


async def test_the_status_says_who_speaks_and_who_waits_and_since_when(tmp_path: Path) -> None:
    async with house(tmp_path) as (app, _):
        assert app.controls.status()["speaking"] is None
        assert app.controls.status()["spoke"] is None
        speech, place = begin(app, LONG)
        waiting, _ = begin(app, "Next.")
        await place.reaches(0.3)
        status = json.loads(json.dumps(app.controls.status()))
        assert status["speaking"]["utterance_id"] == speech.utterance_id
        assert status["speaking"]["conversation_id"] == app.session.conversation_id
        assert status["speaking"]["paused"] is False
        assert [other["utterance_id"] for other in status["waiting"]] == [waiting.utterance_id]
        assert datetime.fromisoformat(status["speaking"]["since"]) <= datetime.now(UTC)
        assert status["speaking"]["since"] == status["spoke"]
        await app.controls.hush()
        await eventually_async(lambda: app.controls.status()["speaking"] is None, WAIT_S)
