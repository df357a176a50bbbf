"""FFmpeg's packet decoders, through PyAV: one compressed packet in, 16-bit frames out.

PyAV 18: ``CodecContext.create`` by name, ``extradata`` before the first packet, ``decode`` per packet; the samples of
an ``AudioFrame`` are planar floats for most codecs, which ``AudioResampler`` turns into interleaved 16-bit ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING

from voice_mcp.errors import CodecMissing, NotAudio
from voice_mcp.types import BYTES_PER_SAMPLE, PcmFormat

if TYPE_CHECKING:
    from av import AudioFrame, AudioResampler

LAYOUTS = ("", "mono", "stereo", "2.1", "quad", "5.0", "5.1", "6.1", "7.1")
"""FFmpeg's name of a usual layout with so many channels."""
MOST_CHANNELS = len(LAYOUTS) - 1
RATES_HZ = range(4_000, 192_001)


def load_av(encoding: str) -> ModuleType:
    """PyAV, imported when the first compressed stream arrives: it costs 65 ms and 40 MB.

    Args:
        encoding: What kind of audio cannot be had without it, for the message.

    Raises:
        CodecMissing: It is not installed.
    """
    try:
        import av
    except ImportError as exc:
        raise CodecMissing(
            f"{encoding} audio needs PyAV, which is not installed.",
            hint="Run `pip install av`, or set VOICEMODE_TTS_AUDIO_FORMAT to pcm or wav.",
        ) from exc
    return av


class PacketDecoder:
    """Decodes packets one by one. The first frame sets the format; whatever differs later is converted to it.

    Args:
        codec: FFmpeg's name of the decoder.
        encoding: What the stream is called in messages.
        extradata: The codec's header, as FFmpeg wants it.
        options: FFmpeg's options for the decoder.

    Raises:
        CodecMissing: PyAV is not installed.
        NotAudio: The decoder refuses ``extradata``.
    """

    def __init__(
        self, codec: str, encoding: str, *, extradata: bytes = b"", options: Mapping[str, str] | None = None
    ) -> None:
        self._av = load_av(encoding)
        self._codec = codec
        self._encoding = encoding
        self._options = dict(options or {})
        self._converter: _Converter | None = None
        self.restart(extradata)

    @property
    def format(self) -> PcmFormat | None:
        """The shape of what comes out; None before the first frame."""
        return self._converter.format if self._converter else None

    def decode(self, packet: bytes) -> bytes | None:
        """The frames of one packet; None when it is damaged.

        Raises:
            NotAudio: Its rate or channels are beyond reason.
        """
        if not packet:
            return None  # FFmpeg would take an empty packet for the end of the stream
        try:
            return b"".join(self._convert(frame) for frame in self._context.decode(self._av.Packet(packet)))
        except self._av.FFmpegError:
            return None

    def restart(self, extradata: bytes = b"") -> None:
        """Another stream of the same codec begins; its frames are converted to the format of the first.

        Args:
            extradata: Its header.

        Raises:
            NotAudio: The decoder refuses it.
        """
        context = self._av.CodecContext.create(self._codec, "r")
        context.thread_count = 1  # frames of 20 ms are not worth a thread, and threads hold frames back
        context.options = self._options
        if extradata:
            context.extradata = extradata
        try:
            context.open()
        except self._av.FFmpegError as exc:
            raise NotAudio(f"The {self._encoding} audio begins with a header that makes no sense.") from exc
        self._context = context

    def forget(self) -> None:
        """The next packet does not follow the last one."""
        self._context.flush_buffers()

    def flush(self) -> bytes:
        """What the conversion still holds; nothing unless the rate changed on the way."""
        return self._converter.flush() if self._converter else b""

    def _convert(self, frame: AudioFrame) -> bytes:
        if self._converter is None:
            self._converter = _Converter(self._av, self._format_of(frame), frame.layout.name)
        return self._converter.convert(frame)

    def _format_of(self, frame: AudioFrame) -> PcmFormat:
        channels = frame.layout.nb_channels
        if not 1 <= channels <= MOST_CHANNELS or frame.sample_rate not in RATES_HZ:
            raise NotAudio(f"The {self._encoding} audio makes no sense ({channels} channels, {frame.sample_rate} Hz).")
        return PcmFormat(frame.sample_rate, channels)


class _Converter:
    """Turns decoded frames of any sample type, layout and rate into interleaved 16-bit ones of one format."""

    def __init__(self, av: ModuleType, fmt: PcmFormat, layout: str) -> None:
        self.format = fmt
        self._av = av
        self._layout = layout
        self._resampler: AudioResampler | None = None
        self._source: tuple[str, str, int] | None = None

    def convert(self, frame: AudioFrame) -> bytes:
        source = (frame.format.name, frame.layout.name, frame.sample_rate)
        tail = b""
        if self._resampler is None or source != self._source:
            tail = self.flush()
            self._resampler = self._av.AudioResampler(format="s16", layout=self._layout, rate=self.format.rate_hz)
            self._source = source
        frame.pts = None  # packets carry no times here, and guessed ones would be taken for gaps
        return tail + b"".join(map(frames_of, self._resampler.resample(frame)))

    def flush(self) -> bytes:
        if self._resampler is None:
            return b""
        resampler, self._resampler = self._resampler, None
        return b"".join(map(frames_of, resampler.resample(None)))


def frames_of(frame: AudioFrame) -> bytes:
    """The samples of an interleaved 16-bit ``AudioFrame``, without the padding FFmpeg keeps behind them."""
    return bytes(frame.planes[0])[: frame.samples * frame.layout.nb_channels * BYTES_PER_SAMPLE]
