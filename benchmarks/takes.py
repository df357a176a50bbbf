"""One message on the card: spoken by somebody over a network, recorded, and judged from the recording."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from benchmarks.contenders import BUSY_AFTER_S, Contender, answered
from tests.support.endpoint import SpeechEndpoint
from tests.support.house import logged_events
from tests.support.network import Network
from tests.support.pattern import Verdict, judge
from tests.support.pulse import PulseCard
from tests.support.stdio import StdioServer
from voice_mcp.clock import SystemClock

RATE_HZ = 24_000
ANSWER_LIMIT_S = 100.0
SILENCE_LIMIT_S = 10.0
SETTLE_S = 1.5
AFTERWARDS_S = 0.4
"""Silence that has to follow a message: what comes later belongs to the next."""


@dataclass(slots=True)
class Take:
    """What became of one message."""

    verdict: Verdict
    reported_gaps: int | None
    """What the server said of its gaps; None: nothing."""
    failed: bool
    """The server said that it failed, or nothing."""
    sound_after_s: float | None
    """From the first byte that came through the network to the first sound at the card."""
    first_byte_s: float | None
    requests: int
    silence_after_s: float | None = None
    """From the cancellation to the last sound, where it was cancelled."""

    @property
    def gaps(self) -> int:
        """Silences between two sounds."""
        return len(self.verdict.gaps)

    @property
    def missing_frames(self) -> int:
        """Frames that were not heard. At either end of a gap one that was faded to nothing looks as if it were."""
        return max(0, self.verdict.missing - 2 * self.gaps)

    @property
    def dead_air_s(self) -> float:
        """The longest silence between two sounds."""
        return max((gap.frames for gap in self.verdict.gaps), default=0) / RATE_HZ

    @property
    def fade_ms(self) -> float:
        """How long the sound was on its way down before it ended, where it was cancelled."""
        return 1000 * self.verdict.altered / RATE_HZ


@dataclass(slots=True)
class Stage:
    """A card, an endpoint and the network between; one for all, so that all have the same."""

    card: PulseCard
    endpoint: SpeechEndpoint
    network: Network

    @asynccontextmanager
    async def session(self, who: Contender, *, busy: bool = False) -> AsyncIterator[Session]:
        """A fresh server of somebody's, that knows nothing of the endpoint."""
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            started_s = time.perf_counter()
            async with who.server(Path(folder), self.card.env, self.network.base_url, busy=busy) as server:
                session = Session(self, who, server, Path(folder) / "data")
                await server.initialize()
                await server.ask("tools/list")
                # A user's first words do not come in the moment in which the host has started.
                busy_s = started_s + BUSY_AFTER_S - time.perf_counter() if busy else 0.0
                await asyncio.sleep(SETTLE_S + max(0.0, busy_s))
                yield session
                server.close_input()
                with contextlib.suppress(TimeoutError):
                    await server.exit_code()
                if who.is_ours:
                    session.first_frames_s = session.by_event_log()


@dataclass(slots=True)
class Session:
    """One server and what it has said so far."""

    stage: Stage
    who: Contender
    server: StdioServer
    base_dir: Path
    takes: list[Take] = field(default_factory=list)
    first_frames_s: list[float] = field(default_factory=list)
    """For each message, from the first byte to the first frame that left for the device. Known when the server has
    ended, and of ours alone, which says so in its event log."""

    async def say(self, message: str) -> Take:
        """Have a message spoken to its end."""
        asked, passed = self._before()
        call = self.who.begin(self.server, message)
        result = await answered(self.server, call, ANSWER_LIMIT_S)
        await self._silence()
        take = self._judged(asked, passed)
        take.failed = result is None or bool(result.get("isError"))
        take.reported_gaps = ((result or {}).get("structuredContent") or {}).get("underruns")
        return take

    async def cancel(self, message: str, after_s: float) -> Take:
        """Have a message spoken, and cancel it ``after_s`` seconds after its first sound."""
        asked, passed = self._before()
        call = self.who.begin(self.server, message)
        await asyncio.to_thread(self.stage.card.wait_for_sound, SILENCE_LIMIT_S)
        await asyncio.sleep(after_s)
        cancelled_s = time.perf_counter()
        self.server.notify("notifications/cancelled", {"requestId": call})
        await self._silence(limit_s=3 * SILENCE_LIMIT_S)
        take = self._judged(asked, passed)
        last_s = self.stage.card.capture.last_sound_s
        take.silence_after_s = None if last_s is None else last_s - cancelled_s
        return take

    def by_event_log(self) -> list[float]:
        """What becomes of ``first_frames_s``."""
        clock = SystemClock()
        starts = [
            datetime.fromisoformat(event["timestamp"])
            for event in logged_events(self.base_dir)
            if event["event_type"] == "TTS_PLAYBACK_START"
        ]
        return [
            (start - clock.utc(take.first_byte_s)).total_seconds()
            for start, take in zip(starts, self.takes, strict=False)
            if take.first_byte_s is not None
        ]

    def _before(self) -> tuple[int, int]:
        self.stage.card.clear()
        return len(self.stage.endpoint.speech), len(self.stage.network.passages)

    async def _silence(self, limit_s: float = SILENCE_LIMIT_S) -> None:
        with contextlib.suppress(AssertionError):  # no sound at all: the judge sees it
            await asyncio.to_thread(self.stage.card.wait_for_silence, AFTERWARDS_S, limit_s)

    def _judged(self, asked: int, passed: int) -> Take:
        said: dict[str, bytes] = {}
        for exchange in self.stage.endpoint.speech[asked:]:
            said.setdefault(exchange.text, exchange.audio)  # a text that is asked for again is meant to be heard once
        passages = self.stage.network.passages[passed:]
        first_byte_s = passages[0].first_byte_s if passages else None
        first_sound_s = self.stage.card.capture.first_sound_s
        sound_after_s = None
        if first_byte_s is not None and first_sound_s is not None:
            sound_after_s = first_sound_s - first_byte_s
        take = Take(
            verdict=judge(self.stage.card.captured(), b"".join(said.values())),
            reported_gaps=None,
            failed=False,
            sound_after_s=sound_after_s,
            first_byte_s=first_byte_s,
            requests=len(passages),
        )
        self.takes.append(take)
        return take
