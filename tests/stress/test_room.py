"""Many agents at one sound card: never two voices at once, nobody forgotten, whoever is killed makes room."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.stress.load import times
from tests.support.crowd import Crowd
from tests.support.crowd_words import LOUDEST, Messages, loudest
from tests.support.pulse import PulseCard

MEMBERS = times(6)
MESSAGES = 4
KILLED = 2
WAIT_S = 60.0 * MEMBERS


@pytest.mark.pulse
def test_many_agents_speak_one_after_the_other_whoever_is_killed(tmp_path: Path, pulse_card: PulseCard) -> None:
    messages = Messages()
    # Each message is sent whole, so that a machine that is busy with its processes leaves no gaps in words.
    env = {**pulse_card.env, "VOICEMODE_AUDIO_OUTPUT": "sounddevice", "VOICEMODE_STREAMING_ENABLED": "false"}
    with Crowd(tmp_path, env, MEMBERS, MESSAGES) as crowd:
        crowd.begin()
        crowd.kill_some(KILLED, WAIT_S)
        crowd.wait(WAIT_S)
        pulse_card.wait_for_silence(0.5, WAIT_S)
        assert crowd.failed == []
    captured = pulse_card.captured()
    heard, loose = messages.heard(captured)

    assert loudest(captured) <= LOUDEST
    assert max(Counter(heard).values()) == 1
    for said in crowd.said:
        if said.status == "completed":
            assert said.number in heard, said
        elif said.status is not None:
            assert (said.status, said.heard, said.number in heard) == ("interrupted", "", False)
        else:
            assert said.process_id in crowd.killed
    living = [said for said in crowd.said if said.process_id not in crowd.killed]
    assert len(living) == (MEMBERS - KILLED) * MESSAGES
    assert loose <= 2 * KILLED  # words that a killed process began, or half a message
    assert crowd.overlaps() == []
    assert crowd.out_of_turn() == []
