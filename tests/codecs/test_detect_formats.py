"""Which decoder a stream gets: by what it looks like, then by its name, then by what was asked for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.codecs.material import decode, encode, encode_file, sound
from voice_mcp.codecs.aac import AacDecoder
from voice_mcp.codecs.detect import HEAD_BYTES, choose_decoder, undecided
from voice_mcp.codecs.flac import FlacDecoder
from voice_mcp.codecs.mp3 import Mp3Decoder
from voice_mcp.codecs.ogg import OggVorbisDecoder
from voice_mcp.codecs.opus import OpusDecoder
from voice_mcp.codecs.pcm import PcmDecoder
from voice_mcp.codecs.wav import WavDecoder
from voice_mcp.codecs.whole import FileDecoder
from voice_mcp.errors import CodecMissing, NotAudio, UnsupportedFormat
from voice_mcp.protocols import Decoder
from voice_mcp.types import PcmFormat

FMT = PcmFormat(24_000, 1)
FRAMES = 12_000
NO_TAGS = {"write_xing": "0", "id3v2_version": "0"}
DECODERS: dict[str, type[Decoder]] = {
    "mp3": Mp3Decoder,
    "mp3 with a tag": Mp3Decoder,
    "aac": AacDecoder,
    "flac": FlacDecoder,
    "opus": OpusDecoder,
    "ogg": OggVorbisDecoder,
    "wav": WavDecoder,
}


@cache
def stream(kind: str) -> bytes:
    pcm = sound(FMT, FRAMES)
    makers: dict[str, Callable[[], bytes]] = {
        "mp3": lambda: encode("mp3", "libmp3lame", pcm, 24_000, container_options=NO_TAGS),
        "mp3 with a tag": lambda: encode("mp3", "libmp3lame", pcm, 24_000, streamed=False),
        "aac": lambda: encode("adts", "aac", pcm, 24_000),
        "flac": lambda: encode("flac", "flac", pcm, 24_000),
        "opus": lambda: encode("ogg", "libopus", pcm, 24_000),
        "ogg": lambda: encode_file(pcm, 24_000, "OGG", "VORBIS"),
        "wav": lambda: encode_file(pcm, 24_000, "WAV", "PCM_16"),
    }
    return makers[kind]()


def choose(data: bytes, media_type: str = "", asked: str = "pcm", step: int = 1) -> Decoder:
    """What is chosen when ``data`` arrives ``step`` bytes at a time."""
    return choose_decoder(head_of(data, media_type, asked, step), media_type, asked, FMT)


def head_of(data: bytes, media_type: str = "", asked: str = "pcm", step: int = 1) -> bytes:
    """What has to be there before a decoder is chosen."""
    for end in range(0, len(data) + step, step):
        if not undecided(data[:end], media_type, asked):
            return data[:end]
    return data


# --- what it looks like ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", DECODERS)
@pytest.mark.parametrize("media_type", ["", "audio/pcm", "audio/mpeg", "application/octet-stream", "audio/wav"])
@pytest.mark.parametrize("asked", ["pcm", "mp3", "opus"])
@pytest.mark.parametrize("step", [1, 4096])
def test_sound_is_known_by_its_looks_whatever_it_is_called(kind: str, media_type: str, asked: str, step: int) -> None:
    assert type(choose(stream(kind), media_type, asked, step)) is DECODERS[kind]


@pytest.mark.parametrize("kind", DECODERS)
def test_so_is_sound_that_is_called_text(kind: str) -> None:
    assert type(choose(stream(kind), "text/plain")) is DECODERS[kind]


@given(st.binary(min_size=12, max_size=2000))
def test_more_bytes_than_were_waited_for_do_not_change_the_choice(data: bytes) -> None:
    head = head_of(data)
    if not undecided(head, "", "pcm"):
        assert choice(head) == choice(data)


def choice(head: bytes) -> str:
    try:
        return type(choose_decoder(head, "", "pcm", FMT)).__name__
    except (NotAudio, UnsupportedFormat) as exc:
        return exc.code


@pytest.mark.parametrize("header", [b"\xff\xfb\x90\x00", b"\xff\xf3\x84\xc4", b"\xff\xf1\x50\x80\x02\x1f\xfc"])
@pytest.mark.parametrize("media_type", ["", "audio/pcm"])
def test_raw_frames_that_begin_like_an_mpeg_frame_by_chance_are_raw_frames(header: bytes, media_type: str) -> None:
    frames = header + sound(FMT, FRAMES)[:4000].tobytes()
    head = head_of(frames, media_type)

    assert isinstance(choose(frames, media_type), PcmDecoder)
    assert 12 < len(head) <= HEAD_BYTES


@pytest.mark.parametrize(("media_type", "asked"), [("audio/mpeg", "pcm"), ("", "mp3"), ("audio/mpeg", "mp3")])
def test_one_mpeg_header_is_enough_where_it_was_announced(media_type: str, asked: str) -> None:
    assert isinstance(choose(stream("mp3")[:12], media_type, asked), Mp3Decoder)


def test_raw_frames_do_not_wait() -> None:
    assert len(head_of(sound(FMT, FRAMES).tobytes(), "audio/pcm")) == 12
    assert len(head_of(bytes(1000))) == 12


def test_a_tag_in_front_of_what_is_called_aac_belongs_to_it() -> None:
    tag = b"ID3\x04\0\0\0\0\0\x3f" + bytes(63)

    assert isinstance(choose(tag + stream("aac"), "audio/aac", "aac"), AacDecoder)
    assert isinstance(choose(tag + stream("mp3"), "", "aac2"), Mp3Decoder)


def test_an_ogg_stream_is_known_once_it_says_what_is_in_it() -> None:
    assert undecided(stream("opus")[:35], "audio/ogg", "opus")
    assert not undecided(stream("opus")[:36], "audio/ogg", "opus")


def test_ogg_with_something_else_in_it_is_refused() -> None:
    data = stream("opus").replace(b"OpusHead", b"Speex   ")

    with pytest.raises(UnsupportedFormat, match="Ogg"):
        choose(data)


# --- what it is called -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("media_type", "asked", "decoder"),
    [
        ("audio/mpeg", "pcm", Mp3Decoder),
        ("Audio/X-MP3", "pcm", Mp3Decoder),
        ("audio/aac", "pcm", AacDecoder),
        ("audio/aacp; rate=24000", "pcm", AacDecoder),
        ("audio/flac", "pcm", FlacDecoder),
        ("audio/opus", "pcm", OpusDecoder),
        ("audio/ogg; codecs=opus", "pcm", OpusDecoder),
        ("audio/ogg", "opus", OpusDecoder),
        ("audio/ogg", "pcm", OggVorbisDecoder),
        ("", "opus", OpusDecoder),
        ("", "ogg", OggVorbisDecoder),
        ("", "flac", FlacDecoder),
        ("audio/mp4", "pcm", FileDecoder),
        ("", "webm", FileDecoder),
    ],
)
def test_without_looks_its_name_counts_and_then_what_was_asked_for(
    media_type: str, asked: str, decoder: type[Decoder]
) -> None:
    assert type(choose(bytes(100), media_type, asked)) is decoder


@pytest.mark.parametrize(("media_type", "asked"), [("", "midi"), ("audio/unheard-of", "speex")])
def test_a_format_nobody_knows_is_refused_by_name(media_type: str, asked: str) -> None:
    with pytest.raises(UnsupportedFormat, match=asked):
        choose(bytes(100), media_type, asked)


@pytest.mark.parametrize(
    "head",
    [
        b"\0\0\0\x20ftypM4A \0\0\0\0",
        b"\x1a\x45\xdf\xa3" + bytes(12),
        b"FORM\0\0\0\x10AIFFCOMM",
        b"FORM\0\0\0\x10AIFCFVER",
        b"caff\0\1\0\0desc" + bytes(4),
        b"#!AMR\n" + bytes(12),
        b".snd" + bytes(12),
        bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"),
    ],
)
def test_files_with_an_index_are_collected_whole(head: bytes) -> None:
    assert isinstance(choose(head, "audio/pcm"), FileDecoder)


# --- what is no sound --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "quoted"),
    [
        (b"<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title>", "<!DOCTYPE html> <html>"),
        (b"<html>", "<html>"),
        (b'<?xml version="1.0"?><Error>', "<?xml version"),
        (b'{"error": {"message": "no such voice"}}', "no such voice"),
        (b'\r\n  [{"detail": 1}]', '[{"detail": 1}]'),
        ('{"detail": "Stimme gibt es nicht: Jürgen"}'.encode(), "Jürgen"),
        (b"\xef\xbb\xbf{}", "{}"),
        (b"Internal Server Error: the worker died.", "Internal Server Error"),
    ],
)
@pytest.mark.parametrize("media_type", ["", "audio/mpeg", "audio/pcm"])
@pytest.mark.parametrize("step", [1, 4096])
def test_words_are_refused_with_the_first_of_them(body: bytes, quoted: str, media_type: str, step: int) -> None:
    with pytest.raises(NotAudio) as refused:
        choose(body, media_type, step=step)
    assert quoted in refused.value.message
    assert "/v1" in refused.value.hint


def test_words_that_say_so_are_refused_by_their_type_and_quoted() -> None:
    with pytest.raises(NotAudio, match="application/json instead of audio: 'ok'"):
        choose(b"ok", "application/json; charset=utf-8")
    with pytest.raises(NotAudio, match=r"text/html instead of audio\."):
        choose(b"\xff\xfe\0\0" * 40, "text/html")


def test_no_key_is_quoted() -> None:
    body = b'{"error": "Incorrect API key: sk-abcdefghijklmnopqrstuvwxyz0123456789"}'

    with pytest.raises(NotAudio) as refused:
        choose(body)
    assert "sk-" not in refused.value.message
    assert "Incorrect API key" in refused.value.message


@given(st.binary(min_size=24, max_size=100).filter(lambda data: any(byte < 9 for byte in data[:24])))
def test_sound_is_not_taken_for_words(data: bytes) -> None:
    assert choice(b"\x01" + data) != "not_audio"


# --- what it needs -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["mp3", "aac", "flac", "opus", "ogg"])
def test_without_pyav_the_error_says_what_to_do(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setitem(sys.modules, "opuslib", None)

    with pytest.raises(CodecMissing, match="PyAV") as missing:
        decode(choose(stream(kind)), stream(kind))
    assert "pip install av" in missing.value.hint
    assert "pcm or wav" in missing.value.hint


def test_what_needs_no_library_loads_none() -> None:
    program = (
        "import sys; from voice_mcp.codecs.detect import *; from voice_mcp.types import PcmFormat\n"
        "choose_decoder(bytes(12), '', 'pcm', PcmFormat(24_000, 1)).decode(bytes(12))\n"
        "print({'av', 'numpy', 'pydub', 'opuslib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.strip() == "set()"


def test_raw_frames_and_wav_are_never_damaged() -> None:
    assert choose(bytes(100)).decode_errors == 0
    assert choose(stream("wav")).decode_errors == 0
