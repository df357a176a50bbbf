"""The volume controls of PulseAudio, and of PipeWire in its place."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from voice_mcp.ducking.ducker import Stream
from voice_mcp.errors import DuckingUnavailable

OURS = "voice-mcp"
"""The application ID of every audio process of ours."""
_CALLS = ("phone",)
"""What is played to somebody who talks is not ours to lower."""


class PulseMixer:
    """A ``Mixer``. Not for several threads.

    Raises:
        DuckingUnavailable: There is no such sound server, or no library to reach it.
    """

    def __init__(self) -> None:
        try:
            import pulsectl  # needs libpulse, which machines without PulseAudio do not have
        except (ImportError, OSError) as exc:
            raise DuckingUnavailable(f"Other programs cannot be lowered: {exc}.") from exc
        self._errors: tuple[type[Exception], ...] = (pulsectl.PulseError, pulsectl.PulseDisconnected)
        with self._translated():
            self._pulse = pulsectl.Pulse("voice-mcp-ducking")

    @property
    def server(self) -> str:
        with self._translated():
            return str(self._pulse.server_info().cookie)

    def streams(self) -> list[Stream]:
        with self._translated():
            return [
                Stream(
                    index=one.index,
                    key=one.proplist.get("module-stream-restore.id", ""),
                    volumes=tuple(one.volume.values),
                    to_be_lowered=one.proplist.get("application.id") != OURS
                    and one.proplist.get("media.role") not in _CALLS,
                )
                for one in self._pulse.sink_input_list()
            ]

    def set_volumes(self, index: int, volumes: Sequence[float]) -> None:
        import pulsectl

        with self._translated(), contextlib.suppress(pulsectl.PulseOperationFailed, pulsectl.PulseIndexError):
            self._pulse.sink_input_volume_set(index, pulsectl.PulseVolumeInfo(list(volumes)))

    def remembered(self, key: str) -> tuple[float, ...]:
        entry = self._entry(key)
        return tuple(entry.volume.values) if entry is not None else ()

    def remember(self, key: str, volumes: Sequence[float]) -> None:
        import pulsectl

        entry = self._entry(key)
        if entry is not None:
            entry.volume = pulsectl.PulseVolumeInfo(list(volumes))
            with self._translated():
                self._pulse.stream_restore_write(entry, mode="replace")

    def _entry(self, key: str) -> Any:
        import pulsectl

        with self._translated(), contextlib.suppress(pulsectl.PulseOperationFailed, pulsectl.PulseOperationInvalid):
            # Where the sound server keeps no such list, there is nothing to put right in it either.
            return next((entry for entry in self._pulse.stream_restore_list() if entry.name == key), None)
        return None

    def close(self) -> None:
        """Let go of the sound server."""
        self._pulse.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except self._errors as exc:
            raise DuckingUnavailable(f"The sound server cannot be reached to lower other programs: {exc}.") from exc
