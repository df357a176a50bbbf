"""Where the ear is: what it has heard of a script, and what is still to come."""

from __future__ import annotations

import pytest

from voice_mcp.core.ear import Ear
from voice_mcp.core.rendering import Begin
from voice_mcp.core.script import Line, Script
from voice_mcp.types import PcmFormat, WordMark

pytestmark = pytest.mark.anyio

MESSAGE = "All the tests of the whole project have passed now.\n\nThe build is red."
FORMAT = PcmFormat(24_000, 1)
RED = [WordMark(0, 3, 0.0), WordMark(4, 5, 0.3), WordMark(10, 2, 0.7), WordMark(13, 4, 0.9)]


async def lines_of(script: Script) -> list[Line]:
    lines = []
    while (line := await script.next_line()) is not None:
        lines.append(line)
    return lines


async def test_what_was_heard_ends_with_the_last_whole_word() -> None:
    script = Script.of(MESSAGE)
    first, second = await lines_of(script)
    ear = Ear(script, speed=1.0)
    ear.begin(first, Begin(0, FORMAT, []), 0.0)
    ear.end(1.0)
    ear.begin(second, Begin(0, FORMAT, RED), 1.0)

    ear.reach(1.8)

    assert ear.divide() == ("All the tests of the whole project have passed now.\n\nThe build", "is red.")


async def test_another_engine_that_goes_on_takes_over_the_rest_of_the_line() -> None:
    script = Script.of("The build is red.")
    (line,) = await lines_of(script)
    ear = Ear(script, speed=1.0)
    ear.begin(line, Begin(0, FORMAT, []), 0.0)
    ear.end(0.7)
    ear.begin(line, Begin(10, FORMAT, []), 0.7)

    ear.reach(0.7)

    assert ear.divide() == ("The build", "is red.")


async def test_words_that_are_heard_again_count_twice_as_played_and_once_as_heard() -> None:
    script = Script.of(MESSAGE)
    first, _ = await lines_of(script)
    ear = Ear(script, speed=1.0)
    ear.begin(first, Begin(0, FORMAT, []), 0.0)
    ear.end(1.0)

    ear.reach(1.0)
    ear.go_back(0.4)
    ear.reach(0.5)

    assert ear.played_s == pytest.approx(1.1)
    assert ear.divide() == ("All the tests of the whole project have passed now.", "The build is red.")


async def test_progress_names_the_line_that_is_heard_not_the_one_that_was_sent_last() -> None:
    script = Script.of(MESSAGE)
    first, second = await lines_of(script)
    ear = Ear(script, speed=1.0)
    assert ear.progress() is None
    ear.begin(first, Begin(0, FORMAT, []), 0.0)
    ear.end(1.0)
    ear.begin(second, Begin(0, FORMAT, []), 1.0)
    ear.end(2.5)

    ear.reach(0.9)
    assert ear.progress() == (0.9, 2.5, "All the tests of the whole project have passed now.")

    ear.reach(1.1)
    assert ear.progress() == (1.1, 2.5, "The build is red.")


async def test_without_sound_nothing_was_heard() -> None:
    script = Script.of(MESSAGE)

    assert Ear(script, speed=1.0).divide() == ("", MESSAGE)
