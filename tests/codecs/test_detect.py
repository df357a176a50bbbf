from __future__ import annotations

import pytest

from voice_mcp.codecs.detect import HEAD_BYTES, choose_decoder
from voice_mcp.codecs.pcm import PcmDecoder
from voice_mcp.codecs.wav import WavDecoder
from voice_mcp.errors import NotAudio
from voice_mcp.protocols import Decoder
from voice_mcp.types import PcmFormat

FMT = PcmFormat(24_000, 1)
WAV_HEAD = b"RIFF\x24\x08\0\0WAVE"
FRAMES = bytes(range(12))


def choose(head: bytes = FRAMES, media_type: str = "", asked: str = "pcm") -> Decoder:
    return choose_decoder(head[:HEAD_BYTES], media_type, asked, FMT)


def test_what_it_looks_like_counts_more_than_what_it_is_called() -> None:
    assert isinstance(choose(WAV_HEAD, "audio/pcm", "pcm"), WavDecoder)
    assert isinstance(choose(b"RF64" + WAV_HEAD[4:], "audio/mpeg", "pcm"), WavDecoder)


def test_what_it_is_called_counts_more_than_what_was_asked_for() -> None:
    assert isinstance(choose(media_type="audio/pcm", asked="wav"), PcmDecoder)
    assert isinstance(choose(media_type="audio/wav", asked="pcm"), WavDecoder)


@pytest.mark.parametrize("media_type", ["", "application/octet-stream", "audio/unheard-of"])
@pytest.mark.parametrize(("asked", "decoder"), [("pcm", PcmDecoder), ("wav", WavDecoder)])
def test_what_was_asked_for_counts_when_nothing_else_says_anything(
    media_type: str, asked: str, decoder: type[Decoder]
) -> None:
    assert isinstance(choose(media_type=media_type, asked=asked), decoder)


@pytest.mark.parametrize("media_type", ["audio/wav", "Audio/X-WAV", "audio/wave; codecs=1", " audio/vnd.wave "])
def test_the_many_names_of_wav_are_known(media_type: str) -> None:
    assert isinstance(choose(media_type=media_type), WavDecoder)


@pytest.mark.parametrize("media_type", ["audio/pcm;rate=24000", "audio/L16", "audio/x-raw"])
def test_the_many_names_of_raw_frames_are_known(media_type: str) -> None:
    assert choose(media_type=media_type, asked="wav").format == FMT


@pytest.mark.parametrize(
    "media_type",
    ["text/html; charset=utf-8", "text/plain", "application/json", "application/problem+json", "APPLICATION/XHTML+XML"],
)
def test_a_page_or_a_message_is_refused_by_its_name(media_type: str) -> None:
    with pytest.raises(NotAudio) as refused:
        choose(b"whatever it ", media_type)
    assert media_type.partition(";")[0].lower() in refused.value.message
    assert "/v1" in refused.value.hint
