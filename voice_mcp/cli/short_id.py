"""Conversation IDs by their ends, which is what a narrow log shows of them and what people copy from it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer

from voice_mcp.errors import InvalidInput

ConversationId = Annotated[
    str, typer.Argument(metavar="ID", help="As `conversations list` names it, or as `log` shows it.")
]
SHORT_ID_CELLS = 8


def short_id(conversation_id: str) -> str:
    """The end of an ID: there it differs from others."""
    return conversation_id.rpartition("_")[2][-SHORT_ID_CELLS:]


def whole_id(wanted: str, known: Iterable[str]) -> str:
    """The ID that is meant: ``wanted`` itself, or the only known one that is shown as ``wanted``.

    Raises:
        InvalidInput: Several are.
    """
    names = set(known)
    meant = sorted(name for name in names if short_id(name) == wanted)
    if wanted in names or not meant:
        return wanted
    if len(meant) > 1:
        raise InvalidInput(
            f"{len(meant)} conversations end in {wanted}.", hint=f"Name one of them: {', '.join(meant)}."
        )
    return meant[0]


def known_id(wanted: str, known: Iterable[str]) -> str:
    """The same, of which there must be something.

    Raises:
        InvalidInput: There is nothing, or several are meant.
    """
    names = set(known)
    conversation_id = whole_id(wanted, names)
    if conversation_id not in names:
        raise not_on_record(conversation_id)
    return conversation_id


def not_on_record(conversation_id: str) -> InvalidInput:
    """What to say of an ID that nothing has."""
    return InvalidInput(
        f"There is no conversation {conversation_id} on record.",
        hint="Run `voice-mcp conversations list` for the ones there are.",
    )
