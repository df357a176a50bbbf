"""PortAudio, through the sounddevice package: the default way to the sound card."""

from __future__ import annotations

from typing import Any

from voice_mcp.errors import DeviceUnavailable
from voice_mcp.protocols import FrameSource, OutputStream
from voice_mcp.types import PcmFormat

PERIOD_S = 0.010
LATENCY_S = 0.030
"""Three periods: no gap even with every core busy; with four PortAudio calls irregularly (benchmarks/README.md)."""


class SounddeviceBackend:
    """Output through PortAudio.

    Importing sounddevice starts PortAudio (60 ms), so that happens here, when it is first needed.

    Raises:
        DeviceUnavailable: sounddevice or PortAudio is not installed.
    """

    name = "sounddevice"

    def __init__(self) -> None:
        try:
            import sounddevice
        except (ImportError, OSError) as exc:
            raise DeviceUnavailable(
                "The PortAudio library was not found.",
                hint="Install it (Debian, Ubuntu: apt install libportaudio2), or use VOICEMODE_AUDIO_OUTPUT=miniaudio.",
            ) from exc
        self._sd: Any = sounddevice

    def open(self, fmt: PcmFormat, device: str | None, path: str | None, source: FrameSource) -> OutputStream:
        if not self.devices():
            raise DeviceUnavailable("PortAudio found no output device.")
        return _Stream(self._sd, fmt, device, source)

    def devices(self) -> list[str]:
        try:
            listed = self._sd.query_devices()
            default = self._sd.default.device[1]
        except self._sd.PortAudioError as exc:
            raise DeviceUnavailable(f"PortAudio cannot list its devices: {_reason(exc)}.") from exc
        outputs = [(index, entry["name"]) for index, entry in enumerate(listed) if entry["max_output_channels"] > 0]
        outputs.sort(key=lambda output: output[0] != default)
        return [name for _, name in outputs]


class _Stream:
    """An open PortAudio stream."""

    def __init__(self, sd: Any, fmt: PcmFormat, device: str | None, source: FrameSource) -> None:
        self._sd = sd
        self._source = source
        self._closing = False
        self.format = fmt
        self.period_frames = fmt.frames_in(PERIOD_S)
        try:
            self._stream = sd.RawOutputStream(
                samplerate=fmt.rate_hz,
                blocksize=self.period_frames,
                device=device,
                channels=fmt.channels,
                dtype="int16",
                latency=LATENCY_S,
                callback=self._pull,
                finished_callback=self._finished,
            )
            self._stream.start()
        except (sd.PortAudioError, ValueError) as exc:
            raise DeviceUnavailable(
                f"PortAudio could not open {device or 'the default output device'}: {_reason(exc)}."
            ) from exc

    @property
    def latency_s(self) -> float:
        return float(self._stream.latency)

    def close(self) -> None:
        self._closing = True
        self._stream.abort(ignore_errors=True)
        self._stream.close(ignore_errors=True)

    def _pull(self, out: Any, frames: int, time: Any, status: Any) -> None:
        """Thread: PortAudio's."""
        if status and status.output_underflow:
            self._source.underflow()
        self._source.render(memoryview(out).cast("B"))

    def _finished(self) -> None:
        """Thread: PortAudio's. A stream that ends without having been closed has lost its device."""
        if not self._closing:
            self._source.lost("the sound device stopped by itself")


def _reason(exc: Exception) -> str:
    return str(exc.args[0]).rstrip(".") if exc.args else type(exc).__name__
