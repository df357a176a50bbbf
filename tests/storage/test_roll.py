"""The agents that run now, and what each of them has to itself."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

from tests.storage.children import kill_after_first_line
from voice_mcp.storage.paths import DataRoot
from voice_mcp.storage.roll import RunningAgents

ONE, TWO, THREE = "1" * 16, "2" * 16, "3" * 16
CHOOSE = """
import sys
from pathlib import Path
from voice_mcp.storage.paths import DataRoot
from voice_mcp.storage.roll import RunningAgents
roll = RunningAgents(DataRoot(Path(sys.argv[1])))
print(roll.choose("voice", sys.argv[2], int(sys.argv[3])), flush=True)
sys.stdin.readline()
"""


def roll(base_dir: Path) -> RunningAgents:
    return RunningAgents(DataRoot(base_dir))


def test_an_agent_has_the_same_each_time_it_comes(tmp_path: Path) -> None:
    first = roll(tmp_path)
    choice = first.choose("voice", ONE, 1000)
    first.close()
    assert roll(tmp_path).choose("voice", ONE, 1000) == choice
    assert roll(tmp_path / "elsewhere").choose("voice", ONE, 1000) == choice


def test_no_two_agents_have_the_same_as_long_as_there_is_enough(tmp_path: Path) -> None:
    rolls = [roll(tmp_path) for _ in range(4)]
    choices = [each.choose("voice", str(number) * 16, 3) for number, each in enumerate(rolls)]
    assert sorted(choices[:3]) == [0, 1, 2]
    assert choices[3] in (0, 1, 2)


def test_the_same_agent_in_another_window_has_the_same(tmp_path: Path) -> None:
    one, two, again = roll(tmp_path), roll(tmp_path), roll(tmp_path)
    assert one.choose("voice", ONE, 2) != two.choose("voice", TWO, 2)
    assert again.choose("voice", TWO, 2) == two.choose("voice", TWO, 2)


def test_voices_and_seats_are_chosen_apart(tmp_path: Path) -> None:
    agents = roll(tmp_path)
    agents.choose("voice", ONE, 1)
    assert agents.choose("seat", TWO, 1) == 0


def test_what_an_agent_had_that_is_gone_is_free_again(tmp_path: Path) -> None:
    gone = roll(tmp_path)
    choice = gone.choose("voice", ONE, 2)
    gone.close()
    same_wish = next(
        agent for agent in (f"{n:016x}" for n in range(100)) if roll(tmp_path / "x").choose("voice", agent, 2) == choice
    )
    assert roll(tmp_path).choose("voice", same_wish, 2) == choice


def test_what_an_agent_had_that_was_killed_is_free_again(tmp_path: Path) -> None:
    taken = int(kill_after_first_line(CHOOSE, str(tmp_path), ONE, "1"))
    assert taken == 0
    agents = roll(tmp_path)
    assert agents.choose("voice", TWO, 1) == 0
    assert len(list((tmp_path / "run" / "agents").glob("*.here"))) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_without_a_usable_folder_everybody_gets_what_is_first_his(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "run").symlink_to(tmp_path / "elsewhere")
    with caplog.at_level(logging.WARNING, "voice_mcp"):
        choice = roll(tmp_path / "root").choose("voice", THREE, 7)
    assert choice == roll(tmp_path / "sound").choose("voice", THREE, 7)
    assert "may have the same voice" in caplog.text
    assert list((tmp_path / "elsewhere").iterdir()) == []
