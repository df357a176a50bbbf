"""A conversation as Markdown and as data."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from voice_mcp.core.transcript import conversation_document, conversation_markdown
from voice_mcp.storage.conversation_log import Exchange, ExchangeType

NOON = datetime(2026, 1, 31, 12, 0, 5, tzinfo=UTC)


def said(text: str, kind: ExchangeType = "tts", after_s: float = 0.0, **metadata: Any) -> Exchange:
    moment = NOON + timedelta(seconds=after_s)
    return Exchange(moment, "talk_1", "utt_1", kind, text, project_path="/home/ann/shop", metadata=metadata)


def test_a_transcript_says_when_who_and_what() -> None:
    exchanges = [said("Shall I push it?"), said("Yes, please.", "stt", 4)]
    assert conversation_markdown("talk_1", exchanges, UTC) == (
        "# Conversation `talk_1`\n\n"
        "2026-01-31 · times in UTC · project `/home/ann/shop`\n\n"
        "## 12:00:05 · Agent\n\n> Shall I push it?\n\n"
        "## 12:00:09 · You\n\n> Yes, please.\n"
    )


def test_the_clock_is_that_of_the_reader() -> None:
    zone = timezone(timedelta(hours=5, minutes=30), "IST")
    text = conversation_markdown("talk_1", [said("Hello.")], zone)
    assert "times in IST" in text
    assert "## 17:30:05 · Agent" in text


def test_a_conversation_past_midnight_names_the_new_day_once() -> None:
    exchanges = [said("Good night."), said("Good morning.", after_s=43_200), said("Hello?", after_s=43_260)]
    headings = [line for line in conversation_markdown("talk_1", exchanges, UTC).splitlines() if line.startswith("##")]
    assert headings == ["## 12:00:05 · Agent", "## 2026-02-01 00:00:05 · Agent", "## 00:01:05 · Agent"]


def test_markdown_in_a_message_stays_inside_its_quotation() -> None:
    text = conversation_markdown("talk_1", [said("# Title\n\n```python\nprint()")], UTC)
    assert text.endswith("> # Title\n>\n> ```python\n> print()\n")


def test_an_interruption_shows_what_was_heard() -> None:
    exchange = said("One. Two. Three.", status="interrupted", heard="One.", unheard="Two. Three.")
    text = conversation_markdown("talk_1", [exchange], UTC)
    assert text.endswith("> One. Two. Three.\n\nInterrupted. What was heard of it:\n\n> One.\n")


def test_an_interruption_before_the_first_word_says_so() -> None:
    text = conversation_markdown("talk_1", [said("One.", status="interrupted", heard="")], UTC)
    assert text.endswith("Interrupted before a word was heard.\n")


def test_a_failure_is_told_with_its_reason() -> None:
    text = conversation_markdown("talk_1", [said("One. Two.", status="failed", heard="One.", error="It broke.")], UTC)
    assert "Failed (It broke). What was heard of it:\n\n> One.\n" in text


def test_no_text_can_control_a_terminal() -> None:
    text = conversation_markdown("talk_1", [said("\x1b[2Jred\x07\x9b")], UTC)
    assert all(char.isprintable() or char == "\n" for char in text)


def test_the_document_holds_every_field_of_the_log() -> None:
    exchange = said("Hello.", status="completed", ttfa_ms=91.5)
    document = json.loads(json.dumps(conversation_document("talk_1", [exchange])))
    assert document["conversation_id"] == "talk_1"
    assert document["began"] == "2026-01-31T12:00:05+00:00"
    (line,) = document["exchanges"]
    assert datetime.fromisoformat(line["timestamp"]) == NOON
    assert (line["text"], line["type"], line["metadata"]["ttfa_ms"]) == ("Hello.", "tts", 91.5)


def test_what_could_not_be_transcribed_says_so_and_why() -> None:
    text = conversation_markdown("talk_1", [said("", "stt", status="failed", error="It was away.")], UTC)
    assert text.endswith("## 12:00:05 · You\n\n> (nothing)\n\nIt could not be transcribed (It was away).\n")


def test_what_was_understood_has_its_words_alone() -> None:
    text = conversation_markdown("talk_1", [said("Yes.", "stt", status="completed", retried=True)], UTC)
    assert text.endswith("## 12:00:05 · You\n\n> Yes.\n")
