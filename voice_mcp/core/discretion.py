"""What an engine on another machine is not told: words that look like secrets. It says "a secret" in their place.

An engine on this machine gets the words as they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from urllib.parse import urlsplit

from voice_mcp.core.script import Line, Script
from voice_mcp.core.secret_words import find_secrets, may_hold_a_secret
from voice_mcp.core.spans import Span
from voice_mcp.core.words import Words
from voice_mcp.offline import is_this_machine
from voice_mcp.protocols import SpeechEngine

MARGIN_CHARS = 400
"""What is looked at before and after a line: secrets are longer than lines, and are announced in the line before."""


def leaves_this_machine(engine: SpeechEngine) -> bool:
    """Whether what the engine is asked to say goes to another machine."""
    return engine.is_remote and not is_this_machine(urlsplit(f"//{engine.name}").hostname or "")


class Discretion:
    """Finds what engines on other machines are not told.

    Args:
        engines: Who may be asked; where none of them is on another machine, nothing is looked for.
    """

    def __init__(self, engines: Iterable[SpeechEngine]) -> None:
        self.is_needed = any(map(leaves_this_machine, engines))

    async def hidden(self, script: Script, line: Line) -> tuple[Span, ...]:
        """The stretches of a line that must not leave this machine."""
        if not self.is_needed:
            return ()
        at, text = script.surroundings(line, MARGIN_CHARS)
        if not may_hold_a_secret(text):
            return ()
        found = await asyncio.to_thread(find_secrets, text)
        return script.spoken_in(line, ((at + start, at + end) for start, end in found))

    async def veiled(self, text: str | None) -> str | None:
        """``text`` as other machines may have it."""
        if text is None or not self.is_needed or not may_hold_a_secret(text):
            return text
        return Words.without(text, await asyncio.to_thread(find_secrets, text)).text
