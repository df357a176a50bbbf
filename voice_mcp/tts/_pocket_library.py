"""pocket-tts and its model: a text to sound, frame by frame. Thread: the engine's.

The library computes a text in two threads of its own, ahead of whoever listens, and its model can do only one at a
time. So when another text has its turn, what is under way is brought to its end first, and kept for its listener; a
text that nobody wants any more is told to stop, and waited for.

It would fetch whatever its description names. It gets one in which every file is one of the folder.
"""

from __future__ import annotations

import tempfile
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from voice_mcp.errors import EngineError
from voice_mcp.samples.convert import Samples, as_samples
from voice_mcp.tts._espeak_text import pieces
from voice_mcp.tts._extras import not_there
from voice_mcp.tts._own_speed import in_time
from voice_mcp.tts._pocket_voices import RATE_HZ, PocketFolder

_ELSEWHERE = ("hf://", "http://", "https://")


class PocketModel:
    """The model, loaded.

    Args:
        folder: Where it is; all of it is there.

    Raises:
        EngineMissing: The library is not installed.
        EngineError: The files cannot be used.
    """

    def __init__(self, folder: PocketFolder) -> None:
        try:
            import yaml
            from pocket_tts import TTSModel
            from pocket_tts.utils.config import CONFIGS_DIR
        except ImportError as exc:
            raise not_there("pocket-tts", "pocket") from exc
        described = folder.config or CONFIGS_DIR / f"{folder.language}.yaml"
        try:
            facts = _at_home(yaml.safe_load(described.read_text(encoding="utf-8")), folder.path)
            with tempfile.TemporaryDirectory() as scratch:
                path = Path(scratch) / "config.yaml"
                path.write_text(yaml.safe_dump(facts), encoding="utf-8")
                self._model: Any = TTSModel.load_model(config=path)
        except Exception as exc:  # torch, safetensors, pydantic and yaml say it each in its own way
            hint = "Fetch it again, or set VOICEMODE_POCKET_MODEL to another folder."
            raise EngineError(f"{folder.path} holds no model that Pocket TTS can use.", hint=hint) from exc
        if self._model.sample_rate != RATE_HZ:
            raise EngineError(f"The model in {folder.path} does not speak at {RATE_HZ} Hz.")
        self._folder = folder
        self._states: dict[str, Any] = {}
        self._speaking: _Run | None = None

    def sounds(self, text: str, voice: str) -> Iterator[Samples]:
        """A text as sound, 80 ms or a few times that at a time.

        Args:
            text: One piece.
            voice: One that is in the folder.
        """
        run = _Run(self._model, text, self._state(voice))
        try:
            while (sound := self._next(run)) is not None:
                yield sound
        finally:
            run.stop()

    def _next(self, run: _Run) -> Samples | None:
        if self._speaking is not run and not run.is_waiting:
            if self._speaking is not None:
                self._speaking.finish()
            self._speaking = run
        return run.next()

    def _state(self, voice: str) -> Any:
        if voice not in self._states:
            try:
                self._states[voice] = self._model.get_state_for_audio_prompt(self._folder.voice(voice))
            except Exception as exc:
                raise EngineError(f"The file of the voice {voice} cannot be used.", hint="Fetch it again.") from exc
        return self._states[voice]


class _Run:
    """A text that the library computes."""

    def __init__(self, model: Any, text: str, state: Any) -> None:
        self._stop = threading.Event()
        self._sounds: Iterator[Any] = model.generate_audio_stream(state, text, stop=self._stop)
        self._kept: deque[Samples] = deque()

    @property
    def is_waiting(self) -> bool:
        """Whether there is sound that nobody has taken."""
        return bool(self._kept)

    def next(self) -> Samples | None:
        """What comes next; None at the end."""
        if self._kept:
            return self._kept.popleft()
        sound = next(self._sounds, None)
        return None if sound is None else as_samples(sound.detach().cpu().numpy())

    def finish(self) -> None:
        """Compute the rest, and keep it."""
        self._kept.extend(as_samples(sound.detach().cpu().numpy()) for sound in self._sounds)

    def stop(self) -> None:
        """Nobody wants the rest; returns when nothing computes it any more."""
        self._stop.set()
        self._kept.clear()
        for _ in self._sounds:
            pass


def blocks(model: PocketModel, text: str, voice: str, speed: float) -> Iterator[bytes]:
    """A text as frames in flight.

    Args:
        model: Who speaks.
        text: Clean.
        voice: One that is in the folder.
        speed: 0.25 to 4.0; all of it is done to the sound.
    """
    return in_time(_sounds(model, text, voice), RATE_HZ, speed)


def _sounds(model: PocketModel, text: str, voice: str) -> Iterator[Samples]:
    for piece in pieces(text):
        if any(map(str.isalnum, piece.text)):
            yield from model.sounds(" ".join(piece.text.split()), voice)


def _at_home(facts: Any, folder: Path) -> Any:
    """A description in which every file is one of the folder: those elsewhere by their last name."""
    if isinstance(facts, dict):
        home = {key: _at_home(value, folder) for key, value in facts.items()}
        return {key: _file(value, folder) if str(key).endswith("_path") else value for key, value in home.items()}
    return facts


def _file(name: Any, folder: Path) -> Any:
    if not isinstance(name, str):
        return name
    if name.startswith(_ELSEWHERE):
        return str(folder / name.partition("@")[0].rpartition("/")[2])
    return str(folder / name)
