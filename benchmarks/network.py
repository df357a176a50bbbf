"""Speech over bad networks, judged from what a sound card got; the peer beside it, over the same networks.

Every message goes through a network that is bad in the same way for everybody (``tests/support/weather.py``), from an
endpoint on this machine, to a private PulseAudio. ``--quick`` says each thing once.
"""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

from benchmarks.contenders import Contender, ours, theirs
from benchmarks.figures import Figure, median, quantile
from benchmarks.peer import Peer, PeerUnavailable
from benchmarks.scenario import PACE, Result, Scenario
from benchmarks.takes import RATE_HZ, Stage
from tests.support.endpoint import SpeechEndpoint
from tests.support.network import Network
from tests.support.pattern import FRAMES_PER_CHARACTER
from tests.support.pulse import PulseCard
from tests.support.weather import HOTEL, LAN, MOBILE_4G, Profile, cut, hang, outage, slower_than

CLEAN_MESSAGES = 21
"""So many that their median is one: how soon sound begins hangs on where in its period the device is."""
SPEECH_S, QUICK_SPEECH_S = 10, 5
"""How long a message is."""
SLOW_S, QUICK_SLOW_S = 60, 15
STALL_LIMIT_S = 3.0
"""VOICEMODE_STREAM_STALL_TIMEOUT, as it comes."""
SEEDS_APART = 100
"""Between the weathers of two messages: each may take several answers."""

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
THREE_SENTENCES = (
    "This is the {} message, and it has three sentences. Each of them is asked for and spoken as any other would be."
    " When the last one is over, ten seconds have gone by."
)
TWO_SENTENCES = "This is the {} message, and it has two sentences. When it is over, five seconds have gone by."
ONE_SENTENCE = "The {} message is one long sentence and cut in its middle."


async def measure(*, quick: bool = False) -> list[Figure]:
    """Everything, one after the other: two cores give nobody a quiet machine beside somebody else."""
    contenders = [ours(), *await asyncio.to_thread(_peer)]
    bench = _Bench(contenders, quick=quick)
    with PulseCard() as card, SpeechEndpoint() as endpoint, Network(endpoint.port) as network:
        bench.stage = Stage(card, endpoint, network)
        figures = await bench.weather()
        for part in (bench.slow, bench.outages, bench.broken, bench.busy, bench.cancelled):
            figures += await part()
    return figures


def _peer() -> list[Contender]:
    try:
        return [theirs(Peer())]
    except PeerUnavailable as exc:
        print(f"the peer cannot be measured: {exc}", file=sys.stderr, flush=True)
        return []


