"""AAC (ISO/IEC 14496-3) with an ADTS header on each frame."""

from __future__ import annotations

from voice_mcp.codecs.encoders._av import MuxedCodec, MuxedEncoder
from voice_mcp.codecs.encoders.base import Encoder, EncodingJob, lowest_rate_for

RATES_HZ = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000)


def aac_encoder(job: EncodingJob) -> Encoder:
    """An encoder for AAC. ADTS has no room for tags, nor for saying that the first 1,024 frames are silence."""
    codec = MuxedCodec(name="AAC", codec="aac", container="adts", rate_hz=lowest_rate_for(job.fmt.rate_hz, RATES_HZ))
    return MuxedEncoder(job, codec)
