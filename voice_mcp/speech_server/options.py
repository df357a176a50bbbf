"""How to serve. Loads nothing of the web server, so that the command line can say it in its help."""

from __future__ import annotations

from dataclasses import dataclass

HOST, PORT = "127.0.0.1", 8880
"""Where clients look by default (VOICEMODE_TTS_BASE_URLS)."""
CONCURRENCY, QUEUE = 2, 16


@dataclass(frozen=True, slots=True)
class Options:
    """How to serve."""

    host: str = HOST
    port: int = PORT
    """0 takes any that is free."""
    token: str | None = None
    """What clients have to know; without one only this machine is served."""
    concurrency: int = CONCURRENCY
    """How many requests are spoken at a time."""
    queue: int = QUEUE
    """How many may wait."""
    client_stall_s: float = 60.0
    """A client that takes nothing for so long loses its turn."""
