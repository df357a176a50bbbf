"""A loudspeaker that speaks and a microphone that hears it, as the server knows both: frames, reports, and times.

The agent speaks with the embedded voice, people with those of the corpus. Reports lie as far from the truth as those of
the audio process do: a fraction of a millisecond mostly, a period early now and then, the first a whole buffer late.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache, cached_property

import numpy as np

from tests.support.corpus import VOICES, sessions
from tests.support.noises import RATE_HZ, Dice, Sound
from tests.support.rooms import Room, as_pcm, as_sound, at_level, level_db, speech_level_db
from voice_mcp.codecs.conversion import Converter
from voice_mcp.core.played_sound import PlayedSound
from voice_mcp.tts.espeak import EspeakEngine
from voice_mcp.types import LISTENING_FORMAT, CapturedSound, PlaybackEvent, PlaybackEventType, SpeechRequest

AGENT_DB = -18.0
CLOCK_S = 1000.0
"""When the microphone hears its first frame."""
AGENT_BEGINS_S = 0.5
"""How much later the agent begins."""
_QUIET_RMS = 33.0
_REPORT_S = 0.04
_AHEAD_S = 2.0
_BUFFER_S = 0.03
_PERIOD_S = 0.01
_SHORTEST_PHRASE_S = 0.5
_ONSET_DB = -15.0
_TEXTS = (
    "I have looked at the tests that fail, and two of them share one cause: the server closes the socket too early.",
    "The change touches three files. The first keeps the list of connections, the second reads the settings.",
    "Shall I write the migration now, or would you rather see the plan first? It would take about ten minutes.",
    "All tests pass. The slowest one takes four seconds, which is mostly spent waiting for the database to start.",
    "One thing is not clear to me. The old function returned an empty list where the new one raises an error.",
    "I found seven places where the time-out is written as a plain number. I would put it into the settings.",
)


@dataclass(frozen=True, slots=True)
class Voice:
    """Somebody who speaks once, in the sound of a whole scene."""

    begins_s: float
    """When the first syllable can be heard, on the clock."""
    ends_s: float
    at: int
    """With which frame of the scene it begins."""
    sound: Sound


@dataclass(frozen=True)
class Scene:
    """The agent speaks for a while, and perhaps others."""

    room: Room
    voice: Sound
    """What the agent says."""
    echo_db: float
    """How loud the microphone hears that."""
    users: tuple[Voice, ...] = ()
    slip_s: float = 0.0
    """From the middle on the loudspeaker is this much later than it says, after a second of silence."""
    _reports: list[PlaybackEvent] = field(default_factory=list)

    @cached_property
    def heard(self) -> Sound:
        """What the microphone hears, from the agent's first frame on."""
        loud = self.room.echo(self.voice)
        middle, late = len(loud) // 2, round(self.slip_s * RATE_HZ)
        loud = np.concatenate([loud[:middle], np.zeros(late), loud[middle:]])[: len(loud)]
        sound = loud * 10.0 ** ((self.echo_db - speech_level_db(loud)) / 20.0)
        sound += Dice(f"quiet {self.room.seed}").noise(len(sound)) * (_QUIET_RMS * 3**0.5)
        for user in self.users:
            sound[user.at : user.at + len(user.sound)] += user.sound * 10.0 ** (self.echo_db / 20.0)
        out: Sound = np.clip(np.rint(sound), -32768, 32767)
        return out

    def captured(self, hop_frames: int) -> Iterator[CapturedSound]:
        """What the microphone gives, from before the agent begins on; its times are right to 2 ms."""
        dice = Dice(f"times {self.room.seed}")
        silence = np.zeros(round(AGENT_BEGINS_S * RATE_HZ))
        whole = as_pcm(np.concatenate([silence, self.heard]))
        for at in range(0, len(whole) // 2 // hop_frames * hop_frames, hop_frames):
            off_s = (dice.below(41) - 20) / 10_000
            frames = whole[2 * at : 2 * (at + hop_frames)]
            yield CapturedSound(frames, CLOCK_S + at / RATE_HZ + off_s)

    def played(self) -> PlayedSound:
        """Somebody who is told what the agent says; ``report`` tells."""
        played = PlayedSound(Converter)
        played.begin(LISTENING_FORMAT)
        self._reports[:] = [*self._events()]
        self._written[:] = [0]
        return played

    def report(self, played: PlayedSound, now_s: float) -> None:
        """Tell all that is known at ``now_s``: frames ahead of time, reports as they come."""
        due = min(len(self.voice), round((now_s + _AHEAD_S - CLOCK_S - AGENT_BEGINS_S) * RATE_HZ))
        if due > self._written[0]:
            played.write(as_pcm(self.voice[self._written[0] : due]))
            self._written[0] = due
        while self._reports and self._reports[0].left_at_s <= now_s:
            played.take(self._reports.pop(0))

    @cached_property
    def _written(self) -> list[int]:
        return [0]

    def _events(self) -> Iterator[PlaybackEvent]:
        dice = Dice(f"reports {self.room.seed}")
        begins_s = CLOCK_S + AGENT_BEGINS_S
        yield PlaybackEvent(PlaybackEventType.OPENED, backend="sounddevice")
        yield _event(PlaybackEventType.STARTED, 0, begins_s + _BUFFER_S)
        step = round(_REPORT_S * RATE_HZ)
        for frames in range(step, len(self.voice), step):
            off_s = -_PERIOD_S if dice.below(8) == 0 else dice.below(3) / 10_000
            yield _event(PlaybackEventType.POSITION, frames, begins_s + frames / RATE_HZ + off_s)
        ended = _event(PlaybackEventType.ENDED, len(self.voice), begins_s + len(self.voice) / RATE_HZ)
        yield replace(ended, heard_frames=len(self.voice))


async def agent_says(voice: str, seconds: float) -> Sound:
    """So many seconds of the embedded voice, with a pause after each message."""
    engine, count = EspeakEngine(), 0
    pieces: list[Sound] = []
    wanted = round(seconds * RATE_HZ)
    try:
        while count < wanted:
            piece = await _said(engine, voice, _TEXTS[len(pieces) // 2 % len(_TEXTS)])
            pieces += [piece, np.zeros(RATE_HZ // 3)]
            count += len(piece) + RATE_HZ // 3
    finally:
        await engine.aclose()
    return at_level(np.concatenate(pieces)[:wanted], AGENT_DB)


async def _said(engine: EspeakEngine, voice: str, text: str) -> Sound:
    stream = await engine.open(SpeechRequest(text, voice))
    converter = Converter(stream.pcm_format or engine.expected_format, LISTENING_FORMAT)
    try:
        pcm = b"".join([converter.convert(block) async for block in stream]) + converter.flush()
    finally:
        await stream.aclose()
    return as_sound(pcm)


@cache
def phrases() -> tuple[Sound, ...]:
    """What people say, from their first audible moment on; their speech at full scale, 0 dBFS."""
    import soundfile

    speakers = {session.speaker["name"]: session.speaker for session in sessions("table")}
    found = []
    for name, speaker in speakers.items():
        samples, _ = soundfile.read(VOICES / f"{name}.flac", dtype="int16")
        for turn in speaker["turns"]:
            first, end = turn["phrases"][0]
            spoken = at_level(np.asarray(samples[first:end], dtype=np.float64), 0.0)
            spoken = spoken[_onset(spoken) :]
            if len(spoken) >= _SHORTEST_PHRASE_S * RATE_HZ:
                found.append(spoken)
    return tuple(found)


def interruptions(
    said: tuple[Sound, ...], frames: int, relative_db: float, *, seed: str, after_s: float = 5.0
) -> Iterator[Voice]:
    """People who speak at moments drawn by chance, while the agent does; ``relative_db`` louder than the echo."""
    dice = Dice(f"interruptions {seed}")
    at = round(after_s * RATE_HZ)
    while True:
        at += dice.below(RATE_HZ)
        sound = said[dice.below(len(said))] * 10.0 ** (relative_db / 20.0)
        if at + len(sound) > frames - RATE_HZ:
            return
        begins_s = CLOCK_S + AGENT_BEGINS_S + at / RATE_HZ
        yield Voice(begins_s, begins_s + len(sound) / RATE_HZ, at, sound)
        at += len(sound) + 3 * RATE_HZ // 2


def _onset(sound: Sound) -> int:
    """The first moment that is not much softer than the rest."""
    window = RATE_HZ // 50
    loud = (at for at in range(0, len(sound), window) if level_db(sound[at : at + window]) >= _ONSET_DB)
    return next(loud, 0)


def _event(kind: PlaybackEventType, frames: int, heard_at_s: float) -> PlaybackEvent:
    return PlaybackEvent(kind, frames, left_at_s=heard_at_s - _BUFFER_S, heard_at_s=heard_at_s)
