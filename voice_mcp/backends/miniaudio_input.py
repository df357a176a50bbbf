"""miniaudio: the way to the microphone where PortAudio is missing. Its wheel needs no system library.

It makes one channel of all, at the device's own rate. It lists devices anew whenever it is asked, and opens the
default that is one then.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

from voice_mcp.backends._miniaudio import device_id, load_miniaudio, real_backends, refusal
from voice_mcp.errors import MicrophoneBusy, MicrophoneUnavailable
from voice_mcp.protocols import FrameSink, InputStream
from voice_mcp.types import PcmFormat

PERIOD_MS = 10
PERIODS = 6
CHANNELS = 1


class MiniaudioInput:
    """Input through miniaudio: PulseAudio, ALSA, JACK, CoreAudio or WASAPI, whichever answers."""

    name = "miniaudio"

    def __init__(self) -> None:
        self._ma = load_miniaudio(MicrophoneUnavailable)

    def open(self, device: str | None, sink: FrameSink) -> InputStream:
        chosen = self._device_id(device)
        try:
            return _Stream(self._ma, chosen, sink)
        except MicrophoneBusy:
            raise
        except MicrophoneUnavailable:
            if not self._captures():
                raise MicrophoneUnavailable("miniaudio found no input device.") from None
            raise

    def devices(self) -> list[str]:
        return [entry["name"] for entry in self._captures()]

    def _captures(self) -> list[dict[str, Any]]:
        try:
            return list(self._ma.Devices(real_backends(self._ma)).get_captures())
        except self._ma.MiniaudioError as exc:
            raise MicrophoneUnavailable("miniaudio found no sound system that answers.") from exc

    def _device_id(self, device: str | None) -> Any:
        if device is None:
            return None
        chosen = device_id(self._captures(), device)
        if chosen is None:
            raise MicrophoneUnavailable(f"There is no input device named {device!r}.")
        return chosen


class _Stream:
    """An open miniaudio device."""

    latency_s = PERIOD_MS / 1000

    def __init__(self, ma: Any, chosen: Any, sink: FrameSink) -> None:
        self._closing = False
        self._sink = sink
        try:
            self._device = ma.CaptureDevice(
                input_format=ma.SampleFormat.SIGNED16,
                nchannels=CHANNELS,
                sample_rate=0,  # the device's own
                buffersize_msec=PERIOD_MS,
                callback_periods=PERIODS,
                device_id=chosen,
                backends=real_backends(ma),
                app_name="voice-mcp",
            )
        except ma.MiniaudioError as exc:
            raise _refusal(ma, exc) from exc
        # What its own rate turned out to be stands only in what the package keeps for itself.
        self.format = PcmFormat(self._device._device.sampleRate, CHANNELS)
        self._device.stop_callback = self._stopped
        frames = self._push()
        next(frames)
        try:
            self._device.start(frames)
        except ma.MiniaudioError as exc:
            self.close()
            raise _refusal(ma, exc) from exc

    def close(self) -> None:
        self._closing = True
        self._device.close()

    def _push(self) -> Generator[None, bytearray, None]:
        """Thread: miniaudio's. It does not tell when a frame was heard: the last one has just been."""
        while True:
            frames = bytes((yield))
            heard_s = time.perf_counter() - self.format.seconds(self.format.frames(len(frames)))
            self._sink.take(frames, heard_s)

    def _stopped(self) -> None:
        """Thread: miniaudio's."""
        if not self._closing:
            self._sink.lost("the microphone stopped by itself")


def _refusal(ma: Any, exc: Exception) -> MicrophoneUnavailable:
    return refusal(ma, exc, MicrophoneUnavailable, MicrophoneBusy, "input device")
