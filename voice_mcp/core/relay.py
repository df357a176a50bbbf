"""Who is told where a voice is, while calls come and go."""

from __future__ import annotations

from voice_mcp.protocols import ProgressListener


class Relay:
    """A ``ProgressListener`` whose own listener changes: the call that waits now."""

    def __init__(self) -> None:
        self.listener: ProgressListener | None = None
        self.tap: ProgressListener | None = None
        """Told as well; for the house itself."""
        self._position_s = 0.0

    def update(self, position_s: float, total_s: float | None, text: str) -> None:
        """See ``ProgressListener``."""
        self._position_s = position_s
        for listener in (self.tap, self.listener):
            if listener is not None:
                listener(position_s, total_s, text)

    def tell(self, text: str) -> None:
        """Something goes on in which nothing is played."""
        self.update(self._position_s, None, text)
