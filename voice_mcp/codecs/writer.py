"""Audio out, as bytes that can be sent while more audio is still being made."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self, SupportsIndex

from voice_mcp.codecs.encoders.aac import aac_encoder
from voice_mcp.codecs.encoders.base import Encoder, EncodingJob
from voice_mcp.codecs.encoders.flac import flac_encoder
from voice_mcp.codecs.encoders.mp3 import Mp3Encoder
from voice_mcp.codecs.encoders.opus import OpusEncoder
from voice_mcp.codecs.encoders.outputs import FileOutput, FileTarget, Output, StreamOutput
from voice_mcp.codecs.encoders.pcm import PcmEncoder
from voice_mcp.codecs.encoders.samples import Samples, to_int16
from voice_mcp.codecs.encoders.tags import SYNTHETIC, checked_tags
from voice_mcp.codecs.encoders.vorbis import VorbisEncoder
from voice_mcp.codecs.encoders.wav import WavEncoder
from voice_mcp.errors import WriterMisuse
from voice_mcp.types import PcmFormat

RATES_HZ = range(4_000, 192_001)
"""What sound for people is made of; outside it somebody mixed up two numbers."""


@dataclass(frozen=True, slots=True)
class WriterFormat:
    """A format the writer can write."""

    media_type: str
    make: Callable[[EncodingJob], Encoder]
    most_channels: int
    bitrates: range | None = None
    """Bits per second to choose from; None where there is nothing to choose."""
    bitrate: int = 0
    """The default: what speech in one channel needs. Each channel gets as much."""


FORMATS: Mapping[str, WriterFormat] = {
    "wav": WriterFormat("audio/wav", WavEncoder, 8),
    "ogg": WriterFormat("audio/ogg", VorbisEncoder, 2),
    "opus": WriterFormat("audio/ogg", OpusEncoder, 2, range(6_000, 256_001), 32_000),
    "flac": WriterFormat("audio/flac", flac_encoder, 8),
    "mp3": WriterFormat("audio/mpeg", Mp3Encoder, 2, range(8_000, 320_001), 64_000),
    "aac": WriterFormat("audio/aac", aac_encoder, 2, range(16_000, 320_001), 64_000),
    "pcm": WriterFormat("audio/pcm", PcmEncoder, 8),
}


class StreamingAudioWriter:
    """Encodes audio piece by piece, in constant memory.

    There are two honest ways to use it, and they differ in what can still be changed:

    * **Stream** (``seekable`` left out). Each call returns the bytes that are new. Put together they are one valid
      file; nothing that was returned is ever taken back, so a header says "unknown" where it cannot know.
    * **File** (``seekable`` is a path, or a binary file that can seek). The audio goes there, every call returns
      ``b""``, and ``finalize`` puts the header right: exact sizes in WAV (RF64 beyond 4 GiB), length and MD5 in FLAC,
      Xing and LAME's numbers in MP3.

    The bytes do not depend on how the audio was cut. (Ogg Vorbis has a random serial number.)

    How long a frame waits at most for the next bytes, at 24 kHz, and what a decoder makes of the length:

    | format | container | waits | length when decoded |
    |---|---|---|---|
    | ``pcm`` | none, 16-bit little-endian | 0 | exact |
    | ``wav`` | RIFF, 16-bit | 0 | exact |
    | ``opus`` | Ogg | 20 ms | exact, at 48 kHz |
    | ``flac`` | FLAC | 40 ms | exact |
    | ``mp3`` | none, or ID3v2 when there are tags | 48 ms | exact from a file, else with the codec's own silence |
    | ``aac`` | ADTS | 86 ms | with the codec's own silence |
    | ``ogg`` | Ogg Vorbis, needs ``voice-mcp[ogg]`` | 0.7 to 0.9 s of speech | exact |

    As a context manager it finalizes a file at the end of the block, unless an exception ends it. A stream's last
    bytes must go somewhere: call ``finalize`` inside the block.

    For one thread at a time.

    Args:
        format: One of the above.
        sample_rate: Frames per second of what will be written, 4,000 to 192,000. A rate the codec cannot take is
            resampled; ``encoded_rate_hz`` says to what.
        channels: Samples per frame: 1 or 2, and up to 8 for ``pcm``, ``wav`` and ``flac``.
        seekable: Where to write a file.
        bitrate: Bits per second, for ``mp3``, ``opus`` and ``aac``.
        tags: Title, artist, comment, ... by name; any name will do, and where the container has no place for it, it
            goes into the comment. ``pcm`` and ``aac`` have no room for tags. ``synthetic_tags`` says of speech that
            nobody spoke it.
        frames: How many frames will come, when that is known: streams of WAV and FLAC then say it from the start. A
            promise: another number is refused.

    Raises:
        WriterMisuse: An argument that cannot be used.
        CodecMissing: The library for this format is not installed.
        StorageError: The file cannot be opened.
    """

    def __init__(
        self,
        format: str,
        sample_rate: int,
        channels: int = 1,
        *,
        seekable: FileTarget | None = None,
        bitrate: int | None = None,
        tags: Mapping[str, str] | None = None,
        frames: int | None = None,
    ) -> None:
        chosen = _chosen_format(format)
        fmt = _checked_shape(format, chosen, sample_rate, channels)
        bitrate = _checked_bitrate(format, chosen, bitrate, channels)
        tags = checked_tags(tags)
        if frames is not None and _whole_number("number of frames", frames) < 0:
            raise WriterMisuse(f"There cannot be {frames} frames.")
        self.media_type = chosen.media_type
        """What to call the bytes in a Content-Type header."""
        self._fmt = fmt
        self._promised_frames = frames
        self._frames = 0
        self._finished = False
        self._closed = False
        self._output: Output = StreamOutput() if seekable is None else FileOutput(seekable)
        try:
            self._encoder = chosen.make(EncodingJob(fmt, self._output, bitrate, tags, frames))
        except BaseException:
            self._output.close()
            raise

    @property
    def encoded_rate_hz(self) -> int:
        """Frames per second that a decoder will give."""
        return self._encoder.rate_hz

    @property
    def frames_written(self) -> int:
        """Frames taken so far, at the rate they came in."""
        return self._frames

    def write_chunk(self, samples: Samples | None = None, *, finalize: bool = False) -> bytes:
        """Take the next samples; with ``finalize``, also end the audio.

        Args:
            samples: float32 (clipped to [-1, 1]), int16 or int32 (its upper 16 bits) of shape (frames, channels), or
                (frames,) for one channel; or int16 little-endian bytes or an ``array.array``, interleaved. Any length.
            finalize: Nothing comes after these.

        Returns:
            The bytes that are new; always empty when writing a file.

        Raises:
            WriterMisuse: The samples cannot be used (nothing of them was), or the writer is finished.
            CodecError: The encoder failed. The writer is closed.
            StorageError: The file could not be written. The writer is closed.
        """
        if samples is None:
            if not finalize:
                raise WriterMisuse("There are no samples.", hint="Pass samples, or finalize=True to end the audio.")
            return self.finalize()
        self._refuse_when_over()
        data = to_int16(samples, self._fmt.channels)
        frames = self._frames + self._fmt.frames(len(data))
        self._check_promise(frames, finalize)
        self._or_close(lambda: self._encoder.encode(data))
        self._frames = frames
        return self.finalize() if finalize else self._output.take()

    def finalize(self) -> bytes:
        """End the audio: encode what was held back and put the header of a file right. Doing it again does nothing.

        Returns:
            The last bytes; always empty when writing a file.

        Raises:
            WriterMisuse: Fewer frames than promised came (more may still come), or the writer was closed before.
            CodecError: The encoder failed. The writer is closed.
            StorageError: The file could not be written. The writer is closed.
        """
        if self._finished:
            return b""
        self._refuse_when_over()
        self._check_promise(self._frames, True)
        self._or_close(self._encoder.finish)
        self._finished = self._closed = True
        last = self._output.take()
        self._output.close()
        return last

    def close(self) -> None:
        """Let go. Without ``finalize`` before, what was returned or written so far stays good, and the rest is lost."""
        if self._closed:
            return
        self._closed = True
        if self._output.patchable is None:
            self._output.close()
        try:
            self._encoder.abandon()
        finally:
            self._output.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None and not self._closed and self._output.patchable is not None:
            self.finalize()
        self.close()

    def _refuse_when_over(self) -> None:
        if self._finished:
            raise WriterMisuse("The audio was finalized already.", hint="Make a new writer for more audio.")
        if self._closed:
            raise WriterMisuse("The writer was closed already.", hint="Make a new writer.")

    def _check_promise(self, frames: int, last: bool) -> None:
        promised = self._promised_frames
        if promised is not None and (frames > promised or (last and frames < promised)):
            raise WriterMisuse(
                f"{promised} frames were promised, and these make {frames}.", hint="Correct `frames`, or leave it out."
            )

    def _or_close(self, step: Callable[[], None]) -> None:
        """Do it; if it fails, the encoder is in no state to go on."""
        try:
            step()
        except BaseException:
            self._closed = True
            self._output.close()
            raise


def synthetic_tags(format: str, *, is_stream: bool) -> Mapping[str, str]:
    """The tag of synthetic speech, ``synthetic``: ``voice-mcp``, for ``tags``; nothing where it would do harm.

    A stream of WAV gets none: many count on its header having 44 bytes. ``pcm`` and ``aac`` have no room for it.

    Args:
        format: One of ``FORMATS``.
        is_stream: Whether it is written as a stream, and not into a file.
    """
    return {} if format in ("pcm", "aac") or (format == "wav" and is_stream) else SYNTHETIC


def _chosen_format(name: str) -> WriterFormat:
    try:
        return FORMATS[name]
    except (KeyError, TypeError) as exc:
        raise WriterMisuse(f"There is no format {name!r}.", hint=f"Use one of {', '.join(FORMATS)}.") from exc


def _checked_shape(name: str, chosen: WriterFormat, rate_hz: int, channels: int) -> PcmFormat:
    if _whole_number("sample rate", rate_hz) not in RATES_HZ:
        raise WriterMisuse(
            f"The sample rate cannot be {rate_hz}.", hint=f"Use {RATES_HZ[0]} to {RATES_HZ[-1]} frames per second."
        )
    if _whole_number("number of channels", channels) not in range(1, chosen.most_channels + 1):
        raise WriterMisuse(f"{name} cannot have {channels} channels.", hint=f"Use 1 to {chosen.most_channels}.")
    return PcmFormat(int(rate_hz), int(channels))


def _checked_bitrate(name: str, chosen: WriterFormat, bitrate: int | None, channels: int) -> int:
    if bitrate is None:
        return chosen.bitrate * channels
    if chosen.bitrates is None:
        raise WriterMisuse(f"{name} has no bit rate to choose.", hint="Leave `bitrate` out.")
    if _whole_number("bit rate", bitrate) not in chosen.bitrates:
        lowest, highest = chosen.bitrates[0], chosen.bitrates[-1]
        raise WriterMisuse(f"The bit rate cannot be {bitrate}.", hint=f"Use {lowest} to {highest} bits per second.")
    return int(bitrate)


def _whole_number(what: str, value: SupportsIndex) -> int:
    try:
        return operator.index(value)
    except TypeError as exc:
        raise WriterMisuse(f"The {what} cannot be {value!r}.", hint="Use a whole number.") from exc
