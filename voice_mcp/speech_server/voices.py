"""What a client's voice name means here, so that clients made for other services work unchanged."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

from voice_mcp.protocols import SpeechEngine
from voice_mcp.speech_server.errors import ApiError

OPENAI_VOICES: Mapping[str, str] = {
    "alloy": "en-us+f1",
    "ash": "en-us+m3",
    "ballad": "en-gb+m7",
    "cedar": "en-us+m2",
    "coral": "en-us+f2",
    "echo": "en-us+m1",
    "fable": "en-gb+m4",
    "marin": "en-us+f5",
    "nova": "en-us+f3",
    "onyx": "en-us+m5",
    "sage": "en-us+f4",
    "shimmer": "en-gb+f2",
    "verse": "en-us+m6",
}
"""OpenAI's voices and who stands in for each: a voice of its own, of the same kind."""

_KOKORO = re.compile(r"([abefhijpz])([fm])_[a-z]+")
"""Kokoro's names say the language and the kind of voice: ``af_sky`` is an American woman. VoiceMode asks for that one
unless it is told otherwise."""
_KOKORO_LANGUAGES = {
    "a": "en-us",
    "b": "en-gb",
    "e": "es",
    "f": "fr-fr",
    "h": "hi",
    "i": "it",
    "j": "ja",
    "p": "pt-br",
    "z": "cmn",
}
_KOKORO_KINDS = {"f": "f3", "m": "m3"}
_SUGGESTIONS = 3
_ALIKE = 0.5


async def voice_for(engine: SpeechEngine, wanted: str | None) -> str | None:
    """The engine's name for a voice; None for its default.

    An engine that has no voice of the stand-in's name speaks for it with its default voice.

    Raises:
        ApiError: Nobody knows this voice.
        EngineError: The engine cannot say which voices it has.
    """
    if wanted is None:
        return None
    known, stand_in = engine.knows_voice(wanted), _stand_in(wanted)
    if known or (known is None and stand_in is None):
        return wanted
    if stand_in is None:
        raise await _unknown(engine, wanted)
    return stand_in if engine.knows_voice(stand_in) else None


async def voices_record(engine: SpeechEngine) -> dict[str, Any]:
    """Every voice a client may ask for.

    Raises:
        EngineError: The engine cannot say.
    """
    own = [
        {"id": voice.name, "name": voice.name, "language": voice.language, "description": voice.description}
        for voice in await engine.voices()
    ]
    taken = {voice["id"] for voice in own}
    stand_ins = [
        {"id": name, "name": name, "language": "en", "description": "As OpenAI's."}
        for name in OPENAI_VOICES
        if name not in taken
    ]
    return {"voices": [*stand_ins, *own]}


def _stand_in(wanted: str) -> str | None:
    name = wanted.strip().lower()
    kokoro = _KOKORO.fullmatch(name)
    if kokoro is not None:
        return f"{_KOKORO_LANGUAGES[kokoro[1]]}+{_KOKORO_KINDS[kokoro[2]]}"
    return OPENAI_VOICES.get(name)


async def _unknown(engine: SpeechEngine, wanted: str) -> ApiError:
    names = [*OPENAI_VOICES, *(voice.name for voice in await engine.voices())]
    near = difflib.get_close_matches(wanted.lower(), names, n=_SUGGESTIONS, cutoff=_ALIKE)
    advice = f"Did you mean {' or '.join(near)}?" if near else "GET /v1/audio/voices lists those there are."
    return ApiError(f"There is no voice {wanted[:64]!r}. {advice}", code="unknown_voice", param="voice")
