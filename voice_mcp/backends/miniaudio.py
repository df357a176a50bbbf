"""miniaudio: the way to the sound card where PortAudio is missing. Its wheel needs no system library.

It takes any format, and converts what the device does not: linear resampling, mono on every channel. It lists devices
anew whenever it is asked, and opens the default that is one then.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from voice_mcp.backends._miniaudio import device_id, load_miniaudio, real_backends, refusal
from voice_mcp.errors import DeviceBusy, DeviceUnavailable
from voice_mcp.protocols import FrameSource, OutputStream
from voice_mcp.types import PcmFormat

PERIOD_MS = 20
"""At 10 ms its pull through a Python generator leaves gaps on a busy machine (benchmarks/README.md)."""
PERIODS = 3


class MiniaudioBackend:
    """Output through miniaudio: PulseAudio, ALSA, JACK, CoreAudio or WASAPI, whichever answers."""

    name = "miniaudio"

    def __init__(self) -> None:
        self._ma = load_miniaudio(DeviceUnavailable)

    def open(self, fmt: PcmFormat, device: str | None, path: str | None, source: FrameSource) -> OutputStream:
        chosen = self._device_id(device)
        try:
            return _Stream(self._ma, fmt, chosen, source)
        except DeviceBusy:
            raise
        except DeviceUnavailable:
            if not self._playbacks():
                raise DeviceUnavailable("miniaudio found no output device.") from None
            raise

    def devices(self) -> list[str]:
        return [entry["name"] for entry in self._playbacks()]

    def _playbacks(self) -> list[dict[str, Any]]:
        try:
            return list(self._ma.Devices(real_backends(self._ma)).get_playbacks())
        except self._ma.MiniaudioError as exc:
            raise DeviceUnavailable("miniaudio found no sound system that answers.") from exc

    def _device_id(self, device: str | None) -> Any:
        if device is None:
            return None
        chosen = device_id(self._playbacks(), device)
        if chosen is None:
            raise DeviceUnavailable(f"There is no output device named {device!r}.")
        return chosen


class _Stream:
    """An open miniaudio device."""

    def __init__(self, ma: Any, fmt: PcmFormat, chosen: Any, source: FrameSource) -> None:
        # It wakes up late now and then and takes two periods at once.
        self.period_frames = fmt.frames_in(2 * PERIOD_MS / 1000)
        self._closing = False
        self.format = fmt
        self._source = source
        try:
            self._device = ma.PlaybackDevice(
                output_format=ma.SampleFormat.SIGNED16,
                nchannels=fmt.channels,
                sample_rate=fmt.rate_hz,
                buffersize_msec=PERIOD_MS,
                callback_periods=PERIODS,
                device_id=chosen,
                backends=real_backends(ma),
                app_name="voice-mcp",
            )
        except ma.MiniaudioError as exc:
            raise _refusal(ma, exc) from exc
        self._device.stop_callback = self._stopped
        frames = _pull(fmt, source)
        next(frames)
        try:
            self._device.start(frames)
        except ma.MiniaudioError as exc:
            self.close()
            raise _refusal(ma, exc) from exc

    @property
    def latency_s(self) -> float:
        return PERIOD_MS * PERIODS / 1000

    def close(self) -> None:
        self._closing = True
        self._device.close()

    def _stopped(self) -> None:
        """Thread: miniaudio's."""
        if not self._closing:
            self._source.lost("the sound device stopped by itself")


def _pull(fmt: PcmFormat, source: FrameSource) -> Generator[bytearray, int, None]:
    """Thread: miniaudio's."""
    block = bytearray()
    while True:
        frames = yield block
        if len(block) != frames * fmt.frame_bytes:
            block = bytearray(frames * fmt.frame_bytes)
        source.render(memoryview(block))


def _refusal(ma: Any, exc: Exception) -> DeviceUnavailable:
    return refusal(ma, exc, DeviceUnavailable, DeviceBusy, "output device")
