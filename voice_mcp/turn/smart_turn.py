"""Smart Turn 3: from how somebody has spoken, how likely it is that the turn is over (docs/adr/0021).

It hears what words alone do not tell: a voice that falls or stays up, a syllable that is drawn out, an "um". It was
made by Daily, its weights are open (BSD-2-Clause), and it goes by Whisper's encoder. The weights are no part of this
package; ``voice-mcp models install smart-turn`` fetches them.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from voice_mcp.errors import ListeningUnavailable
from voice_mcp.types import LISTENING_FORMAT

if TYPE_CHECKING:
    import onnxruntime

    from voice_mcp.turn._log_mel import LogMel

HEARD_S = 8.0
"""What it takes into account: the end of longer turns; in front of shorter ones it takes silence."""
INSTALL_LIBRARY = "pip install 'voice-mcp[turn]'"
INSTALL_WEIGHTS = "voice-mcp models install smart-turn"

_INPUT = "input_features"
_SHAPE = [80, 800]


class SmartTurn:
    """A ``TurnModel``; nothing is loaded before ``prepare``, or the first turn.

    Thread: any, one at a time; a turn takes 50 to 60 ms of one core, loading about as long again.

    Args:
        path: The weights, an ONNX file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._loading = Lock()
        self._loaded: tuple[onnxruntime.InferenceSession, LogMel] | None = None

    @staticmethod
    def is_installed(path: Path) -> bool:
        """Whether library and weights are there; loads neither."""
        return importlib.util.find_spec("onnxruntime") is not None and path.is_file()

    def prepare(self) -> None:
        self._load()

    def completeness(self, frames: bytes) -> float:
        session, log_mel = self._load()
        import numpy as np  # loaded by now

        wanted = round(HEARD_S * LISTENING_FORMAT.rate_hz)
        sound = np.zeros(wanted, np.float32)
        heard = np.frombuffer(frames[-wanted * LISTENING_FORMAT.frame_bytes :], "<i2")
        sound[wanted - len(heard) :] = heard
        sound *= 1 / 32768
        (probability,) = session.run(None, {_INPUT: log_mel.of(sound)[np.newaxis]})
        return float(np.asarray(probability).item())

    def _load(self) -> tuple[onnxruntime.InferenceSession, LogMel]:
        with self._loading:
            if self._loaded is None:
                self._loaded = _session(self._path), _front_end()
            return self._loaded


def _front_end() -> LogMel:
    from voice_mcp.turn._log_mel import LogMel  # numpy

    return LogMel()


def _session(path: Path) -> onnxruntime.InferenceSession:
    try:
        import onnxruntime  # 60 MB of memory, and an extra
    except ImportError as exc:
        raise ListeningUnavailable(
            "VOICEMODE_TURN_MODEL=smart_turn needs onnxruntime, which is not installed.",
            hint=f"Run `{INSTALL_LIBRARY}` and `{INSTALL_WEIGHTS}`, or set VOICEMODE_TURN_MODEL=none.",
        ) from exc
    if not path.is_file():
        raise ListeningUnavailable(
            f"VOICEMODE_TURN_MODEL=smart_turn needs the weights of Smart Turn, which are not at {path}.",
            hint=f"Run `{INSTALL_WEIGHTS}`, or set VOICEMODE_TURN_MODEL=none.",
        )
    try:
        session = onnxruntime.InferenceSession(str(path), _options(), providers=["CPUExecutionProvider"])
        shapes = {entry.name: entry.shape[1:] for entry in session.get_inputs()}
    except Exception as exc:  # the library has a class for each way a file can be wrong, and none above them
        raise _unusable(path, _first_line(exc)) from exc
    if shapes != {_INPUT: _SHAPE}:
        raise _unusable(path, "they are those of something else")
    return session


def _options() -> onnxruntime.SessionOptions:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # more would spin beside the capture
    options.log_severity_level = 4  # what is wrong is told once, by us
    return options


def _unusable(path: Path, why: str) -> ListeningUnavailable:
    return ListeningUnavailable(
        f"The weights of Smart Turn at {path} cannot be used: {why}.",
        hint=f"Run `{INSTALL_WEIGHTS}` again, or set VOICEMODE_TURN_MODEL=none.",
    )


def _first_line(exc: Exception) -> str:
    return str(exc).splitlines()[0].rstrip(".") if str(exc) else type(exc).__name__
