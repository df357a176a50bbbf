"""PortAudio, through the sounddevice package: the default way to the sound card."""

from __future__ import annotations

import time
from typing import Any

from voice_mcp.backends._dropped import DroppedPeriods
from voice_mcp.backends._portaudio import FRESH_S, OUTPUT, USUAL_RATES_HZ, PortAudio
from voice_mcp.protocols import FrameSource, OutputStream
from voice_mcp.types import PcmFormat

PERIOD_S = 0.010
LATENCY_S = 0.030
"""Three periods: no gap even with every core busy; with four PortAudio calls irregularly (benchmarks/README.md)."""


class SounddeviceBackend:
    """Output through PortAudio.

    Thread: any, one at a time.

    Args:
        fresh_s: How long what is known of the devices is good enough, in seconds.

    Raises:
        DeviceUnavailable: sounddevice or PortAudio is not installed.
    """

    name = "sounddevice"

    def __init__(self, fresh_s: float = FRESH_S) -> None:
        self._portaudio = PortAudio(OUTPUT, fresh_s)

    def open(self, fmt: PcmFormat, device: str | None, path: str | None, source: FrameSource) -> OutputStream:
        return self._portaudio.open(
            device,
            lambda entry: nearest_formats(fmt, entry),
            lambda choice: _Stream(self._portaudio.sd, choice, device, source),
        )

    def devices(self) -> list[str]:
        return self._portaudio.devices()


class _Stream:
    """An open PortAudio stream.

    Raises:
        PortAudioError: It could not be opened.
        ValueError: No device has that name, or several have.
    """

    def __init__(self, sd: Any, fmt: PcmFormat, device: str | None, source: FrameSource) -> None:
        self._source = source
        self.is_closed = False
        self.format = fmt
        self.period_frames = fmt.frames_in(PERIOD_S)
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
        self._dropped: DroppedPeriods | None = None
        self._given = b""
        try:
            if sd.query_hostapis(sd.query_devices(self._stream.device)["hostapi"])["name"] == "ALSA":
                self._dropped = DroppedPeriods(PERIOD_S, self.latency_s)
            self._stream.start()
        except sd.PortAudioError:
            self.close()
            raise

    @property
    def latency_s(self) -> float:
        return float(self._stream.latency)

    def close(self) -> None:
        self.is_closed = True
        self._stream.abort(ignore_errors=True)
        self._stream.close(ignore_errors=True)

    def _pull(self, out: Any, frames: int, at: Any, status: Any) -> None:
        """Thread: PortAudio's."""
        ran_dry = bool(status and status.output_underflow)
        if ran_dry:
            self._source.underflow()
        period = memoryview(out).cast("B")
        if self._dropped is None:
            self._source.render(period)
        else:
            self._give(period, self._dropped, ran_dry=ran_dry)

    def _give(self, period: memoryview, dropped: DroppedPeriods, *, ran_dry: bool) -> None:
        """The next period, or the one before it once more where that was dropped: it counts as played already."""
        if dropped.asked(time.perf_counter(), ran_dry=ran_dry) and len(self._given) == len(period):
            period[:] = self._given
        else:
            self._source.render(period)
            self._given = bytes(period)
        dropped.given(time.perf_counter())

    def _finished(self) -> None:
        """Thread: PortAudio's. A stream that ends without having been closed has lost its device."""
        if not self.is_closed:
            self._source.lost("the sound device stopped by itself")


def nearest_formats(fmt: PcmFormat, device: dict[str, Any]) -> list[PcmFormat]:
    """The formats to try on a device, the nearest to ``fmt`` first: what is asked for at all costs is its rate."""
    rates_hz = (fmt.rate_hz, round(device["default_samplerate"]), *USUAL_RATES_HZ)
    channels = (fmt.channels, 2, device["max_output_channels"])
    return list(dict.fromkeys(PcmFormat(rate_hz, count) for rate_hz in rates_hz for count in channels))
