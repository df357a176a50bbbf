from __future__ import annotations

import io
import json
import os
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from voice_mcp.stdio import WellFormedLines, repaired

BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


def test_half_a_character_is_replaced() -> None:
    assert json.loads(repaired(rb'"a\ud83d b\udC00"')) == "a\ufffd b\ufffd"


def test_a_whole_pair_stays() -> None:
    line = rb'"\ud83d\ude00 \uD83D\uDE00"'
    assert repaired(line) == line


def test_a_high_half_before_a_pair_is_replaced_alone() -> None:
    assert json.loads(repaired(rb'"\ud83d\ud83d\ude00"')) == "\ufffd\U0001f600"


def test_a_backslash_that_is_itself_escaped_starts_nothing() -> None:
    line = rb'"the text \\ud83d itself"'
    assert repaired(line) == line
    assert json.loads(repaired(rb'"\\\ud83d"')) == "\\\ufffd"


@given(st.text(st.characters(categories=None)))
def test_any_text_comes_through_with_only_its_halves_replaced(text: str) -> None:
    read = json.loads(repaired(json.dumps(text).encode()))
    assert read == json.loads(json.dumps(text)).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@given(st.lists(st.binary(max_size=30)), st.integers(1, 9))
def test_lines_come_through_however_they_are_read(lines: list[bytes], size: int) -> None:
    source = b"\n".join(lines)
    reader = io.BufferedReader(WellFormedLines(io.BytesIO(source).readline))
    read = b"".join(iter(lambda: reader.read(size), b""))
    assert read == b"".join(map(repaired, io.BytesIO(source)))


def test_what_libraries_print_while_they_load_goes_to_stderr_and_the_wire_stays_clean() -> None:
    program = (
        "import os\n"
        "from voice_mcp.stdio import output_diverted\n"
        "print('before')\n"
        "with output_diverted():\n"
        "    print('python')\n"
        "    os.write(1, b'native\\n')\n"
        "os.write(1, b'{}\\n')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True, env=BUFFERED
    )
    assert done.stdout == "{}\n"
    assert sorted(done.stderr.split()) == ["before", "native", "python"]
