"""PortAudio, through the sounddevice package: the default way to the sound card.

PortAudio freezes its list of devices when it starts, and there is no public way to look again: it has to be started
anew, which closes every stream. That takes 7 ms where a private PulseAudio is all that ALSA knows of, and 41 ms with
the configuration that Debian brings (medians of 40). So it happens only while no stream is open, and where it can help:

* before a device is opened, if the last look was more than ``FRESH_S`` ago; the first words are made meanwhile. ALSA's
  ``default`` is exempt, and with it nearly every Linux: ALSA looks up what is behind that name at every opening, and
  so finds a sound server's new default without a look;
* once more after a device could not be opened, so that one which is awaited is found as soon as it is there.
"""

from __future__ import annotations

import errno
import time
from typing import Any

from voice_mcp.errors import DeviceBusy, DeviceUnavailable
from voice_mcp.protocols import FrameSource, OutputStream
from voice_mcp.types import PcmFormat

PERIOD_S = 0.010
LATENCY_S = 0.030
"""Three periods: no gap even with every core busy; with four PortAudio calls irregularly (benchmarks/README.md)."""
FRESH_S = 5.0
USUAL_RATES_HZ = (48_000, 44_100)
"""There is hardly a device that takes neither."""

# Source: portaudio.h, PaErrorCode.
_ANOTHER_FORMAT_MAY_DO = (-9997, -9998)  # paInvalidSampleRate, paInvalidChannelCount
_HOST_ERROR = -9999  # paUnanticipatedHostError: the third argument has the sound system's own code
_DEVICE_UNAVAILABLE = -9985
_BUSY_HOST_ERRORS = (-errno.EBUSY, 0x8889000A - (1 << 32))  # ALSA; WASAPI's AUDCLNT_E_DEVICE_IN_USE


class SounddeviceBackend:
    """Output through PortAudio.

    Importing sounddevice starts PortAudio (60 ms), so that happens here, when it is first needed.

    Thread: any, one at a time.

    Args:
        fresh_s: How long what is known of the devices is good enough, in seconds.

    Raises:
        DeviceUnavailable: sounddevice or PortAudio is not installed.
    """

    name = "sounddevice"

    def __init__(self, fresh_s: float = FRESH_S) -> None:
        try:
            import sounddevice
        except (ImportError, OSError) as exc:
            raise DeviceUnavailable(
                "The PortAudio library was not found.",
                hint="Install it (Debian, Ubuntu: apt install libportaudio2), or use VOICEMODE_AUDIO_OUTPUT=miniaudio.",
            ) from exc
        self._sd: Any = sounddevice
        self._fresh_s = fresh_s
        self._looked_at_s = time.monotonic()
        self._stream: _Stream | None = None

    def open(self, fmt: PcmFormat, device: str | None, path: str | None, source: FrameSource) -> OutputStream:
        looked = self._look_again_if_old() if device is not None or not self._default_follows() else False
        try:
            self._stream = self._open(fmt, device, source)
        except DeviceBusy:
            raise  # a device that is held does not even appear in a new list
        except DeviceUnavailable:
            if looked:
                raise
            self._look_again()
            self._stream = self._open(fmt, device, source)
        return self._stream

    def devices(self) -> list[str]:
        if self._stream is None or self._stream.is_closed:
            self._look_again_if_old()
        return self._outputs()

    def _open(self, fmt: PcmFormat, device: str | None, source: FrameSource) -> _Stream:
        """Open the nearest format the device takes."""
        if not self._outputs():
            raise DeviceUnavailable("PortAudio found no output device.")
        first_problem: Exception | None = None
        try:
            for choice in nearest_formats(fmt, self._sd.query_devices(device, "output")):
                try:
                    return _Stream(self._sd, choice, device, source)
                except self._sd.PortAudioError as exc:
                    first_problem = first_problem or exc
                    if _code(exc) not in _ANOTHER_FORMAT_MAY_DO:
                        break
        except (self._sd.PortAudioError, ValueError) as exc:
            first_problem = exc
        assert first_problem is not None
        kind = DeviceBusy if is_busy(first_problem) else DeviceUnavailable
        name = device or "the default output device"
        raise kind(f"PortAudio could not open {name}: {_reason(first_problem)}.") from first_problem

    def _outputs(self) -> list[str]:
        try:
            listed = self._sd.query_devices()
            default = self._sd.default.device[1]
        except self._sd.PortAudioError as exc:
            raise DeviceUnavailable(f"PortAudio cannot list its devices: {_reason(exc)}.") from exc
        outputs = [(index, entry["name"]) for index, entry in enumerate(listed) if entry["max_output_channels"] > 0]
        outputs.sort(key=lambda output: output[0] != default)
        return [name for _, name in outputs]

    def _default_follows(self) -> bool:
        """Whether the default device is a name that ALSA looks up at every opening."""
        return self._outputs()[:1] == ["default"]

    def _look_again_if_old(self) -> bool:
        """See that the list of devices is fresh; whether that took a look."""
        old = time.monotonic() - self._looked_at_s > self._fresh_s
        if old:
            self._look_again()
        return old

    def _look_again(self) -> None:
        """Start PortAudio anew. No stream may be open.

        Raises:
            DeviceUnavailable: It does not start; the next look tries again.
        """
        try:
            if self._sd._initialized:
                self._sd._terminate()
            self._sd._initialize()
        except self._sd.PortAudioError as exc:
            raise DeviceUnavailable(f"PortAudio does not start: {_reason(exc)}.") from exc
        self._looked_at_s = time.monotonic()


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
        try:
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

    def _pull(self, out: Any, frames: int, time: Any, status: Any) -> None:
        """Thread: PortAudio's."""
        if status and status.output_underflow:
            self._source.underflow()
        self._source.render(memoryview(out).cast("B"))

    def _finished(self) -> None:
        """Thread: PortAudio's. A stream that ends without having been closed has lost its device."""
        if not self.is_closed:
            self._source.lost("the sound device stopped by itself")


def nearest_formats(fmt: PcmFormat, device: dict[str, Any]) -> list[PcmFormat]:
    """The formats to try on a device, the nearest to ``fmt`` first: what is asked for at all costs is its rate."""
    rates_hz = (fmt.rate_hz, round(device["default_samplerate"]), *USUAL_RATES_HZ)
    channels = (fmt.channels, 2, device["max_output_channels"])
    return list(dict.fromkeys(PcmFormat(rate_hz, count) for rate_hz in rates_hz for count in channels))


def _code(exc: Exception) -> int:
    """PortAudio's own code; 0 where there is none."""
    return int(exc.args[1]) if len(exc.args) > 1 else 0


def is_busy(exc: Exception) -> bool:
    """Whether another program holds the device.

    PortAudio makes ``paDeviceUnavailable`` of ALSA's EBUSY at opening and of WinMM's MMSYSERR_ALLOCATED; elsewhere it
    passes the sound system's code on.
    """
    if _code(exc) == _HOST_ERROR and len(exc.args) > 2:
        return exc.args[2][1] in _BUSY_HOST_ERRORS
    return _code(exc) == _DEVICE_UNAVAILABLE


def _reason(exc: Exception) -> str:
    return str(exc.args[0]).rstrip(".") if exc.args else type(exc).__name__
