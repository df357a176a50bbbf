"""Recordings as files to be sent: which, how large, and whether every frame is in them."""

from __future__ import annotations

import io
import os

import av
import pytest

from tests.stt.recognising import sound
from tests.support.upload import Upload
from voice_mcp.codecs.clip import MOST_UPLOAD_BYTES, make_clip, make_upload
from voice_mcp.errors import UnsupportedFormat
from voice_mcp.types import LISTENING_FORMAT, AudioClip


def frames_of(clip: AudioClip) -> bytes:
    """The frames, as another library than ours reads them."""
    return Upload({}, "", clip.media_type, clip.data).frames


@pytest.mark.parametrize("audio_format", ["wav", "flac"])
@pytest.mark.parametrize("frames", [b"", sound(0.001), sound(1.7), os.urandom(32_000)])
def test_wav_and_flac_hold_every_frame_to_the_bit(audio_format: str, frames: bytes) -> None:
    clip = make_clip(frames, LISTENING_FORMAT, audio_format)
    assert clip.extension == audio_format
    if frames:
        assert frames_of(clip) == frames


def test_a_wav_file_is_as_long_as_its_header_says() -> None:
    clip = make_clip(sound(0.5), LISTENING_FORMAT, "wav")
    assert len(clip.data) == 44 + len(sound(0.5))
    assert clip.data[40:44] == len(sound(0.5)).to_bytes(4, "little")


def test_what_goes_over_a_network_is_flac() -> None:
    clip = make_upload(sound(2.0), LISTENING_FORMAT)
    assert (clip.extension, clip.media_type, clip.data[:4]) == ("flac", "audio/flac", b"fLaC")
    assert len(clip.data) < len(sound(2.0))
    assert frames_of(clip) == sound(2.0)


def test_what_would_be_too_large_as_flac_goes_as_opus_under_a_name_that_servers_take() -> None:
    noise = os.urandom(MOST_UPLOAD_BYTES + 100_000)  # FLAC cannot make noise any smaller
    clip = make_upload(noise, LISTENING_FORMAT)
    assert (clip.extension, clip.media_type) == ("ogg", "audio/ogg")
    assert len(clip.data) <= MOST_UPLOAD_BYTES
    with av.open(io.BytesIO(clip.data)) as container:
        assert container.streams.audio[0].codec_context.name in ("opus", "libopus")


def test_what_is_too_long_for_any_server_is_refused() -> None:
    with pytest.raises(UnsupportedFormat, match="minutes of sound"):
        make_upload(sound(30.0), LISTENING_FORMAT, most_bytes=1000)
