"""pocket-tts and its model: a text to sound, frame by frame. Thread: the engine's.

The library computes a text in two threads of its own, ahead of whoever listens, and its model can do only one at a
time. So when another text has its turn, what is under way is brought to its end first, and kept for its listener, also
where that end is a failure; a text that nobody wants any more is told to stop, and waited for.

It would fetch whatever its description names. It gets one in which every file is one of the folder.
"""

from __future__ import annotations

import tempfile
import threading
from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from voice_mcp.errors import EngineError
from voice_mcp.samples.convert import Samples, as_samples
from voice_mcp.tts._espeak_text import pieces
from voice_mcp.tts._extras import not_there
from voice_mcp.tts._own_speed import in_time
from voice_mcp.tts._pocket_voices import RATE_HZ, PocketFolder

_VOICES_IN_MEMORY = 8
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
        except EngineError:
            raise
        except Exception as exc:  # torch, safetensors, pydantic and yaml say it each in its own way
            raise EngineError(
                f"{folder.path} holds no model that Pocket TTS can use.", hint=folder.what_fetches
            ) from exc
        if self._model.sample_rate != RATE_HZ:
            raise EngineError(f"The model in {folder.path} does not speak at {RATE_HZ} Hz.")
        self._folder = folder
        self._states: OrderedDict[str, Any] = OrderedDict()
        """The one that was used last is the last."""
        self._speaking: Run | None = None

    def sounds(self, text: str, voice: str, stop: threading.Event) -> Iterator[Samples]:
        """A text as sound, 80 ms or a few times that at a time.

        Args:
            text: One piece.
            voice: One that is in the folder.
            stop: Set from any thread when nobody wants the rest.
        """
        run = Run(self._model, text, self._state(voice), stop)
        try:
            while (sound := self._next(run)) is not None:
                yield sound
        finally:
            run.stop()

    def _next(self, run: Run) -> Samples | None:
        if self._speaking is not run and not run.is_finished:
            if self._speaking is not None:
                self._speaking.finish()
            self._speaking = run
        return run.next()

    def _state(self, voice: str) -> Any:
        if voice not in self._states:
            try:
                self._states[voice] = self._model.get_state_for_audio_prompt(self._folder.voice(voice))
            except Exception as exc:
                hint = self._folder.what_fetches
                raise EngineError(f"The file of the voice {voice} cannot be used.", hint=hint) from exc
        self._states.move_to_end(voice)
        while len(self._states) > _VOICES_IN_MEMORY:
            self._states.popitem(last=False)
        return self._states[voice]


class Run:
    """A text that the library computes."""

    def __init__(self, model: Any, text: str, state: Any, stop: threading.Event) -> None:
        self._stop = stop
        self._sounds: Iterator[Any] = model.generate_audio_stream(state, text, stop=stop)
        self._kept: deque[Samples] = deque()
        self._failure: Exception | None = None
        self.is_finished = False
        """Whether the library has no more to do with it."""

    def next(self) -> Samples | None:
        """What comes next; None at the end."""
        if self._kept:
            return self._kept.popleft()
        if not self.is_finished:
            return self._compute()
        if self._failure is not None:
            raise self._failure
        return None

    def finish(self) -> None:
        """Compute the rest, and keep it for whoever listens: the sound, and what went wrong."""
        try:
            while not self._stop.is_set() and (sound := self._compute()) is not None:
                self._kept.append(sound)
        except Exception as exc:  # noqa: BLE001 - it is raised where this text is listened to
            self._failure = exc
        if self._stop.is_set():
            self.stop()

    def stop(self) -> None:
        """Nobody wants the rest; returns when nothing computes it any more."""
        self._kept.clear()
        if self.is_finished:
            return
        self._stop.set()
        self.is_finished = True
        with suppress(Exception):  # there is nobody left whom it would matter to
            for _ in self._sounds:
                pass

    def _compute(self) -> Samples | None:
        self.is_finished = True  # unless there is more: also where this fails
        if (sound := next(self._sounds, None)) is None:
            return None
        self.is_finished = False
        return as_samples(sound.detach().cpu().numpy())


def blocks(model: PocketModel, text: str, voice: str, speed: float, stop: threading.Event) -> Iterator[bytes]:
    """A text as frames in flight.

    Args:
        model: Who speaks.
        text: Clean.
        voice: One that is in the folder.
        speed: 0.25 to 4.0; all of it is done to the sound.
        stop: Set from any thread when nobody wants the rest.
    """
    return in_time(_sounds(model, text, voice, stop), RATE_HZ, speed)


def _sounds(model: PocketModel, text: str, voice: str, stop: threading.Event) -> Iterator[Samples]:
    for piece in pieces(text):
        if any(map(str.isalnum, piece.text)):
            yield from model.sounds(" ".join(piece.text.split()), voice, stop)


def _at_home(facts: Any, folder: Path) -> Any:
    """A description in which every file is one of the folder: those elsewhere by their last name."""
    if isinstance(facts, dict):
        return {key: _home(value, folder, is_path=str(key).endswith("_path")) for key, value in facts.items()}
    return _home(facts, folder, is_path=False)


def _home(value: Any, folder: Path, *, is_path: bool) -> Any:
    if isinstance(value, dict):
        return _at_home(value, folder)
    if isinstance(value, list):
        return [_home(each, folder, is_path=is_path) for each in value]
    if isinstance(value, str) and (is_path or value.startswith(_ELSEWHERE)):
        return str(_file(value, folder))
    return value


def _file(name: str, folder: Path) -> Path:
    """A file of the folder.

    Raises:
        EngineError: The name leads out of it.
    """
    if name.startswith(_ELSEWHERE):
        name = name.partition("@")[0].rpartition("/")[2]
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise EngineError(f"The description of the model in {folder} names a file that is not there: {name}.")
    return path
