"""pocket-tts and its model: a text to sound, frame by frame. Thread: the engine's.

The library computes a text in two threads of its own, ahead of whoever listens, and its model can do only one at a
time. So when another text has its turn, what is under way is brought to its end first, and kept for its listener; a
text that nobody wants any more is told to stop, and waited for. What goes wrong with a text is told to its listener
alone, in its place behind the sound that came before.

It would fetch whatever its description names. It gets one in which every file is one of the folder.
"""

from __future__ import annotations

import tempfile
import threading
from collections import OrderedDict, deque
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath
from typing import Any

from voice_mcp.errors import EngineError
from voice_mcp.samples.convert import Samples, as_samples
from voice_mcp.tts._espeak_text import pieces
from voice_mcp.tts._extras import not_there
from voice_mcp.tts._own_speed import in_time
from voice_mcp.tts._pocket_voices import RATE_HZ, PocketFolder

_STATES_IN_MEMORY = 8
"""Voices whose state is kept; each has some MB."""
_ELSEWHERE = "://"


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
            facts = at_home(yaml.safe_load(described.read_text(encoding="utf-8")), folder.path)
            with tempfile.TemporaryDirectory() as scratch:
                path = Path(scratch) / "config.yaml"
                path.write_text(yaml.safe_dump(facts), encoding="utf-8")
                self._model: Any = TTSModel.load_model(config=path)
        except Exception as exc:  # torch, safetensors, pydantic and yaml say it each in its own way
            hint = folder.mending(anew=True)
            raise EngineError(f"{folder.path} holds no model that Pocket TTS can use.", hint=hint) from exc
        if self._model.sample_rate != RATE_HZ:
            raise EngineError(f"The model in {folder.path} does not speak at {RATE_HZ} Hz.")
        self._folder = folder
        self._states: OrderedDict[str, Any] = OrderedDict()
        """The one that was used last is the last."""
        self._speaking: _Run | None = None

    def sounds(self, text: str, voice: str, stop: threading.Event) -> Iterator[Samples]:
        """A text as sound, 80 ms or a few times that at a time.

        Args:
            text: One piece.
            voice: One that is in the folder.
            stop: Set by any thread when nobody wants the rest.
        """
        run = _Run(self._model, text, self._state(voice), stop)
        try:
            while (sound := self._next(run)) is not None:
                yield sound
        finally:
            if self._speaking is run:
                self._speaking = None
            run.close()

    def _next(self, run: _Run) -> Samples | None:
        if run.needs_model and self._speaking is not run:
            if self._speaking is not None:
                self._speaking.finish()
            self._speaking = run
        return run.next()

    def _state(self, voice: str) -> Any:
        if voice not in self._states:
            try:
                self._states[voice] = self._model.get_state_for_audio_prompt(self._folder.voice(voice))
            except Exception as exc:
                hint = self._folder.mending(anew=True)
                raise EngineError(f"The file of the voice {voice} cannot be used.", hint=hint) from exc
        self._states.move_to_end(voice)
        while len(self._states) > _STATES_IN_MEMORY:
            self._states.popitem(last=False)
        return self._states[voice]


class _Run:
    """A text that the library computes."""

    def __init__(self, model: Any, text: str, state: Any, stop: threading.Event) -> None:
        self._stop = stop
        self._sounds: Iterator[Any] = model.generate_audio_stream(state, text, stop=stop)
        self._kept: deque[Samples] = deque()
        self._failure: Exception | None = None
        self._is_over = False

    @property
    def needs_model(self) -> bool:
        """Whether what comes next is not computed yet."""
        return not self._kept and not self._is_over

    def next(self) -> Samples | None:
        """What comes next; None at the end."""
        if self.needs_model:
            self._compute()
        if self._kept:
            return self._kept.popleft()
        if self._failure is not None:
            raise self._failure
        return None

    def finish(self) -> None:
        """Compute the rest, and keep it; what nobody wants any more is not kept, and soon computed no more."""
        while not self._is_over:
            self._compute()
            if self._stop.is_set():
                self._kept.clear()

    def close(self) -> None:
        """Nobody wants the rest; returns when nothing computes it any more."""
        if not self._is_over:
            self._stop.set()
            self.finish()
        self._kept.clear()

    def _compute(self) -> None:
        try:
            sound = next(self._sounds, None)
        except Exception as exc:  # noqa: BLE001 - raised by `next`, to this text's listener: the turn may be another's
            self._failure = exc
            self._is_over = True
            return
        if sound is None:
            self._is_over = True
        else:
            self._kept.append(as_samples(sound.detach().cpu().numpy()))


def blocks(model: PocketModel, text: str, voice: str, speed: float, stop: threading.Event) -> Iterator[bytes]:
    """A text as frames in flight.

    Args:
        model: Who speaks.
        text: Clean.
        voice: One that is in the folder.
        speed: 0.25 to 4.0; all of it is done to the sound.
        stop: Set by any thread when nobody wants the rest.
    """
    return in_time(_sounds(model, text, voice, stop), RATE_HZ, speed)


def _sounds(model: PocketModel, text: str, voice: str, stop: threading.Event) -> Iterator[Samples]:
    for piece in pieces(text):
        if any(map(str.isalnum, piece.text)) and not stop.is_set():
            yield from model.sounds(" ".join(piece.text.split()), voice, stop)


def at_home(facts: Any, folder: Path) -> Any:
    """A description in which every file is one of the folder, by its last name, wherever it was to be.

    Raises:
        EngineError: A file has no name.
    """
    if isinstance(facts, dict):
        return {
            key: _file(value, folder) if "_path" in str(key) else at_home(value, folder) for key, value in facts.items()
        }
    if isinstance(facts, list):
        return [at_home(value, folder) for value in facts]
    return _file(facts, folder) if isinstance(facts, str) and _ELSEWHERE in facts else facts


def _file(value: Any, folder: Path) -> Any:
    if not isinstance(value, str):
        return at_home(value, folder)
    # What parts a path on Windows parts it here too, a drive's colon included: a description is for any machine.
    named = value.partition("@")[0] if _ELSEWHERE in value else value
    name = PureWindowsPath(named).name
    if name in ("", "..") or ":" in name:
        raise EngineError(f"The description of the model in {folder} names a file {value!r}, which is none.")
    return str(folder / name)
