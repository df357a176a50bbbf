"""What a result says of the listening."""

from __future__ import annotations

from voice_mcp.core.answer import Answer, AnswerStatus
from voice_mcp.core.listening import DEAD_FILE, DEAD_MICROPHONE, Heard

ANOTHER = "The microphone was gone for 1.0 s."


def test_whoever_was_heard_and_not_understood_is_not_told_that_there_was_silence() -> None:
    answer = Answer(noises=1)
    for remark in (DEAD_FILE, DEAD_MICROPHONE, ANOTHER):
        answer.add(Heard(remarks=(remark,)))

    outcome = answer.outcome(AnswerStatus.NO_SPEECH, None)

    assert outcome.is_noisy
    assert outcome.notes == (ANOTHER,)


def test_silence_is_told_where_nobody_was_heard() -> None:
    answer = Answer()
    answer.add(Heard(remarks=(DEAD_FILE,)))

    assert answer.outcome(AnswerStatus.NO_SPEECH, None).notes == (DEAD_FILE,)
