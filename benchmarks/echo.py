"""Open loudspeakers: how much of the agent's voice is taken out of what a microphone hears, and who interrupts.

Two things in one run, in computed rooms (``tests/support/rooms.py``): what the cancellers leave of an echo and of
somebody who speaks at the same time; and ``BargeIn`` as the product puts it together, from the frames that are handed
to the device and the reports of the audio process to the decision, with the agent alone and with somebody interrupting.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from benchmarks.figures import Figure, median, quantile
from tests.support.echoes import Scene, agent_says, interruptions, phrases
from tests.support.noises import RATE_HZ, Sound
from tests.support.rooms import Room, as_pcm, as_sound, level_db
from voice_mcp.core.barge_in import BargeIn
from voice_mcp.core.echo_removal import EchoRemoval
from voice_mcp.core.interruption import Interrupted
from voice_mcp.echo.webrtc import WebRtcCanceller
from voice_mcp.protocols import EchoCanceller
from voice_mcp.types import LISTENING_FORMAT
from voice_mcp.vad.silero import SileroDetector

ROOMS = (
    Room("desk", "desk", delay_s=0.03, decay_s=0.2, direct_db=6.0),
    Room("room", "room", delay_s=0.06),
    Room("far devices, 150 ms", "far", delay_s=0.15),
    Room("far devices, 250 ms", "farther", delay_s=0.25),
    Room("living room, across", "living", delay_s=0.08, decay_s=0.6, direct_db=-6.0),
    Room("hall", "hall", decay_s=0.9, direct_db=-3.0),
    Room("overdriven loudspeaker", "driven", drive=2.0),
    Room("two clocks, 100 ppm", "clocks", skew_ppm=100.0),
)
LEVELS_DB = (-24.0, -34.0)
"""How loud the echo is at the microphone, in dBFS."""
VOICES = ("en-us", "de", "en-gb")
AGENT_ALONE_S = 45.0
TALKED_OVER_S = 45.0
RELATIVE_DB = (-6.0, 0.0, 6.0)
"""How loud somebody is who interrupts, beside the echo."""
HOP_FRAMES = 320
SETTLED_S = 5.0
SLIP_S = 0.012
"""How much later a real device was, through PortAudio and PulseAudio, after its first words."""
FALSE_BAR = 0.0
MISSED_BAR = 5.0
PRE_ROLL_S = 0.5
LATE_BAR = 0.4
CPU_BAR = 4.0


@dataclass(slots=True)
class Tally:
    """What came of the scenes in which somebody interrupts."""

    found: int = 0
    missed: int = 0
    late_s: list[float] = field(default_factory=list)
    begun_s: list[float] = field(default_factory=list)
    """From when speech was said to have begun to when it did, where it was found."""

    @property
    def all(self) -> int:
        """How many there were."""
        return self.found + self.missed

    @property
    def share(self) -> float:
        """Of all interruptions, those that were found, in percent."""
        return 100 * self.found / max(1, self.all)


async def measure() -> list[Figure]:
    """Measure cancelling and interrupting."""
    return [*await _cancelling(), *await _false_interruptions(), *await _interruptions()]


async def _cancelling() -> list[Figure]:
    figures = []
    for name, make in (("WebRTC alone", WebRtcAlone), ("ours", WebRtcCanceller)):
        early, late, kept, cpu = [], [], [], []
        for room in ROOMS:
            voice = await agent_says(VOICES[0], 20.0)
            alone = Scene(room, voice, LEVELS_DB[0])
            both = Scene(room, voice, LEVELS_DB[0], tuple(interruptions(phrases(), len(voice), -6.0, seed=room.name)))
            out, used = cancelled(make(), alone.heard, voice)
            early.append(level_db(alone.heard[RATE_HZ : 3 * RATE_HZ]) - level_db(out[RATE_HZ : 3 * RATE_HZ]))
            start = round(SETTLED_S * RATE_HZ)
            late.append(level_db(alone.heard[start:]) - level_db(out[start:]))
            kept.append(_kept_db(both, cancelled(make(), both.heard, voice)[0]))
            cpu.append(used)
        worst = ROOMS[int(np.argmin(late))].name
        figures += [
            Figure(f"{name}: echo taken out, second 2 and 3", median(early), "dB", detail=f"least {min(early):.0f}"),
            Figure(f"{name}: echo taken out, after 5 s", median(late), "dB", detail=f"least {min(late):.0f} ({worst})"),
            Figure(f"{name}: a voice at -6 dB beside it, lost", median(kept), "dB", detail=f"most {max(kept):.1f}"),
            Figure(f"{name}: processor", 100 * median(cpu), "% of a core"),
        ]
    return figures


async def _false_interruptions() -> list[Figure]:
    counts: dict[str, int] = {}
    spoken_s, cpu_s = 0.0, 0.0
    for number, room in enumerate(ROOMS):
        for level_dbfs in LEVELS_DB:
            voice = await agent_says(VOICES[number % len(VOICES)], AGENT_ALONE_S)
            scene = Scene(room, voice, level_dbfs)
            began_s = time.process_time()
            decisions = listened(scene)
            cpu_s += time.process_time() - began_s
            counts[room.name] = counts.get(room.name, 0) + len(decisions)
            spoken_s += len(voice) / RATE_HZ
    where = ", ".join(f"{name} {count}" for name, count in counts.items() if count) or "none"
    slips = 0
    for room in ROOMS:
        voice = await agent_says(VOICES[0], 10.0)
        voice = np.concatenate([voice, np.zeros(2 * RATE_HZ), voice])
        slips += len(listened(Scene(room, voice, LEVELS_DB[0], slip_s=SLIP_S)))
    detail = f"in {spoken_s / 60:.1f} minutes of the agent's voice: {where}"
    cpu = Figure("listening while the agent speaks: processor", 100 * cpu_s / spoken_s, "% of a core", CPU_BAR)
    return [
        Figure("the agent interrupts itself", float(sum(counts.values())), "times", FALSE_BAR, detail),
        Figure(
            f"the same where the device is {1000 * SLIP_S:.0f} ms later after a pause",
            float(slips),
            "times",
            detail=f"in {len(ROOMS)} rooms, {len(ROOMS) * 20 / 60:.1f} minutes",
        ),
        cpu,
    ]


async def _interruptions() -> list[Figure]:
    figures = []
    for relative_db in RELATIVE_DB:
        tally, late_rooms = Tally(), []
        for number, room in enumerate(ROOMS):
            voice = await agent_says(VOICES[(number + 1) % len(VOICES)], TALKED_OVER_S)
            users = tuple(interruptions(phrases(), len(voice), relative_db, seed=f"{room.name} {relative_db}"))
            before = len(tally.late_s)
            _judge(Scene(room, voice, LEVELS_DB[0], users), tally)
            if quantile(tally.late_s[before:], 0.95) > LATE_BAR:
                late_rooms.append(room.name)
        name = f"somebody at {relative_db:+.0f} dB beside the echo"
        late = quantile(tally.late_s, 0.95)
        begun = quantile(tally.begun_s, 0.95)
        detail = f"p50 {median(tally.late_s):.2f} s" + (f"; late in {', '.join(late_rooms)}" if late_rooms else "")
        figures += [
            Figure(f"{name}: not noticed", 100 - tally.share, "%", MISSED_BAR, f"{tally.missed} of {tally.all}"),
            Figure(f"{name}: first syllable to decision, p95", late, "s", LATE_BAR, detail),
            Figure(f"{name}: speech begins later than it did, p95", begun, "s", PRE_ROLL_S, "bar: the pre-roll"),
        ]
    return figures


def _judge(scene: Scene, tally: Tally) -> None:
    decisions = listened(scene)
    for user in scene.users:
        mine = [each for each in decisions if user.begins_s <= each.at_s <= user.ends_s + 0.3]
        if mine:
            tally.found += 1
            tally.late_s.append(mine[0].at_s - user.begins_s)
            tally.begun_s.append(mine[0].speech_s - user.begins_s)
        else:
            tally.missed += 1


def listened(scene: Scene) -> list[Interrupted]:
    """Every interruption that is found in a scene; after each the agent goes on as if nothing had been."""
    played = scene.played()
    barge_in = BargeIn(SileroDetector(), EchoRemoval(WebRtcCanceller(), played))
    barge_in.agent_speaks()
    found: list[Interrupted] = []
    for sound in scene.captured(HOP_FRAMES):
        scene.report(played, sound.at_s)
        found += (each for each in barge_in.add(sound).decisions if isinstance(each, Interrupted))
        if barge_in.is_interrupted and sound.at_s >= found[-1].at_s + 0.5:
            barge_in.agent_speaks()
    return found


class WebRtcAlone:
    """WebRTC's canceller as it comes, to compare with."""

    delay_frames = 128

    def __init__(self) -> None:
        from pywebrtc_audio import EchoCanceller as Canceller

        self._canceller = Canceller(LISTENING_FORMAT.rate_hz, 1)

    def cancel(self, heard: bytes, played: bytes) -> bytes:
        """Whole frames of 10 ms."""
        left = self._canceller.process(np.frombuffer(heard, "<i2"), np.frombuffer(played, "<i2"))
        return bytes(left.astype("<i2").data)


