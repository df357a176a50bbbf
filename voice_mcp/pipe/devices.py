"""Which devices there are, asked of an audio process."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from voice_mcp.errors import AudioProcessLost
from voice_mcp.pipe.child import AudioChild
from voice_mcp.pipe.wire import Command, pack_json

ANSWER_S = 10.0
"""How long listing devices may take; a sound server that hangs must not hang the caller."""


@dataclass(frozen=True, slots=True)
class DeviceList:
    """The devices one backend can reach."""

    backend: str
    names: tuple[str, ...]
    problem: str | None = None
    """Why there are none, when the backend cannot be used."""


class DeviceLister:
    """Asks one audio process; one caller after the other.

    Args:
        child: The process.
    """

    def __init__(self, child: AudioChild) -> None:
        self._child = child
        self._asking = asyncio.Lock()
        self._answers: asyncio.Queue[DeviceList | None] = asyncio.Queue()

    async def ask(self, backends: Sequence[str]) -> list[DeviceList]:
        """The devices each of ``backends`` can reach.

        Raises:
            AudioProcessLost: The audio process cannot be started, or does not answer.
        """
        async with self._asking:
            await self._child.start()
            self._answers = asyncio.Queue()  # what an earlier call did not wait for is none of this one's answer
            self._child.send(pack_json(Command.DEVICES, backends=list(backends)))
            lists: list[DeviceList] = []
            try:
                async with asyncio.timeout(ANSWER_S):
                    while (entry := await self._answers.get()) is not None:
                        lists.append(entry)
            except TimeoutError as exc:
                self._child.kill()
                raise AudioProcessLost(f"The sound system did not answer within {ANSWER_S:.0f} s.") from exc
            return lists

    def take_report(self, report: dict[str, Any]) -> bool:
        """Take what the audio process reports; whether it was an answer."""
        if report["event"] == "devices":
            self._answers.put_nowait(DeviceList(report["backend"], tuple(report["names"]), report["problem"]))
        elif report["event"] == "devices_end":
            self._answers.put_nowait(None)
        else:
            return False
        return True