class _Bench:
    """The scenarios, and what is made of each.

    Args:
        contenders: Ours first.
        quick: Each thing once.
    """

    stage: Stage

    def __init__(self, contenders: Sequence[Contender], *, quick: bool) -> None:
        self._contenders = contenders
        self._quick = quick

    async def weather(self) -> list[Figure]:
        """Clean, 4G and the hotel."""
        clean = await self._run(self._spoken("clean PCM", LAN, CLEAN_MESSAGES))
        mine = clean[0]
        first_ms = 1000 * median(mine.first_frames_s) if mine.first_frames_s else math.inf
        figures = [
            Figure("clean: gaps", mine.bar(mine.gaps), "", 0, self._beside(clean)),
            Figure(
                "clean: frames not heard exactly once",
                mine.bar(mine.wrong_frames + mine.altered_frames),
                "",
                0,
                self._beside(clean, lambda one: str(one.wrong_frames + one.altered_frames)),
            ),
            Figure(
                "clean: first byte to first frame, p50",
                mine.bar(first_ms),
                "ms",
                15,
                "to the card: " + self._beside(clean, lambda one: f"{1000 * one.start_s:.0f} ms"),
            ),
        ]
        for profile in (MOBILE_4G, HOTEL):
            results = await self._run(self._spoken(profile.name, profile))
            mine = results[0]
            added_ms = [1000 * (one.start_s - quiet.start_s) for one, quiet in zip(results, clean, strict=True)]
            shown = dict(zip(map(id, results), added_ms, strict=True))
            figures += [
                Figure(f"{profile.name}: gaps once started", mine.bar(mine.gaps), "", 0, self._beside(results)),
                self._uncounted(profile.name, results),
                Figure(
                    f"{profile.name}: start delay added",
                    mine.bar(added_ms[0]),
                    "ms",
                    300,
                    self._beside(results, lambda one, shown=shown: f"{shown[id(one)]:.0f} ms"),  # type: ignore[misc]
                ),
            ]
        return figures

    async def slow(self) -> list[Figure]:
        """A server that is slower than speech."""
        seconds = QUICK_SLOW_S if self._quick else SLOW_S
        results = await self._run(self._one_sentence("0.9 x", slower_than(2 * RATE_HZ), seconds=seconds))
        mine = results[0]
        return [
            Figure("0.9 x: gaps per minute", mine.bar(mine.gaps_a_minute), "", 3, self._beside(results)),
            self._uncounted("0.9 x", results),
        ]

    async def outages(self) -> list[Figure]:
        """Nothing for a second, with more than that held, and with less."""
        held = await self._run(self._one_sentence("outage, held", outage(self._middle), 2, pace=4.0))
        short = await self._run(self._one_sentence("outage, short", outage(self._middle), 2, pace=1.0))
        off = sum(abs(take.gaps - 1) for take in short[0].takes)
        return [
            Figure("outage of 1 s, as much held: gaps", held[0].bar(held[0].gaps), "", 0, self._beside(held)),
            Figure("outage of 1 s, less held: gaps but one each", short[0].bar(off), "", 0, self._beside(short)),
            self._uncounted("outage of 1 s, less held", short),
        ]

    async def broken(self) -> list[Figure]:
        """A connection that breaks off, and one that falls silent."""
        figures = []
        middle = len(ONE_SENTENCE) * FRAMES_PER_CHARACTER  # bytes of half the sentence
        for name, profile, messages, bar_s, spoken in (
            ("cut in mid-sentence", cut(middle), 2, 1.0, True),
            ("cut in the middle of 10 s", cut(self._middle), 2, 1.0, False),
            ("hung in mid-sentence", hang(middle), 1, STALL_LIMIT_S + 0.5, True),
            ("hung in the middle of 10 s", hang(self._middle), 1, STALL_LIMIT_S + 0.5, False),
        ):
            # The second try begins anew: it takes as long to come back to where the first ended as that took to come.
            scenario = self._one_sentence(name, profile, messages)
            results = await self._run(replace(scenario, audio_bytes=None) if spoken else scenario)
            mine = results[0]
            figures += [
                Figure(
                    f"{name}: frames missing or repeated",
                    mine.bar(mine.wrong_frames),
                    "",
                    0,
                    self._beside(results, lambda one: one.lost),
                ),
                Figure(f"{name}: longest silence", mine.bar(mine.dead_air_s), "s", bar_s, self._beside(results)),
                self._uncounted(name, results),
            ]
        return figures

    async def busy(self) -> list[Figure]:
        """Three threads that do nothing but compute, in the server's process."""
        results = await self._run(replace(self._spoken("busy", LAN), messages=self._few(2), peer_messages=1, busy=True))
        mine = results[0]
        return [Figure("three busy threads in the server: gaps", mine.bar(mine.gaps), "", 0, self._beside(results))]

    async def cancelled(self) -> list[Figure]:
        """How soon it is silent when told to, and how it ends."""
        scenario = self._one_sentence("cancel", LAN, 20, peer_messages=3)
        results = await self._run(replace(scenario, messages=20 if not self._quick else 5), cancel=True)
        takes = results[0].takes
        silences_ms = [1000 * take.silence_after_s for take in takes if take.silence_after_s is not None]
        return [
            Figure(
                "cancel to the last sound, p99",
                quantile(silences_ms, 0.99) if silences_ms else math.inf,
                "ms",
                100,
                self._beside(results, _shown_silences),
            ),
            Figure(
                "cancels that end with less than 5 ms of fade",
                sum(take.fade_ms < 5.0 for take in takes),
                "",
                0,
                self._beside(results, lambda one: f"shortest {min(take.fade_ms for take in one.takes):.1f} ms"),
            ),
        ]

    # --- running

    @property
    def _middle(self) -> int:
        return self._speech_s * RATE_HZ

    @property
    def _speech_s(self) -> int:
        return QUICK_SPEECH_S if self._quick else SPEECH_S

    def _few(self, messages: int) -> int:
        return 1 if self._quick else messages

    def _spoken(self, name: str, profile: Profile, messages: int = 5) -> Scenario:
        text = TWO_SENTENCES if self._quick else THREE_SENTENCES
        return Scenario(name, profile, self._few(messages), self._few(2), text)

    def _one_sentence(
        self,
        name: str,
        profile: Profile,
        messages: int = 1,
        *,
        peer_messages: int = 1,
        seconds: int | None = None,
        pace: float = PACE,
    ) -> Scenario:
        size = 2 * RATE_HZ * (seconds or self._speech_s)
        return Scenario(name, profile, self._few(messages), self._few(peer_messages), ONE_SENTENCE, size, pace)

    async def _run(self, scenario: Scenario, *, cancel: bool = False) -> list[Result]:
        results = []
        for who in self._contenders:
            print(f"  {scenario.name}: {who.name} ...", end=" ", file=sys.stderr, flush=True)
            result = Result()
            try:
                await self._act(scenario, who, result, cancel=cancel)
            except (AssertionError, EOFError, TimeoutError) as exc:
                result.problem = f"did not finish ({type(exc).__name__}: {str(exc).strip()[:80]})"
            print(_shown_silences(result) if cancel else result, file=sys.stderr, flush=True)
            results.append(result)
        return results

    async def _act(self, scenario: Scenario, who: Contender, result: Result, *, cancel: bool) -> None:
        self.stage.endpoint.always(scenario.behaviour())
        async with self.stage.session(who, busy=scenario.busy) as session:
            for number in range(scenario.messages if who.is_ours else scenario.peer_messages):
                self.stage.network.change(scenario.profile, seed=SEEDS_APART * number)
                # Each in words of its own: what is said again and again may come from a cache.
                message = scenario.text.format(f"{ORDINALS[number // 10]} {ORDINALS[number % 10]}")
                if cancel:
                    # At another moment of the device's period each time.
                    result.takes.append(await session.cancel(message, 0.6 + 0.0037 * number))
                else:
                    result.takes.append(await session.say(message))
        result.first_frames_s = session.first_frames_s

    # --- showing

    def _beside(self, results: Sequence[Result], show: Callable[[Result], str] = str) -> str:
        """What was found of each, by name."""
        shown = [one.problem if one.problem is not None else show(one) for one in results]
        return "; ".join(f"{who.name}: {text}" for who, text in zip(self._contenders, shown, strict=True))

    def _uncounted(self, name: str, results: Sequence[Result]) -> Figure:
        """Whether every gap was reported, and none that was not there."""
        mine = results[0]
        shown = self._beside(results, lambda one: f"{one.uncounted} of {one.gaps}")
        return Figure(f"{name}: gaps not reported, or not there", mine.bar(mine.uncounted), "", 0, shown)


def _shown_silences(result: Result) -> str:
    if result.problem is not None:
        return result.problem
    silences_ms = sorted(1000 * (take.silence_after_s or 0.0) for take in result.takes)
    return f"median {median(silences_ms):.0f} ms, worst {silences_ms[-1]:.0f} ms of {len(silences_ms)}"