def cancelled(canceller: EchoCanceller, heard: Sound, played: Sound) -> tuple[Sound, float]:
    """What is left of ``heard``, at the time it was heard; and the share of a core it took."""
    began_s = time.process_time()
    pairs = zip(_hops(heard), _hops(played), strict=True)
    out = as_sound(b"".join(canceller.cancel(*pair) for pair in pairs))
    share = (time.process_time() - began_s) / (len(heard) / RATE_HZ)
    return np.concatenate([out[canceller.delay_frames :], np.zeros(canceller.delay_frames)]), share


def _hops(sound: Sound) -> Iterator[bytes]:
    whole = as_pcm(sound[: len(sound) // HOP_FRAMES * HOP_FRAMES])
    return (whole[at : at + 2 * HOP_FRAMES] for at in range(0, len(whole), 2 * HOP_FRAMES))


def _kept_db(scene: Scene, out: Sound) -> float:
    """How much of the voices beside the echo is missing, in dB: what of them is found again in what is left."""
    lost = []
    for user in scene.users:
        left = out[user.at : user.at + len(user.sound)]
        voice = user.sound[: len(left)] * 10.0 ** (scene.echo_db / 20.0)
        share = float(voice @ left) / max(1.0, float(voice @ voice))
        lost.append(-20 * np.log10(max(share, 1e-3)))
    return float(np.median(lost))
