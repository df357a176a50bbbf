"""PortAudio, through the sounddevice package: the default way to the microphone."""

from __future__ import annotations

import time
from typing import Any

from voice_mcp.backends._portaudio import FRESH_S, INPUT, USUAL_RATES_HZ, PortAudio
from voice_mcp.protocols import FrameSink, InputStream
from voice_mcp.types import PcmFormat

PERIOD_S = 0.020
LATENCY_S = 0.060
"""How much the device may hold before it has to drop something: a callback that is held up for two periods loses
nothing. With these two a sound server wakes 50 times a second; a shorter period comes in pairs, and saves nobody a
moment."""
MIXER_CHANNELS = 32
"""Whoever offers so many is a sound server, which makes one channel of all by itself."""
LATEST_S = 10.0
"""A delay beyond this is no delay but a clock that PortAudio does not have."""


class SounddeviceInput:
    """Input through PortAudio.

    Thread: any, one at a time.

    Args:
        fresh_s: How long what is known of the devices is good enough, in seconds.

    Raises:
        MicrophoneUnavailable: sounddevice or PortAudio is not installed.
    """

    name = "sounddevice"

    def __init__(self, fresh_s: float = FRESH_S) -> None:
        self._portaudio = PortAudio(INPUT, fresh_s)

    def open(self, device: str | None, sink: FrameSink) -> InputStream:
        return self._portaudio.open(
            device, own_formats, lambda choice: _Stream(self._portaudio.sd, choice, device, sink)
        )

    def devices(self) -> list[str]:
        return self._portaudio.devices()


class _Stream:
    """An open PortAudio stream.

    Raises:
        PortAudioError: It could not be opened.
        ValueError: No device has that name, or several have.
    """

    def __init__(self, sd: Any, fmt: PcmFormat, device: str | None, sink: FrameSink) -> None:
        self._sink = sink
        self.is_closed = False
        self.format = fmt
        self.latency_s = LATENCY_S  # until it is known; the first frames come as it starts
        self._stream = sd.RawInputStream(
            samplerate=fmt.rate_hz,
            blocksize=fmt.frames_in(PERIOD_S),
            device=device,
            channels=fmt.channels,
            dtype="int16",
            latency=LATENCY_S,
            callback=self._push,
            finished_callback=self._finished,
        )
        self.latency_s = float(self._stream.latency)
        try:
            self._stream.start()
        except sd.PortAudioError:
            self.close()
            raise

    def close(self) -> None:
        self.is_closed = True
        self._stream.abort(ignore_errors=True)
        self._stream.close(ignore_errors=True)

    def _push(self, data: Any, frames: int, moment: Any, status: Any) -> None:
        """Thread: PortAudio's."""
        now_s = time.perf_counter()
        if status and status.input_overflow:
            self._sink.overflowed()
        self._sink.take(bytes(data), now_s - self._delay_s(moment))

    def _delay_s(self, moment: Any) -> float:
        """How long ago the first frame was heard. PortAudio keeps another clock than ours, so only the difference."""
        if moment.inputBufferAdcTime > 0:
            delay_s = float(moment.currentTime - moment.inputBufferAdcTime)
            if abs(delay_s) < LATEST_S:
                return delay_s
        return self.latency_s

    def _finished(self) -> None:
        """Thread: PortAudio's. A stream that ends without having been closed has lost its device."""
        if not self.is_closed:
            self._sink.lost("the microphone stopped by itself")


def own_formats(device: dict[str, Any]) -> list[PcmFormat]:
    """The formats to try on a device: its own rate, and as few channels as leave nothing out.

    Of a device with two channels both are taken, for either may be the one with the microphone.
    """
    most = device["max_input_channels"]
    fewest = 1 if most >= MIXER_CHANNELS else min(2, most)
    rates_hz = (round(device["default_samplerate"]), *USUAL_RATES_HZ)
    return list(dict.fromkeys(PcmFormat(rate_hz, count) for rate_hz in rates_hz for count in (fewest, 2, 1, most)))
