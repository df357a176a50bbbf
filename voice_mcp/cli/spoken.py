"""How an utterance ended, as a line and as JSON."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from rich.text import Text

from voice_mcp.cli.output import standard_output, visible
from voice_mcp.core.remote_control import HUSHED
from voice_mcp.core.speech import Spoken
from voice_mcp.errors import SpeechCutOff, TranscriptionFailed, VoiceError
from voice_mcp.types import SpeechStatus

SOMETIMES = ("heard", "unheard", "audio_path", "note", "metrics")
"""Fields that are left out when they do not apply, as in the result of the `speak` tool."""


def spoken_record(spoken: Spoken) -> dict[str, Any]:
    """The shape of the `speak` tool's result."""
    record = {each.name: getattr(spoken, each.name) for each in fields(spoken)}
    if spoken.metrics is not None:
        record["metrics"] = spoken.metrics.as_result()
    return {name: value for name, value in record.items() if value is not None or name not in SOMETIMES}


def failure_record(error: VoiceError) -> dict[str, Any]:
    """The shape of the `speak` tool's failure."""
    record = {"error": error.code, "message": error.message, "hint": error.hint}
    if isinstance(error, SpeechCutOff):
        record |= {"heard": error.heard, "unheard": error.unheard}
    elif isinstance(error, TranscriptionFailed) and error.said:
        record["response"] = error.said
    return record


def spoken_facts(record: dict[str, Any]) -> list[str]:
    """What a person wants to know of a ``spoken_record``, or of the tool's result, in a few words each."""
    facts = [f"{record['duration_s']:.1f} s"]
    if record.get("engine"):
        facts.append(f"{record['engine']}, voice {record['voice']}")
    if record["status"] == SpeechStatus.SAVED:
        return [*facts, str(record.get("audio_path"))]
    if record.get("ttfa_ms") is not None:
        facts.append(f"first sound after {record['ttfa_ms']:.0f} ms")
    if record.get("engine"):
        gaps = record["underruns"]
        facts.append("no gaps" if not gaps else f"{gaps} gap{'s' if gaps > 1 else ''}")
    if record.get("audio_path"):
        facts.append(str(record["audio_path"]))
    return facts


def print_spoken(spoken: Spoken) -> None:
    """One line of facts, and one for what the user should know; after an interruption what was heard and what not."""
    console, interrupted = standard_output(), spoken.status is SpeechStatus.INTERRUPTED
    if interrupted and spoken.engine is None:
        console.print("Stopped before anything was said.", style="yellow")
        return
    word, style = ("Stopped after", "yellow") if interrupted else ("Spoken", "green")
    if spoken.status is SpeechStatus.SAVED:
        word = "Saved"
    line = Text(word, style=f"bold {style}")
    line.append(f" {visible(' · '.join(spoken_facts(spoken_record(spoken))))}", style="not bold default")
    console.print(line, soft_wrap=True)  # a path that the terminal wraps by itself can be copied
    if spoken.note:
        note = spoken.note.replace(HUSHED, "It was silenced with a key.")  # the rest of that is for agents
        console.print(Text.assemble(("Note:", "bold yellow"), f" {visible(note)}"))
    if interrupted:
        print_division(spoken.heard or "", spoken.unheard or "")


def print_division(heard: str, unheard: str) -> None:
    """What was heard and what was not."""
    console = standard_output()
    for label, text in (("Heard:  ", heard), ("Unheard:", unheard)):
        line = Text(label, style="bold")
        line.append(f" {visible(text) or '(nothing)'}", style="not bold" if label == "Heard:  " else "not bold dim")
        console.print(line)
