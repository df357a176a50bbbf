"""How the server ends when it can neither answer nor end as it should: when there is no memory left.

* A thread that dies while it sets itself up has not said that it has begun, and whoever started it waits for that word
  for ever. Its death is told to ``sys.unraisablehook`` alone.
* Python 3.11 starts a thread for every child process, where Linux can do without.
* An event loop that fell apart leaves threads behind for which Python waits, and one of them reads standard input.
* A pipe that cannot be read for want of memory is still ready to be read, and the loop tries again for ever.

The kernel takes back the floor and the devices, and what is on disk is whole.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from voice_mcp.errors import VoiceError

EXIT_CODE = 71
"""What ``sysexits.h`` calls an error of the operating system: it could not give something."""
PATIENCE_S = 2.0
"""How long the event loop may fail for want of memory, again and again, before that is the end."""
_PAUSE_S = 1.0
"""Failures that are further apart have nothing to do with each other."""
_LAST_WORDS = b"voice-mcp: there is no memory left for another thread; the server ends. Close other programs first.\n"
_IN_VAIN = b"voice-mcp: there is no memory left to go on with; the server ends. Close other programs first.\n"

logger = logging.getLogger(__name__)


@contextmanager
def ended_in_any_case() -> Iterator[None]:
    """For the length of the block, end this process rather than let it hang."""
    sys.unraisablehook = _Hook(sys.unraisablehook)
    _watch_children_without_threads()
    try:
        yield
    except (VoiceError, SystemExit, KeyboardInterrupt):
        raise
    except BaseException:
        with suppress(BaseException):
            logger.exception("the server cannot go on")
        os._exit(EXIT_CODE)


class WantOfMemory:
    """The exception handler of an event loop: failures for want of memory, over and over, end the process."""

    def __init__(self) -> None:
        self._since_s = self._last_s = -_PAUSE_S

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not isinstance(context.get("exception"), MemoryError):
            loop.default_exception_handler(context)
            return
        now_s = time.monotonic()
        is_new = now_s - self._last_s >= _PAUSE_S
        self._last_s = now_s
        if is_new:
            self._since_s = now_s
            loop.default_exception_handler(context)  # the next ones say the same
        elif now_s - self._since_s > PATIENCE_S:
            os.write(2, _IN_VAIN)
            os._exit(EXIT_CODE)


class _Hook:
    """Made ahead of need: when it is called, there is no memory to make anything."""

    def __init__(self, otherwise: Callable[[Any], object]) -> None:
        self._otherwise = otherwise

    def __call__(self, unraisable: Any) -> None:
        if isinstance(getattr(unraisable.object, "__self__", None), threading.Thread):
            os.write(2, _LAST_WORDS)
            os._exit(EXIT_CODE)
        self._otherwise(unraisable)


def _watch_children_without_threads() -> None:
    if sys.version_info >= (3, 12) or not hasattr(os, "pidfd_open"):
        return
    with suppress(OSError):  # a kernel before 5.3, or one that forbids it
        os.close(os.pidfd_open(os.getpid()))
        asyncio.set_child_watcher(asyncio.PidfdChildWatcher())
