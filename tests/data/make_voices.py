"""Makes ``voices/``: phrases spoken by espeak-ng, the dry half of the corpus (``python -m tests.data.make_voices``).

espeak-ng draws a little noise anew in every run, so what was made once is kept: one FLAC file a speaker, 16 kHz mono,
each phrase cut to its sound and set to one level. ``index.json`` says who is who and where the phrases lie.
Everything else of the corpus is computed from these by ``tests.support.corpus``, to the bit.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import resample_poly

from voice_mcp.tts.espeak import EspeakEngine
from voice_mcp.types import SpeechRequest

FOLDER = Path(__file__).parent / "voices"
RATE_HZ = 16_000
LEVEL_RMS = 2048.0
"""What every phrase is set to: -24 dBFS, so that no peak is cut off."""
SILENT_DB = -40.0
"""Below the loudest 10 ms of a phrase by more than this is not its sound."""
ENGLISH = (
    ("Open the settings file", "and change the port to eight thousand"),
    ("I think", "the second test fails", "because the socket is still open"),
    ("No",),
    ("Could you rename that function",),
    ("Let me see", "it was the", "no it was the other branch"),
    ("Yes please",),
    ("Run the tests again", "and tell me what you find"),
)
GERMAN = (
    ("Öffne die Datei", "und ändere den Namen der Klasse"),
    ("Ich glaube", "der zweite Test schlägt fehl", "weil die Verbindung noch offen ist"),
    ("Nein",),
    ("Kannst du das noch einmal erklären",),
    ("Also", "das war der", "nein das war der andere Zweig"),
    ("Ja bitte",),
    ("Starte die Tests noch einmal", "und sag mir was du findest"),
)
FRENCH = (
    ("Ouvre le fichier", "et change le nom de la classe"),
    ("Je crois", "que le deuxième test échoue", "parce que la connexion est encore ouverte"),
    ("Non",),
    ("Peux-tu expliquer encore une fois",),
    ("Attends", "c'était la", "non c'était l'autre branche"),
    ("Oui merci",),
    ("Relance les tests", "et dis moi ce que tu trouves"),
)
SPANISH = (
    ("Abre el archivo", "y cambia el nombre de la clase"),
    ("Creo", "que la segunda prueba falla", "porque la conexión sigue abierta"),
    ("No",),
    ("Puedes explicarlo otra vez",),
    ("A ver", "era la", "no era la otra rama"),
    ("Sí por favor",),
    ("Ejecuta las pruebas otra vez", "y dime lo que encuentras"),
)


@dataclass(frozen=True, slots=True)
class Speaker:
    """A voice, how fast it speaks, and how long it thinks."""

    voice: str
    speed: float
    manner: str
    turns: tuple[tuple[str, ...], ...]


# One speaker is in one part only: what is tuned on the one says something of the other.
SPEAKERS = {
    "tuning": (
        Speaker("en-us+m1", 0.95, "brisk", ENGLISH),
        Speaker("en-gb+f2", 1.1, "even", ENGLISH),
        Speaker("de+m3", 0.9, "thoughtful", GERMAN),
        Speaker("fr-fr+f4", 1.15, "brisk", FRENCH),
        Speaker("es+m5", 1.0, "even", SPANISH),
        Speaker("en-us+f3", 0.85, "thoughtful", ENGLISH),
    ),
    "table": (
        Speaker("en-us+f1", 1.2, "brisk", ENGLISH),
        Speaker("en-gb+m2", 0.9, "even", ENGLISH),
        Speaker("de+f5", 1.05, "thoughtful", GERMAN),
        Speaker("fr-fr+m4", 1.0, "even", FRENCH),
        Speaker("es+f2", 1.25, "brisk", SPANISH),
        Speaker("en-gb+m7", 0.85, "thoughtful", ENGLISH),
    ),
}


def main() -> None:
    """Speak everything, and write it down."""
    FOLDER.mkdir(exist_ok=True)
    index = asyncio.run(_speak_all())
    (FOLDER / "index.json").write_text(json.dumps(index, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


async def _speak_all() -> dict[str, list[dict[str, Any]]]:
    engine = EspeakEngine()
    try:
        return {part: [await _record(engine, speaker) for speaker in group] for part, group in SPEAKERS.items()}
    finally:
        await engine.aclose()


async def _record(engine: EspeakEngine, speaker: Speaker) -> dict[str, Any]:
    name = speaker.voice.replace("+", "-")
    turns, clips, at = [], [], 0
    for phrases in speaker.turns:
        places = []
        for phrase in phrases:
            clip = await _speak(engine, phrase, speaker)
            places.append([at, at + len(clip)])
            clips.append(clip)
            at += len(clip)
        turns.append({"text": " ... ".join(phrases), "phrases": places})
    soundfile.write(FOLDER / f"{name}.flac", np.concatenate(clips), RATE_HZ, subtype="PCM_16", compression_level=1.0)
    return {"name": name, "manner": speaker.manner, "turns": turns}


async def _speak(engine: EspeakEngine, phrase: str, speaker: Speaker) -> NDArray[np.int16]:
    stream = await engine.open(SpeechRequest(phrase, voice=speaker.voice, speed=speaker.speed))
    pcm = b"".join([block async for block in stream])
    rate_hz = engine.expected_format.rate_hz
    sound = _trimmed(resample_poly(np.frombuffer(pcm, dtype="<i2").astype(float), RATE_HZ, rate_hz))
    levelled: NDArray[np.int16] = np.rint(sound * (LEVEL_RMS / np.sqrt(np.mean(sound**2)))).astype(np.int16)
    return levelled


def _trimmed(sound: NDArray[np.float64]) -> NDArray[np.float64]:
    block = RATE_HZ // 100
    whole = sound[: len(sound) // block * block].reshape(-1, block)
    power = np.mean(whole**2, axis=1)
    loud = np.flatnonzero(power > power.max() * 10 ** (SILENT_DB / 10))
    return sound[loud[0] * block : (loud[-1] + 1) * block]


if __name__ == "__main__":
    main()
