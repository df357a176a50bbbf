"""Encoders of FFmpeg, through PyAV: frames in, packets out, and a muxer around them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from voice_mcp.codecs._av import LAYOUTS
from voice_mcp.codecs.encoders.base import Blocks, EncodingJob
from voice_mcp.codecs.resample import Resampler
from voice_mcp.errors import CodecError, CodecMissing
from voice_mcp.types import PcmFormat

if TYPE_CHECKING:
    from av.audio.codeccontext import AudioCodecContext
    from av.audio.stream import AudioStream
    from av.packet import Packet

_RESAMPLED_S = 0.005
"""The resampler gets its input in blocks of this length, for it takes long over single samples."""


@contextmanager
def telling_of_failure(what: str) -> Iterator[None]:
    """FFmpeg's errors as ours.

    Raises:
        CodecMissing: PyAV is not installed, or was built without the encoder.
        CodecError: FFmpeg failed.
    """
    try:
        import av  # 65 ms and 100 MB of libraries: only for those who encode
    except ImportError as exc:
        raise CodecMissing(f"{what} needs PyAV, which is not installed.", hint="Run `pip install av`.") from exc
    try:
        yield
    except av.codec.codec.UnknownCodecError as exc:
        raise CodecMissing(f"This build of PyAV has no encoder for {what}.", hint="Run `pip install -U av`.") from exc
    except av.FFmpegError as exc:
        raise CodecError(f"{what} could not be encoded: {exc.strerror}.", hint="Try another format.") from exc


class FrameFeeder:
    """Brings frames to the rate and the block size of a codec, and packets back.

    Args:
        fmt: The shape of the frames that will come.
        context: The codec, open.
        stream: The stream of a container that the packets are for, if there is one.
    """

    def __init__(self, fmt: PcmFormat, context: AudioCodecContext, stream: AudioStream | None = None) -> None:
        self._layout = LAYOUTS[fmt.channels]
        self._encode = stream.encode if stream else context.encode
        self._to = PcmFormat(context.sample_rate, fmt.channels)
        self._resampler = None
        if fmt.rate_hz != self._to.rate_hz:
            self._resampler = Resampler(fmt.rate_hz, self._to.rate_hz, fmt.channels)
        self._coming = Blocks(max(1, fmt.frames_in(_RESAMPLED_S)) * fmt.frame_bytes)
        self.codec_frames = context.frame_size
        """Frames in a packet."""
        self._going = Blocks(context.frame_size * fmt.frame_bytes)
        self.frames = 0
        """Frames that went into the codec, at its own rate."""

    def packets(self, frames: bytes) -> Iterator[Packet[AudioStream]]:
        """Take the next frames; give the packets that are ready."""
        if self._resampler is None:
            yield from self._encoded(frames)
            return
        for block in self._coming.cut(frames):
            yield from self._encoded(self._resampler.process(block))

    def last_packets(self) -> Iterator[Packet[AudioStream]]:
        """No more frames will come; give the packets that were held back."""
        if self._resampler is not None:
            tail = self._resampler.process(self._coming.rest())
            yield from self._encoded(tail + self._resampler.flush())
        rest = self._going.rest()
        if rest:
            yield from self._packets_of(rest)
        yield from self._encode(None)

    def _encoded(self, frames: bytes) -> Iterator[Packet[AudioStream]]:
        for block in self._going.cut(frames):
            yield from self._packets_of(block)

    def _packets_of(self, block: bytes) -> list[Packet[AudioStream]]:
        from av import AudioFrame

        frame = AudioFrame("s16", self._layout, self._to.frames(len(block)))
        frame.sample_rate = self._to.rate_hz
        frame.time_base = Fraction(1, self._to.rate_hz)
        frame.pts = self.frames
        frame.planes[0].update(block)
        self.frames += frame.samples
        return self._encode(frame)


@dataclass(frozen=True, slots=True)
class MuxedCodec:
    """A codec of FFmpeg in a container of FFmpeg."""

    name: str
    """As users call it."""
    codec: str
    container: str
    rate_hz: int
    options: Mapping[str, str] = field(default_factory=dict)
    """Of the codec."""
    container_options: Mapping[str, str] = field(default_factory=dict)


class MuxedEncoder:
    """An ``Encoder`` that leaves both codec and container to FFmpeg."""

    def __init__(self, job: EncodingJob, muxed: MuxedCodec) -> None:
        self.rate_hz = muxed.rate_hz
        self._name = muxed.name
        with telling_of_failure(self._name):
            import av

            # bitexact leaves out version numbers: the same audio makes the same bytes.
            options = {"fflags": "+bitexact", "flush_packets": "1", **muxed.container_options}
            self._container = av.open(job.output, "w", format=muxed.container, container_options=options)
            self._container.metadata.update(job.tags)
            stream = self._container.add_stream(muxed.codec, rate=muxed.rate_hz, options=dict(muxed.options))
            assert isinstance(stream, av.AudioStream)
            context = stream.codec_context
            context.layout = LAYOUTS[job.fmt.channels]
            if job.bitrate:
                context.bit_rate = job.bitrate
            self._container.start_encoding()
            self._feeder = FrameFeeder(job.fmt, context, stream)
            self._packets = 0

    def encode(self, frames: bytes) -> None:
        with telling_of_failure(self._name):
            for packet in self._feeder.packets(frames):
                self._container.mux_one(packet)
                self._packets += 1

    def finish(self) -> None:
        with telling_of_failure(self._name):
            self._container.mux(self._last_packets())
            self._container.close()

    def abandon(self) -> None:
        with telling_of_failure(self._name):
            self._container.close()

    def _last_packets(self) -> list[Packet[AudioStream]]:
        return list(self._feeder.last_packets())
