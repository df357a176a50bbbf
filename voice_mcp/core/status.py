"""What the house can say of itself, as plain data: voices, status, conversations."""

from __future__ import annotations

from typing import Any

from voice_mcp.core.failover import E, Roster
from voice_mcp.core.pacing import SpeechRoster
from voice_mcp.core.session import Session
from voice_mcp.core.speech import Speech
from voice_mcp.errors import VoiceError
from voice_mcp.storage.conversation_log import ConversationLog
from voice_mcp.storage.paths import DataRoot

TOLD_OF_AN_EXCHANGE = ("status", "engine", "voice", "language", "error")
"""What of its metadata is shown."""


async def voices_record(roster: SpeechRoster) -> dict[str, Any]:
    """Every voice of every engine; an engine that cannot say is named with the reason."""
    engines = []
    for engine in roster.engines:
        entry: dict[str, Any] = {"engine": engine.name}
        try:
            voices = await engine.voices()
            entry["voices"] = [
                {"name": voice.name, "language": voice.language, "description": voice.description} for voice in voices
            ]
        except VoiceError as exc:
            entry["problem"] = exc.message
        engines.append(entry)
    return {"engines": engines}


def status_record(session: Session, *, audio_process: int | None, microphone_process: int | None) -> dict[str, Any]:
    """Who can speak and listen, who is resting and why, who speaks now and who waits, where records go."""
    speaker, since = session.speaker, session.dialogue.listens_since
    return {
        "conversation_id": session.conversation_id,
        "engines": _health(speaker.roster),
        "recognizers": _health(session.transcriber.roster),
        "speaking": _named(speaker.current) if speaker.current is not None else None,
        "waiting": [_named(speech) for speech in speaker.queued],
        "listening": {"since": since.isoformat()} if since is not None else None,
        "audio_process": audio_process,
        "microphone_process": microphone_process,
        "records": str(speaker.archive.root.path),
        "keeps_audio": speaker.archive.keeps_audio,
    }


def conversation_record(log: ConversationLog, root: DataRoot, conversation_id: str) -> dict[str, Any]:
    """One conversation in order. Reads files: not for the event loop's thread.

    Raises:
        StorageError: A file cannot be read.
    """
    exchanges = [
        {
            "timestamp": exchange.timestamp.isoformat(),
            "utterance_id": exchange.utterance_id,
            "type": exchange.type,
            "text": exchange.text,
            "audio_file": str(root.path / exchange.audio_file) if exchange.audio_file else None,
            "duration_ms": exchange.duration_ms,
            **{key: exchange.metadata[key] for key in TOLD_OF_AN_EXCHANGE if key in exchange.metadata},
        }
        for exchange in log.exchanges(conversation_id)
    ]
    return {"conversation_id": conversation_id, "exchanges": exchanges}


def _health(roster: Roster[E]) -> list[dict[str, Any]]:
    """How each of them is doing."""
    entries = []
    for engine in roster.engines:
        rests_s, error = roster.rests_for_s(engine), roster.last_error(engine)
        entry: dict[str, Any] = {"engine": engine.name, "state": "resting" if rests_s > 0 else "ready"}
        if rests_s > 0 and error is not None:
            entry |= {"asked_again_in_s": round(rests_s, 1), "problem": error.message}
        entries.append(entry)
    return entries


def _named(speech: Speech) -> dict[str, str]:
    return {"utterance_id": speech.utterance_id, "conversation_id": speech.conversation_id}
