"""What was recorded and could not be transcribed when it was said, heard again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from voice_mcp.core.transcribing import Transcriber
from voice_mcp.core.utterance import Archive, Trail
from voice_mcp.errors import StorageError
from voice_mcp.storage.conversation_log import ConversationLog, Exchange
from voice_mcp.types import SpeechSpan

FAILED, UNDERSTOOD, NO_SPEECH = "failed", "completed", "no_speech"
"""The ``status`` of something that was heard."""


def not_understood(exchanges: Iterable[Exchange]) -> list[Exchange]:
    """What still waits to be transcribed."""
    return [each for each in exchanges if each.type == "stt" and each.metadata.get("status") == FAILED]


class Rehearing:
    """Transcribes recordings again, and puts the words on record.

    Args:
        transcriber: Who is asked.
        archive: Where events and transcripts go.
        log: Where the lines are: the new one takes the place of the old.
    """

    def __init__(self, transcriber: Transcriber, archive: Archive, log: ConversationLog) -> None:
        self._transcriber = transcriber
        self._archive = archive
        self._log = log

    async def hear(self, exchange: Exchange, frames: bytes) -> Exchange:
        """Transcribe what belongs to a line of the log; returns the line that takes its place.

        Args:
            exchange: The line.
            frames: Its recording, ``LISTENING_FORMAT``.

        Raises:
            VoiceError: It cannot be understood now either.
        """
        trail = Trail(self._archive, exchange.conversation_id, exchange.utterance_id)
        transcript = await self._transcriber.transcribe(frames, trail, spans=_spans(exchange.metadata))
        known = {name: value for name, value in exchange.metadata.items() if name != "error"}
        learnt = {
            "status": UNDERSTOOD if transcript.text else NO_SPEECH,
            "engine": transcript.engine,
            "model": transcript.model,
            "language": transcript.language,
            "retried": True,
        }
        again = replace(exchange, text=transcript.text, metadata=known | learnt)
        self._log.append(again)
        self._keep_transcript(again)
        return again

    def _keep_transcript(self, exchange: Exchange) -> None:
        archive = self._archive
        if archive.keeps_transcripts and exchange.audio_file is not None:
            try:
                path = archive.root.locate(exchange.audio_file)
            except StorageError:
                return  # a line of somebody else's, whose sound lies elsewhere: the line has the words
            archive.recordings.save_transcript(path, exchange.text)


def _spans(metadata: Mapping[str, Any]) -> list[SpeechSpan] | None:
    """Where in a recording somebody speaks, if the line says so: ``speech``, pairs of seconds."""
    try:
        spans = [SpeechSpan(float(start_s), float(end_s)) for start_s, end_s in metadata["speech"]]
    except (KeyError, TypeError, ValueError):
        return None
    return spans or None
