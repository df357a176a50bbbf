"""Which of several processes a key means. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voice_mcp.control.words import Word

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from voice_mcp.control.client import Reply


def is_meant(word: Word, status: Mapping[str, Any]) -> bool:
    """Whether a process, as its status has it, has anything for ``word`` to act on."""
    speaking, listening = status.get("speaking") or {}, status.get("listening")
    if word is Word.DONE:
        return bool(listening)
    if word is Word.RESUME:
        return bool(speaking.get("paused"))
    if word is Word.PAUSE:
        return bool(speaking) and not speaking.get("paused")
    return bool(speaking) or (word is Word.STOP and bool(listening))


def choose(word: Word, replies: Sequence[Reply]) -> Reply | None:
    """The process that is meant: the one that speaks or listens, else the one that spoke last, else the youngest.

    Args:
        word: What is asked for.
        replies: What came of asking each for its status.
    """
    known = [reply for reply in replies if reply.answer is not None and "process" in reply.answer]
    return max(known, key=lambda reply: _rank(word, reply.answer or {}), default=None)


def _rank(word: Word, status: Mapping[str, Any]) -> tuple[bool, str, str, str]:
    """Times are ISO 8601 in UTC: they sort as text."""
    at_work = status.get("speaking") or status.get("listening") or {}
    meant = is_meant(word, status)
    since = str(at_work.get("since", "")) if meant else ""
    return meant, since, str(status.get("spoke") or ""), str(status.get("started") or "")
