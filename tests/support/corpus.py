"""Speech with its truth: who speaks when, in which noise, to the sample. Computed from ``tests/data/voices``, or from
another folder of the same kind.

A ``Session`` is one speaker in one place, several turns in a row, in the order they are listened to. A turn is its
phrases with the pauses of a person who thinks between them, in front of it a moment and behind it five seconds in which
nobody speaks. A ``Disturbance`` is ten seconds in which nobody speaks at all.

Two parts with other speakers and other draws: ``tuning`` is what settings are chosen on, ``table`` what is reported.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import soundfile
from numpy.typing import NDArray

from tests.support.noises import NOISES, RATE_HZ, Dice, Sound, in_room, rms

Part = Literal["tuning", "table"]

VOICES = Path(__file__).parent.parent / "data" / "voices"
TURNS_A_SESSION = 6
DRAWS: dict[Part, int] = {"tuning": 4, "table": 2}
"""How often every speaker comes to every place, with other pauses, levels and noise."""
TAIL_S = 5.0
DISTURBANCE_S = 10.0
DRAWS_A_DISTURBANCE = 18

_VOICE_RMS = 2048.0
_QUIET_RMS = 33.0
"""-60 dBFS: a quiet room."""
_LEVELS_RMS = (583.0, 1036.0, 1842.0, 3277.0, 5827.0, 8231.0)
"""-35, -30, -25, -20, -15 and -12 dBFS."""
_PAUSES_S = {
    "brisk": (0.3, 0.35, 0.4, 0.45, 0.5, 0.6),
    "even": (0.3, 0.4, 0.5, 0.6, 0.8, 1.0),
    "thoughtful": (0.5, 0.7, 0.9, 1.1, 1.3, 1.6, 2.0),
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody speaks."""

    name: str
    noise: str
    below_speech: float
    """How many times weaker than the speech the noise is; 0: only as loud as a quiet room."""
    echoes: bool = False


PLACES = (
    Place("quiet", "silence", 0.0),
    Place("hum, 20 dB", "hum", 10.0),
    Place("fan, 10 dB", "fan", 3.162),
    Place("hiss, 10 dB", "white", 3.162),
    Place("keyboard, 5 dB", "keyboard", 1.778),
    Place("music, 10 dB", "music", 3.162),
    Place("room", "silence", 0.0, echoes=True),
    Place("room and fan, 15 dB", "fan", 5.623, echoes=True),
)
DISTURBANCES = ("silence", "fan", "hum", "keyboard", "music", "coughs", "claps")


@dataclass(frozen=True, slots=True)
class Listening:
    """One stretch of captured sound."""

    pcm: bytes
    """int16, 16 kHz, mono."""
    speech: tuple[tuple[float, float], ...]
    """From when to when somebody really speaks, in seconds; empty where nobody does."""
    phrases: tuple[str, ...] = ()
    """What is said then."""

    def said_by(self, at_s: float) -> str:
        """What somebody who hears well has understood by then; as little punctuated as the corpus is."""
        done = [text for text, (_, end_s) in zip(self.phrases, self.speech, strict=True) if end_s <= at_s]
        return " ".join(done)

    @property
    def turn_end_s(self) -> float:
        """When the last word is over."""
        return self.speech[-1][1]


@dataclass(frozen=True, slots=True)
class Session:
    """One speaker in one place."""

    part: Part
    speaker: dict[str, Any]
    place: Place
    draw: int = 0
    folder: Path = VOICES

    @property
    def name(self) -> str:
        """Who and where."""
        return f"{self.speaker['name']}, {self.place.name}"

    @property
    def manner(self) -> str:
        """How long the speaker thinks: brisk, even or thoughtful."""
        return str(self.speaker["manner"])

    def turns(self) -> Iterator[Listening]:
        """What is captured, turn by turn."""
        dice = Dice(f"{self.part} {self.name} {self.draw}")
        offset = dice.below(len(self.speaker["turns"]))
        for number in range(TURNS_A_SESSION):
            turn = self.speaker["turns"][(offset + number) % len(self.speaker["turns"])]
            yield self._turn(turn, dice)

    def _turn(self, turn: dict[str, Any], dice: Dice) -> Listening:
        voice = _voice(self.folder / f"{self.speaker['name']}.flac")
        pieces = [np.zeros(RATE_HZ // 2 + dice.below(RATE_HZ))]
        at, speech = len(pieces[0]), []
        for number, (first, end) in enumerate(turn["phrases"]):
            if number:
                pause = np.zeros(round(dice.choice(_PAUSES_S[self.manner]) * RATE_HZ))
                pieces.append(pause)
                at += len(pause)
            pieces.append(voice[first:end])
            speech.append((at / RATE_HZ, (at + end - first) / RATE_HZ))
            at += end - first
        pieces.append(np.zeros(round(TAIL_S * RATE_HZ)))
        level = dice.choice(_LEVELS_RMS)
        spoken = np.concatenate(pieces) * (level / _VOICE_RMS)
        if self.place.echoes:
            spoken = in_room(spoken, dice)
        pcm = _mixed(spoken, self._noise(len(spoken), level, dice))
        return Listening(pcm, tuple(speech), tuple(turn["text"].split(" ... ")))

    def _noise(self, count: int, level: float, dice: Dice) -> Sound:
        noise = NOISES[self.place.noise](dice, count)
        wanted = level / self.place.below_speech if self.place.below_speech else _QUIET_RMS
        return noise * (wanted / rms(noise))


@dataclass(frozen=True, slots=True)
class Disturbance:
    """Ten seconds in which nobody speaks."""

    part: Part
    noise: str
    draw: int

    def sound(self) -> Listening:
        """What is captured."""
        dice = Dice(f"{self.part} {self.noise} {self.draw}")
        noise = NOISES[self.noise](dice, round(DISTURBANCE_S * RATE_HZ))
        level = _QUIET_RMS if self.noise == "silence" else _LEVELS_RMS[self.draw % len(_LEVELS_RMS)]
        return Listening(_mixed(noise * (level / rms(noise)), np.zeros(len(noise))), ())


def sessions(part: Part, folder: Path = VOICES) -> list[Session]:
    """Every speaker of a part in every place."""
    draws, speakers = range(DRAWS[part]), _index(folder)[part]
    return [Session(part, speaker, place, draw, folder) for speaker in speakers for place in PLACES for draw in draws]


def disturbances(part: Part) -> list[Disturbance]:
    """Every noise, at every level."""
    return [Disturbance(part, noise, draw) for noise in DISTURBANCES for draw in range(DRAWS_A_DISTURBANCE)]


def _mixed(sound: Sound, noise: Sound) -> bytes:
    return np.clip(np.rint(sound + noise), -32768, 32767).astype("<i2").tobytes()


@cache
def _index(folder: Path) -> dict[Part, list[dict[str, Any]]]:
    loaded: dict[Part, list[dict[str, Any]]] = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    return loaded


@cache
def _voice(path: Path) -> NDArray[np.float64]:
    samples, _ = soundfile.read(path, dtype="int16")
    return np.asarray(samples, dtype=np.float64)
