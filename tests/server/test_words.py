"""Words in a whole house: what goes where, and in which form."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import pytest

from tests.stt.recognising import sound
from tests.support.behaviour import Behaviour
from tests.support.endpoint import SpeechEndpoint
from tests.support.house import everything_in, make_house
from voice_mcp.app import App
from voice_mcp.core.utterance import Trail
from voice_mcp.errors import EngineError
from voice_mcp.types import Transcript

pytestmark = pytest.mark.anyio

KEY = "sk-planted-key-for-listening"


async def heard(house: App) -> Transcript:
    with anyio.fail_after(20):
        return await house.transcriber.transcribe(sound(2.0), Trail(house.archive, "conv_1", "utt_1"))


async def test_what_stays_on_this_machine_is_wav(tmp_path: Path, speech_endpoint: SpeechEndpoint) -> None:
    house = make_house(tmp_path, stt_base_urls=(speech_endpoint.base_url,))
    await heard(house)
    await house.aclose()
    upload = speech_endpoint.transcriptions[0].upload
    assert (upload.file_name, upload.frames) == ("speech.wav", sound(2.0))


@pytest.mark.skipif(sys.platform == "win32", reason="there 0.0.0.0 is no address to call")
async def test_what_may_leave_this_machine_is_flac_to_the_bit(tmp_path: Path, speech_endpoint: SpeechEndpoint) -> None:
    # Not a loopback address by its looks, so it counts as another machine.
    house = make_house(tmp_path, stt_base_urls=(f"http://0.0.0.0:{speech_endpoint.port}/v1",))
    await heard(house)
    await house.aclose()
    upload = speech_endpoint.transcriptions[0].upload
    assert (upload.file_name, upload.media_type) == ("speech.flac", "audio/flac")
    assert len(upload.data) < len(sound(2.0))
    assert (upload.rate_hz, upload.frames) == (16_000, sound(2.0))


async def test_a_key_for_listening_is_in_no_record_and_in_no_error(tmp_path: Path) -> None:
    with SpeechEndpoint() as endpoint:
        endpoint.always_hear(Behaviour.refusing(401, f"Wrong key {KEY}."))
        house = make_house(tmp_path, stt_base_urls=(endpoint.base_url,), stt_api_keys=(KEY,), debug=True)
        with pytest.raises(EngineError) as failed:
            await heard(house)
        await house.aclose()
    assert KEY not in failed.value.advice
    assert KEY.encode() not in everything_in(tmp_path)


async def test_a_recogniser_that_answers_again_starts_afresh(tmp_path: Path) -> None:
    with SpeechEndpoint(hears="Yes.") as endpoint:
        house = make_house(tmp_path, stt_base_urls=(endpoint.base_url,))
        (recognizer,) = house.transcriber.roster.engines
        endpoint.hear_next(Behaviour.web_page())
        with pytest.raises(EngineError):
            await heard(house)
        assert house.transcriber.roster.rests_for_s(recognizer) > 0
        assert (await heard(house)).text == "Yes."
        assert house.transcriber.roster.rests_for_s(recognizer) == 0
        await house.aclose()
