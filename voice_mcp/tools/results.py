"""What the tools answer: the shapes of contract section 3, and the same facts in one line of text."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, cast

from mcp.types import CallToolResult, TextContent
from typing_extensions import TypedDict  # pydantic cannot read the one of typing before Python 3.12

from voice_mcp.core.speech import Spoken
from voice_mcp.errors import SpeechCutOff, TranscriptionFailed, VoiceError


class SpeakMetrics(TypedDict, total=False):
    """What was measured; what is zero or does not apply is left out."""

    ttfa: dict[str, float]
    inserted_s: float
    buffer_mean_ms: float
    buffer_least_ms: float
    pace: float
    decode_ms_per_s: float
    decode_errors: int
    resumes: int
    switches: int
    device_changes: int
    cached: bool


class SpeakResult(TypedDict):
    """How `speak` ended."""

    status: Literal["completed", "interrupted", "queued", "saved"]
    conversation_id: str
    utterance_id: str
    duration_s: float
    ttfa_ms: float | None
    underruns: int
    voice: str | None
    engine: str | None
    heard: NotRequired[str]
    unheard: NotRequired[str]
    audio_path: NotRequired[str]
    note: NotRequired[str]
    metrics: NotRequired[SpeakMetrics]


class ConverseResult(TypedDict):
    """How `converse` ended."""

    status: Literal["answered", "no_speech", "listening", "interrupted", "spoken"]
    response: str | None
    spoken: SpeakResult | None
    conversation_id: str
    language: NotRequired[str]
    stt_engine: NotRequired[str]
    listen_s: NotRequired[float]
    end_of_turn_ms: NotRequired[float]
    audio_path: NotRequired[str]
    note: NotRequired[str]


def speak_result(spoken: Spoken, notes: list[str]) -> SpeakResult:
    """The structured result of an utterance; facts that do not apply are left out."""
    result = SpeakResult(
        status=spoken.status.value,
        conversation_id=spoken.conversation_id,
        utterance_id=spoken.utterance_id,
        duration_s=spoken.duration_s,
        ttfa_ms=spoken.ttfa_ms,
        underruns=spoken.underruns,
        voice=spoken.voice,
        engine=spoken.engine,
    )
    if spoken.heard is not None and spoken.unheard is not None:
        result["heard"], result["unheard"] = spoken.heard, spoken.unheard
    if spoken.audio_path is not None:
        result["audio_path"] = str(spoken.audio_path)
    if said := " ".join([*filter(None, [spoken.note]), *notes]):
        result["note"] = said
    if spoken.metrics is not None:
        result["metrics"] = cast(SpeakMetrics, spoken.metrics.as_result())
    return result


def speak_line(result: SpeakResult) -> str:
    """The result in one line; never the message itself, which a model would read as a question to itself."""
    status = result["status"]
    if status == "queued":
        return f"Queued ({result['utterance_id']})."
    who = f"{result['engine']}, voice {result['voice']}" if result["engine"] else "no sound yet"
    line = {
        "completed": f"Spoken: {result['duration_s']:.1f} s ({who})",
        "saved": f"Saved: {result['duration_s']:.1f} s ({who}) in {result.get('audio_path')}",
        "interrupted": f"Interrupted after {result['duration_s']:.1f} s ({who})",
    }[status]
    if result["ttfa_ms"] is not None and status != "saved":
        line += f", first sound after {result['ttfa_ms']:.0f} ms"
    if result["underruns"]:
        line += f", {result['underruns']} gap{'s' if result['underruns'] > 1 else ''}"
    return f"{line}. {result.get('note', '')}".strip()


def converse_line(result: ConverseResult) -> str:
    """The result in one line; the user's words stand in quotes, so that nothing of ours can be taken for them."""
    said = f"“{result['response']}”"
    line = {
        "answered": f"The user answered: {said}",
        "no_speech": "The user did not answer.",
        "listening": "Not finished yet: call converse again without a message.",
        "interrupted": f"Interrupted. The user said: {said}" if result["response"] else "Interrupted.",
        "spoken": _how_it_was_spoken(result["spoken"]),
    }[result["status"]]
    return f"{line} {result.get('note', '')}".strip()


def _how_it_was_spoken(spoken: SpeakResult | None) -> str:
    status = spoken["status"] if spoken is not None else "completed"
    if spoken is not None and status == "saved":
        return f"Saved in {spoken.get('audio_path')}."
    return {"completed": "Spoken.", "interrupted": "Interrupted.", "queued": "Queued."}[status]


def answer(line: str, structured: SpeakResult | ConverseResult) -> CallToolResult:
    """A good result."""
    return CallToolResult(content=[TextContent(type="text", text=line)], structured_content=dict(structured))


def refusal(error: VoiceError) -> CallToolResult:
    """A failure: what failed, what to do next, and what was heard if anything was."""
    structured: dict[str, Any] = {"error": error.code, "message": error.message, "hint": error.hint}
    if isinstance(error, SpeechCutOff):
        structured |= {"heard": error.heard, "unheard": error.unheard}
    elif isinstance(error, TranscriptionFailed) and error.said:
        structured["response"] = error.said
    return CallToolResult(
        content=[TextContent(type="text", text=error.advice)], structured_content=structured, is_error=True
    )
