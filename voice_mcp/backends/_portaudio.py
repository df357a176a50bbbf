"""What both ways through PortAudio have in common: the library, its devices, its refusals.

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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

from voice_mcp.errors import DeviceBusy, DeviceUnavailable, MicrophoneBusy, MicrophoneUnavailable
from voice_mcp.types import PcmFormat

FRESH_S = 5.0
USUAL_RATES_HZ = (48_000, 44_100)
"""There is hardly a device that takes neither."""

# Source: portaudio.h, PaErrorCode.
_ANOTHER_FORMAT_MAY_DO = (-9997, -9998)  # paInvalidSampleRate, paInvalidChannelCount
_HOST_ERROR = -9999  # paUnanticipatedHostError: the third argument has the sound system's own code
_DEVICE_UNAVAILABLE = -9985
_BUSY_HOST_ERRORS = (-errno.EBUSY, 0x8889000A - (1 << 32))  # ALSA; WASAPI's AUDCLNT_E_DEVICE_IN_USE


@dataclass(frozen=True, slots=True)
class Direction:
    """Which way sound goes, and what is raised where it cannot."""

    kind: Literal["input", "output"]
    index: int
    """Where it stands in sounddevice's pairs."""
    unavailable: type[DeviceUnavailable | MicrophoneUnavailable]
    busy: type[DeviceUnavailable | MicrophoneUnavailable]


OUTPUT = Direction("output", 1, DeviceUnavailable, DeviceBusy)
INPUT = Direction("input", 0, MicrophoneUnavailable, MicrophoneBusy)


class Stream(Protocol):
    """An open stream, of either direction."""

    is_closed: bool


S = TypeVar("S", bound=Stream)


class PortAudio:
    """PortAudio, for one stream at a time in one direction.

    Importing sounddevice starts PortAudio (60 ms), so that happens here, when it is first needed.

    Thread: any, one at a time.

    Args:
        direction: Which devices are meant.
        fresh_s: How long what is known of the devices is good enough, in seconds.

    Raises:
        DeviceUnavailable, MicrophoneUnavailable: sounddevice or PortAudio is not installed.
    """

    def __init__(self, direction: Direction, fresh_s: float = FRESH_S) -> None:
        self._direction = direction
        setting = f"VOICEMODE_AUDIO_{direction.kind.upper()}"
        try:
            import sounddevice
        except (ImportError, OSError) as exc:
            raise direction.unavailable(
                "The PortAudio library was not found.",
                hint=f"Install it (Debian, Ubuntu: apt install libportaudio2), or use {setting}=miniaudio.",
            ) from exc
        self.sd: Any = sounddevice
        self._fresh_s = fresh_s
        self._looked_at_s = time.monotonic()
        self._stream: Stream | None = None

    def open(
        self,
        device: str | None,
        formats: Callable[[dict[str, Any]], Sequence[PcmFormat]],
        open_stream: Callable[[PcmFormat], S],
    ) -> S:
        """Open a device in the first format it takes.

        Args:
            device: Its name, or part of it; None for the default.
            formats: The formats to try on a device that sounddevice describes so, in order.
            open_stream: Opens the stream; raises ``PortAudioError`` where that cannot be done.

        Raises:
            DeviceUnavailable, MicrophoneUnavailable: There is no such device, or it cannot be opened.
        """
        looked = self._look_again_if_old() if device is not None or not self._default_follows() else False
        try:
            stream = self._open(device, formats, open_stream)
        except self._direction.busy:
            raise  # a device that is held does not even appear in a new list
        except self._direction.unavailable:
            if looked:
                raise
            self._look_again()
            stream = self._open(device, formats, open_stream)
        self._stream = stream
        return stream

    def devices(self) -> list[str]:
        """The names of the devices, the default first."""
        if self._stream is None or self._stream.is_closed:
            self._look_again_if_old()
        return self._names()

    def _open(
        self,
        device: str | None,
        formats: Callable[[dict[str, Any]], Sequence[PcmFormat]],
        open_stream: Callable[[PcmFormat], S],
    ) -> S:
        kind = self._direction.kind
        if not self._names():
            raise self._direction.unavailable(f"PortAudio found no {kind} device.")
        first_problem: Exception | None = None
        try:
            for fmt in formats(self.sd.query_devices(device, kind)):
                try:
                    return open_stream(fmt)
                except self.sd.PortAudioError as exc:
                    first_problem = first_problem or exc
                    if _code(exc) not in _ANOTHER_FORMAT_MAY_DO:
                        break
        except (self.sd.PortAudioError, ValueError) as exc:  # the latter where no device has that name, or several
            first_problem = exc
        assert first_problem is not None
        error = self._direction.busy if is_busy(first_problem) else self._direction.unavailable
        name = device or f"the default {kind} device"
        raise error(f"PortAudio could not open {name}: {_reason(first_problem)}.") from first_problem

    def _names(self) -> list[str]:
        try:
            listed = self.sd.query_devices()
            default = self.sd.default.device[self._direction.index]
        except self.sd.PortAudioError as exc:
            raise self._direction.unavailable(f"PortAudio cannot list its devices: {_reason(exc)}.") from exc
        channels = f"max_{self._direction.kind}_channels"
        usable = [(index, entry["name"]) for index, entry in enumerate(listed) if entry[channels] > 0]
        usable.sort(key=lambda entry: entry[0] != default)
        return [name for _, name in usable]

    def _default_follows(self) -> bool:
        """Whether the default device is a name that ALSA looks up at every opening."""
        return self._names()[:1] == ["default"]

    def _look_again_if_old(self) -> bool:
        """See that the list of devices is fresh; whether that took a look."""
        old = time.monotonic() - self._looked_at_s > self._fresh_s
        if old:
            self._look_again()
        return old

    def _look_again(self) -> None:
        """Start PortAudio anew. No stream may be open.

        Raises:
            DeviceUnavailable, MicrophoneUnavailable: It does not start; the next look tries again.
        """
        try:
            if self.sd._initialized:
                self.sd._terminate()
            self.sd._initialize()
        except self.sd.PortAudioError as exc:
            raise self._direction.unavailable(f"PortAudio does not start: {_reason(exc)}.") from exc
        self._looked_at_s = time.monotonic()


def is_busy(exc: Exception) -> bool:
    """Whether another program holds the device.

    PortAudio makes ``paDeviceUnavailable`` of ALSA's EBUSY at opening and of WinMM's MMSYSERR_ALLOCATED; elsewhere it
    passes the sound system's code on.
    """
    if _code(exc) == _HOST_ERROR and len(exc.args) > 2:
        return exc.args[2][1] in _BUSY_HOST_ERRORS
    return _code(exc) == _DEVICE_UNAVAILABLE


def _code(exc: Exception) -> int:
    """PortAudio's own code; 0 where there is none."""
    return int(exc.args[1]) if len(exc.args) > 1 else 0


def _reason(exc: Exception) -> str:
    return str(exc.args[0]).rstrip(".") if exc.args else type(exc).__name__
