"""What both ways through miniaudio have in common: the library, its sound systems, its refusals."""

from __future__ import annotations

import sys
from typing import Any, TypeVar

from voice_mcp.errors import VoiceError

E = TypeVar("E", bound=VoiceError)


def load_miniaudio(unavailable: type[VoiceError]) -> Any:
    """The library.

    Raises:
        VoiceError: It cannot be loaded; of the kind that is given.
    """
    # miniaudio imports numpy when it is there, only to accept its arrays: 45 ms and 10 MB for nothing.
    hidden = "numpy" not in sys.modules
    if hidden:
        sys.modules["numpy"] = None  # type: ignore[assignment]
    try:
        import miniaudio
    except (ImportError, OSError) as exc:
        raise unavailable("The miniaudio library cannot be loaded.") from exc
    finally:
        if hidden:
            del sys.modules["numpy"]
    return miniaudio


def real_backends(ma: Any) -> list[Any]:
    """Every sound system but miniaudio's own null device, which would swallow speech and report success."""
    return [backend for backend in ma.Backend if backend not in (ma.Backend.NULL, ma.Backend.CUSTOM)]


def device_id(entries: list[dict[str, Any]], device: str) -> Any | None:
    """What miniaudio calls the first of ``entries`` whose name holds ``device``; None where there is none."""
    for entry in entries:
        if device.casefold() in entry["name"].casefold():
            return entry["id"]
    return None


def refusal(ma: Any, exc: Exception, unavailable: type[E], busy: type[E], what: str) -> E:
    """Why the device did not open.

    WASAPI and a named ALSA device say when another program holds it; of ALSA's default, miniaudio 1.71 says only that
    it cannot be opened.
    """
    kind = busy if ma.lib.MA_BUSY in exc.args[1:] else unavailable
    return kind(f"miniaudio could not open the {what}: {exc.args[0]}.")
