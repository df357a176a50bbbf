"""Runs of a network that can be stopped.

A sentence takes a network seconds, and nobody shall wait for one that is not wanted any more: neither the next text,
nor a program that ends. The libraries run their networks without a way to stop them, so they get a session that knows
whose run it is.
"""

from __future__ import annotations

from typing import Any


class StopSign:
    """Stops one text, now and for good. Thread: ``stop`` any; the rest is the engine's."""

    def __init__(self) -> None:
        self._is_up = False
        self._run: Any = None

    def stop(self) -> None:
        """Whatever runs for this text ends within a step of the network, with an error."""
        self._is_up = True
        run = self._run
        if run is not None:
            run.terminate = True

    def watch(self, run: Any) -> None:
        """``run`` is about to begin; None: it is over."""
        self._run = run
        if run is not None and self._is_up:
            run.terminate = True


class StoppableSession:
    """A session of onnxruntime, as a library expects it.

    Args:
        session: The library's own.
    """

    def __init__(self, session: Any) -> None:
        self._session = session
        self.sign: StopSign | None = None
        """Who may stop the next run."""

    def run(self, names: Any, feeds: Any) -> Any:
        """The library's own, with an end."""
        import onnxruntime

        sign = self.sign
        if sign is None:
            return self._session.run(names, feeds)
        options = onnxruntime.RunOptions()
        sign.watch(options)
        try:
            return self._session.run(names, feeds, options)
        finally:
            sign.watch(None)
