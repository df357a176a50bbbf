"""A WAV file instead of a microphone, heard at the pace of one; silence after its end."""

from __future__ import annotations

import wave

from voice_mcp.backends._paced_input import PacedInput
from voice_mcp.errors import MicrophoneUnavailable
from voice_mcp.protocols import FrameSink, InputStream
from voice_mcp.types import BYTES_PER_SAMPLE, PcmFormat

HINT = "Set VOICEMODE_INPUT_DEVICE to the path of a WAV file with 16-bit samples."


class FileInput:
    """The name of the device is the file's path. Each opening begins with its first frame."""

    name = "file"

    def open(self, device: str | None, sink: FrameSink) -> InputStream:
        return _File(_opened(device), sink)

    def devices(self) -> list[str]:
        return ["file"]


class _File(PacedInput):
    """A file while it is heard."""

    def __init__(self, file: wave.Wave_read, sink: FrameSink) -> None:
        self._file = file
        super().__init__(PcmFormat(file.getframerate(), file.getnchannels()), file.readframes, sink)

    def close(self) -> None:
        super().close()
        self._file.close()


def _opened(path: str | None) -> wave.Wave_read:
    if path is None:
        raise MicrophoneUnavailable("There is no file to listen to.", hint=HINT)
    try:
        file = wave.open(path, "rb")  # noqa: SIM115 - it is open for as long as the microphone is
    except (OSError, EOFError, wave.Error) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc) or "it is empty"
        raise MicrophoneUnavailable(f"{path} cannot be listened to: {reason}.", hint=HINT) from exc
    if file.getsampwidth() != BYTES_PER_SAMPLE:
        file.close()
        raise MicrophoneUnavailable(f"{path} does not have 16-bit samples.", hint=HINT)
    return file
