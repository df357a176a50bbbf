"""Which voice somebody means: every way of naming one of espeak-ng's voices, and the nearest names when none fits."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from voice_mcp.errors import UnknownVoice
from voice_mcp.types import Voice

_LANGUAGE_AND_REGION = re.compile(r"([a-z]{2,3})-(?:[a-z]{2}|\d{3})")
_DICTIONARY_LINE = re.compile(r"^dictionary\s+(\S+)", re.MULTILINE)
_SUGGESTIONS = 3
_ALIKE = 0.7
"""Less alike than this is a name from somewhere else (``nova``), and a guess would mislead."""


@dataclass(frozen=True, slots=True)
class InstalledVoice:
    """A voice as the library lists it."""

    identifier: str
    """Its file, as in ``gmw/en-US``; variants are in ``!v/``."""
    title: str
    """As in ``English (America)``."""
    languages: tuple[tuple[int, str], ...]
    """Priority (a smaller number is a better fit) and language code, the main one first."""

    @property
    def stem(self) -> str:
        """The last part of the identifier."""
        return self.identifier.rpartition("/")[2]

    @property
    def code(self) -> str:
        """The main language's code."""
        return self.languages[0][1]


@dataclass(frozen=True, slots=True)
class ChosenVoice:
    """What a name turned out to mean."""

    identifier: str
    """What the library is given."""
    name: str
    """What the user is shown; means the same voice when it is passed again."""


class VoiceCatalogue:
    """The installed voices by all their names.

    Args:
        installed: What the library lists.
        variants: Its variants (``f3``, ``klatt``, ...), which change the sound of any voice.
    """

    def __init__(self, installed: Sequence[InstalledVoice], variants: Iterable[InstalledVoice]) -> None:
        self._identifiers: dict[str, str] = {}
        for voice in installed:
            # Two voices may have one main language (yue): the second is known by its file.
            name = voice.code.lower()
            self._identifiers[voice.stem.lower() if name in self._identifiers else name] = voice.identifier
        self._names = {identifier: name for name, identifier in self._identifiers.items()}
        self._voices = {voice.identifier: voice for voice in installed}
        self._by_any_name = self._all_names()
        self._variants = {_key(name): variant.stem for variant in variants for name in (variant.title, variant.stem)}

    def voices(self, engine: str) -> list[Voice]:
        """Every voice, by name."""
        return [
            Voice(name, engine, _bcp47(self._voices[identifier].code), self._voices[identifier].title)
            for name, identifier in sorted(self._identifiers.items())
        ]

    def choose(self, wanted: str) -> ChosenVoice:
        """The voice that ``wanted`` names, in any case.

        Args:
            wanted: A name, a language code (a region that has no voice of its own gets the language's), a title
                (``German``), an identifier, each also with ``+variant``.

        Raises:
            UnknownVoice: There is no such voice or variant; the hint has the nearest names.
        """
        base, plus, variant = _key(wanted).partition("+")
        identifier = self._by_any_name.get(base) or self._language_alone(base)
        if identifier is None:
            raise self._unknown(wanted, base, self._by_any_name)
        if not plus:
            return ChosenVoice(identifier, self._names[identifier])
        stem = self._variants.get(variant)
        if stem is None:
            raise self._unknown(wanted, variant, self._variants, prefix=f"{base}+")
        return ChosenVoice(f"{identifier}+{stem}", f"{self._names[identifier]}+{stem}")

    def _all_names(self) -> dict[str, str]:
        names = dict(self._identifiers)
        for voice in self._voices.values():
            for key in (voice.stem, voice.identifier, voice.title):
                names.setdefault(_key(key), voice.identifier)
        ranked = sorted(
            (priority, code.lower(), voice.identifier)
            for voice in self._voices.values()
            for priority, code in voice.languages
        )
        for _, code, identifier in ranked:
            names.setdefault(code, identifier)
        for voice in self._voices.values():
            # "French" is whatever "fr" is, not the first voice that happens to be called "French (...)".
            language = names.get(voice.code.lower().partition("-")[0], voice.identifier)
            names.setdefault(voice.title.lower().partition(" (")[0], language)
        return names

    def _language_alone(self, code: str) -> str | None:
        match = _LANGUAGE_AND_REGION.fullmatch(code)
        return self._by_any_name.get(match[1]) if match else None

    def _unknown(self, wanted: str, part: str, known: Iterable[str], prefix: str = "") -> UnknownVoice:
        near = difflib.get_close_matches(part, list(known), n=_SUGGESTIONS, cutoff=_ALIKE)
        if not near:
            return UnknownVoice(f"espeak has no voice {wanted!r}.")
        hint = f"Did you mean {' or '.join(prefix + name for name in near)}? `voice-mcp voices` lists them all."
        return UnknownVoice(f"espeak has no voice {wanted!r}.", hint=hint)


def with_dictionary(voices: Iterable[InstalledVoice], data_path: Path) -> list[InstalledVoice]:
    """The voices that can really speak.

    Some are listed although their dictionary was never built; they make no sound and write to stderr.
    """
    dictionaries = {path.name.removesuffix("_dict") for path in data_path.glob("*_dict")}

    def can_speak(voice: InstalledVoice) -> bool:
        if voice.code.partition("-")[0] in dictionaries:
            return True
        definition = (data_path / "lang" / voice.identifier).read_text("utf-8", errors="replace")
        match = _DICTIONARY_LINE.search(definition)
        return match is not None and match[1] in dictionaries

    return [voice for voice in voices if can_speak(voice)]


def _key(name: str) -> str:
    return name.strip().lower().replace("_", "-")


def _bcp47(code: str) -> str:
    """The code with the letter case of BCP 47: ``en-us`` is ``en-US``, ``fa-latn`` is ``fa-Latn``."""
    language, *others = code.lower().split("-")
    private = others.index("x") if "x" in others else len(others)
    casing = {2: str.upper, 4: str.title}
    return "-".join([language, *(casing.get(len(tag), str)(tag) for tag in others[:private]), *others[private:]])
