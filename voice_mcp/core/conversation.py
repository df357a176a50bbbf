"""What a conversation is called, and what an utterance is called within it."""

from __future__ import annotations

import re
import secrets
from datetime import datetime

from voice_mcp.errors import InvalidConversationId

_VALID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


def new_conversation_id(now: datetime) -> str:
    """A fresh ID that sorts by time and that no two processes share."""
    return f"conv_{now:%Y%m%d_%H%M%S}_{secrets.token_hex(3)}"


def new_utterance_id() -> str:
    """A fresh ID, short enough to read in a log."""
    return f"utt_{secrets.token_hex(5)}"


def check_conversation_id(conversation_id: str) -> str:
    """The ID as it is, if it can be a folder's name everywhere.

    Raises:
        InvalidConversationId: It cannot.
    """
    if not _VALID.fullmatch(conversation_id):
        raise InvalidConversationId("The conversation_id is not valid.")
    return conversation_id
