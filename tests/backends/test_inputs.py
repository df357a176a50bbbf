"""Microphones without one: a file at its pace, and digital silence; and what a real one is asked for."""

from __future__ import annotations

import threading
import wave
from pathlib import Path

import pytest

from voice_mcp.backends._paced_input import PERIOD_S
from voice_mcp.backends.file_input import FileInput
from voice_mcp.backends.null_input import NullInput
from voice_mcp.backends.sounddevice_input import own_formats
from voice_mcp.errors import MicrophoneUnavailable
from voice_mcp.protocols import InputStream
from voice_mcp.types import PcmFormat

WAIT_S = 10.0


class Filled:
    """A ``FrameSink`` that keeps what it gets, and says when it is enough."""

    def __init__(self, enough: int) -> None:
        self.blocks: list[tuple[bytes, float]] = []
        self.had_enough = threading.Event()
        self._enough = enough

    def take(self, frames: bytes, heard_at_s: float) -> None:
        self.blocks.append((frames, heard_at_s))
        if len(self.blocks) == self._enough:
            self.had_enough.set()

    def overflowed(self) -> None:
        raise AssertionError("there is nothing that could overflow")

    def lost(self, reason: str) -> None:
        raise AssertionError(reason)


def written(path: Path, fmt: PcmFormat, frames: bytes, width: int = 2) -> str:
    with wave.open(str(path), "wb") as file:
        file.setframerate(fmt.rate_hz)
        file.setnchannels(fmt.channels)
        file.setsampwidth(width)
        file.writeframes(frames)
    return str(path)


def listened(stream: InputStream, sink: Filled) -> None:
    assert sink.had_enough.wait(WAIT_S)
    stream.close()


@pytest.mark.parametrize("fmt", [PcmFormat(44_100, 1), PcmFormat(48_000, 2), PcmFormat(11_025, 1)])
def test_a_file_is_heard_whole_in_order_and_followed_by_silence(tmp_path: Path, fmt: PcmFormat) -> None:
    frames = bytes(range(1, 241)) * fmt.frame_bytes * 6
    sink = Filled(enough=30)
    stream = FileInput().open(written(tmp_path / "a.wav", fmt, frames), sink)
    listened(stream, sink)
    heard = b"".join(block for block, _ in sink.blocks)
    assert stream.format == fmt
    assert heard[: len(frames)] == frames
    assert not heard[len(frames) :].strip(b"\0")


def test_frames_come_at_the_pace_of_a_microphone_each_with_the_moment_it_was_heard() -> None:
    sink = Filled(enough=20)
    listened(NullInput().open(None, sink), sink)
    moments = [moment for _, moment in sink.blocks]
    assert [after - before for before, after in zip(moments, moments[1:], strict=False)] == pytest.approx(
        [PERIOD_S] * (len(moments) - 1)
    )
    assert not any(block.strip(b"\0") for block, _ in sink.blocks)


def test_a_closed_microphone_gives_nothing_more() -> None:
    sink = Filled(enough=3)
    stream = NullInput().open(None, sink)
    listened(stream, sink)
    count = len(sink.blocks)
    assert not threading.Event().wait(3 * PERIOD_S)
    assert len(sink.blocks) == count


def test_a_file_that_is_none_is_refused_with_what_to_set(tmp_path: Path) -> None:
    (tmp_path / "noise.wav").write_bytes(b"no RIFF at all" * 10)
    (tmp_path / "empty.wav").write_bytes(b"")
    eight_bit = written(tmp_path / "eight.wav", PcmFormat(8000, 1), bytes(100), width=1)
    for path in (None, str(tmp_path / "none.wav"), str(tmp_path / "noise.wav"), str(tmp_path / "empty.wav"), eight_bit):
        with pytest.raises(MicrophoneUnavailable) as refused:
            FileInput().open(path, Filled(1))
        assert "VOICEMODE_INPUT_DEVICE" in refused.value.hint
        assert refused.value.message.endswith(".")


@pytest.mark.parametrize(
    ("channels", "first"),
    [(1, PcmFormat(44_100, 1)), (2, PcmFormat(44_100, 2)), (8, PcmFormat(44_100, 2)), (32, PcmFormat(44_100, 1))],
)
def test_a_microphone_is_asked_for_its_own_rate_and_one_or_two_channels(channels: int, first: PcmFormat) -> None:
    formats = own_formats({"default_samplerate": 44_100.0, "max_input_channels": channels})
    assert formats[0] == first
    assert PcmFormat(48_000, first.channels) in formats
    assert len(formats) == len(set(formats))
