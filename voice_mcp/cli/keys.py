"""What keys are bound to: `voice-mcp hush`, `voice-mcp control …`, `voice-mcp status --json`.

Everything here loads in a few milliseconds, for between the key and the silence there is nothing else.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from voice_mcp.cli.base_dir import base_dir
from voice_mcp.control.address import RUN_FOLDER, Address, find_doors
from voice_mcp.control.choice import choose, is_meant
from voice_mcp.control.client import Reply, ask
from voice_mcp.control.words import Word
from voice_mcp.errors import VoiceError

if TYPE_CHECKING:
    from collections.abc import Sequence

DONE, NOT_DONE, NOBODY_RUNS = 0, 1, 3
"""Exit codes; 2 is a command that makes no sense."""
CHOICE_S = 0.3
"""How long the processes are asked which of them is meant: longer than any takes that has something to say."""
NOBODY = "No voice-mcp server is running; it is started by an MCP host."
TARGETED = tuple(word for word in Word if word not in (Word.HUSH, Word.STATUS))
"""What `voice-mcp control` takes."""


def quick(arguments: Sequence[str]) -> int | None:
    """Run a command that is bound to a key.

    Returns:
        Its exit code; None for everything else, which the whole command line is for: help, mistakes, errors.
    """
    try:
        return _run(list(arguments))
    except VoiceError:
        return None


def _run(arguments: list[str]) -> int | None:
    match arguments:
        case ["hush"]:
            return hush()
        case ["status", "--json"]:
            return status_json()
        case ["control", word] if word in TARGETED:
            return control(Word(word))
        case ["control", word, "--all"] if word in TARGETED:
            return control(Word(word), everywhere=True)
    return None


def hush() -> int:
    """Silence every process."""
    replies = ask(doors(), Word.HUSH)
    if not replies:
        return _tell("No voice-mcp server is running, so none speaks.", DONE)
    return max(map(_tell_reply, replies))


def control(word: Word, process: int | None = None, *, everywhere: bool = False) -> int:
    """Say ``word`` to one process, or to all of them."""
    addresses = doors()
    if process is not None:
        addresses = [address for address in addresses if address.pid == process]
    elif not everywhere and len(addresses) > 1:
        addresses = _meant(word, addresses)
    replies = ask(addresses, word)
    if not replies and process is not None:
        return _tell(f"No voice-mcp server has the number {process}; `voice-mcp status` lists them.", NOBODY_RUNS)
    if not replies:
        return _tell(NOBODY, NOBODY_RUNS)
    codes = list(map(_tell_reply, replies))
    return DONE if any(reply.obeyed for reply in replies) else max(codes)


def status_json() -> int:
    """Print who speaks, who waits and since when, as JSON."""
    found = processes()
    print(json.dumps({"processes": found}, indent=2))
    return DONE if found else NOBODY_RUNS


def processes() -> list[dict[str, Any]]:
    """The status of every process; of one that does not answer, its number and the problem."""
    found = [
        reply.answer
        if reply.answer is not None and "process" in reply.answer
        else {"process": reply.address.pid, "problem": _problem(reply)}
        for reply in ask(doors(), Word.STATUS)
    ]
    return sorted(found, key=lambda process: str(process["process"]))


def doors() -> list[Address]:
    """The doors of this user's processes."""
    return find_doors(os.path.join(base_dir(), RUN_FOLDER))


def _meant(word: Word, addresses: Sequence[Address]) -> list[Address]:
    """The one process that is meant; all of them where none says anything."""
    replies = ask(
        addresses,
        Word.STATUS,
        timeout_s=CHOICE_S,
        enough=lambda reply: reply.answer is not None and is_meant(word, reply.answer),
    )
    chosen = choose(word, replies)
    return [chosen.address] if chosen is not None else [reply.address for reply in replies]


def _tell_reply(reply: Reply) -> int:
    """Print what a process says; the exit code that goes with it."""
    if reply.answer is None or "sentence" not in reply.answer:
        print(f"voice-mcp: Process {reply.address.pid}: {_problem(reply)}", file=sys.stderr)
        return NOT_DONE
    return _tell(str(reply.answer["sentence"]), DONE if reply.obeyed else NOT_DONE)


def _problem(reply: Reply) -> str:
    if reply.answer is None:
        return "It does not answer; it may hang."
    return str(reply.answer.get("error", "It gave an answer of another version."))


def _tell(sentence: str, code: int) -> int:
    print("".join(char if char.isprintable() else " " for char in sentence))
    return code
