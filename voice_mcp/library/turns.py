"""What is to be said, and by whom: a text, or a dialogue, line by line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from voice_mcp.core.segmentation import segment
from voice_mcp.errors import InvalidInput, NothingToSay
from voice_mcp.protocols import SpeechEngine

Speaker = int | str
"""A number, for whom a voice is found, or a voice's own name."""
Script = str | Iterable[tuple[Speaker, str]]
"""A text, or the turns of a dialogue."""

CASTS: Mapping[str, Sequence[str]] = {
    "espeak": ("en-us", "en-gb", "en-us+f3", "en-gb-scotland", "en-gb+f4", "en-us+m3", "en-gb-x-rp", "en-us+f5"),
    "kokoro": ("af_heart", "am_michael", "bf_emma", "bm_george", "af_bella", "am_fenrir", "bf_isabella", "bm_fable"),
    "tone": ("sine", "square"),
}
"""Who speaks for speakers 0, 1, 2, ... where nobody was named; voices that are easy to tell apart."""

_TURNS = "Give a text, or pairs of a speaker (a number or a voice) and a text: [(0, 'Hello.'), (1, 'Hi!')]."


@dataclass(frozen=True, slots=True)
class Line:
    """A sentence or a few, which one speaker says in one breath."""

    text: str
    speaker: Speaker


def lines_of(script: Script, speaker: Speaker) -> list[Line]:
    """Cut what is to be said into what engines are given, the first piece short, so that it sounds soon.

    Args:
        script: A text, or turns; those without a word in them are left out.
        speaker: Who says a text.

    Raises:
        NothingToSay: There is not a word in it.
        InvalidInput: It is neither a text nor turns.
    """
    if not isinstance(script, Iterable) or isinstance(script, bytes | bytearray):
        raise InvalidInput(f"{script!r:.60} is neither a text nor a dialogue.", hint=_TURNS)
    turns = [_turn((speaker, script))] if isinstance(script, str) else [_turn(turn) for turn in script]
    lines = [Line(part.text, who) for who, text in turns for part in segment(text) if any(map(str.isalnum, part.text))]
    if not lines:
        raise NothingToSay("There is nothing to say: the text holds no words.")
    return lines


def _turn(turn: object) -> tuple[Speaker, str]:
    match turn:
        case (int() | str() as who, str() as text):
            return who, text
    raise InvalidInput(
        f"{turn!r:.60} is no turn of a dialogue.",
        hint=_TURNS,
    )


class Cast:
    """Which voice each speaker has.

    Args:
        voices: By speaker, or in the order of their numbers; None for those that are easy to tell apart.
    """

    def __init__(self, voices: Mapping[Speaker, str] | Sequence[str] | None = None) -> None:
        if isinstance(voices, str):
            raise InvalidInput(f"voices={voices!r} is one name.", hint=f"Give a list: voices=[{voices!r}].")
        self._voices: dict[Speaker, str] = {}
        if voices is not None:
            if not isinstance(voices, Iterable):
                raise InvalidInput(
                    f"voices={voices!r:.60} are none.", hint="Give a list of names, or names by speaker."
                )
            self._voices = dict(voices) if isinstance(voices, Mapping) else dict(enumerate(voices))
        for voice in self._voices.values():
            if not isinstance(voice, str):
                raise InvalidInput(f"{voice!r:.60} is no voice's name.", hint="`voice-mcp voices` lists the names.")
        self._is_given = voices is not None

    def voice(self, speaker: Speaker, engine: SpeechEngine) -> str | None:
        """The voice of ``speaker`` at ``engine``; None for the engine's own.

        Raises:
            InvalidInput: There is none for that number.
        """
        if speaker in self._voices:
            return self._voices[speaker]
        if isinstance(speaker, str):
            return speaker
        if speaker < 0:
            raise InvalidInput(f"There is no speaker {speaker}.", hint="Speakers are numbered 0, 1, 2, ...")
        if not self._is_given:
            if engine.knows_voice(str(speaker)):
                return str(speaker)  # models that were trained with numbered speakers
            cast = CASTS.get(engine.name, ())
            if speaker < len(cast):
                return cast[speaker]
            if speaker == 0:
                return None
        raise InvalidInput(
            f"There is no voice for speaker {speaker}.", hint="Name one for each: TTS(voices=['first', 'second'])."
        )
