"""What could be heard when, told by frames and reports: against the sound as a device would have played it."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_mcp.codecs.conversion import Converter
from voice_mcp.core.played_sound import AHEAD_S, KEPT_S, PlayedSound
from voice_mcp.types import LISTENING_FORMAT, PcmFormat, PlaybackEvent, PlaybackEventType

RATE_HZ = LISTENING_FORMAT.rate_hz
STEP = 640
"""Frames between two reports: 40 ms."""
BEGIN_S = 50.0


def sound(frames: int, first: int = 1) -> bytes:
    """Samples that all differ, none of which is zero."""
    return array("h", (1 + (first + index) % 30_000 for index in range(frames))).tobytes()


def event(kind: PlaybackEventType, frames: int, heard_at_s: float, heard_frames: int = 0) -> PlaybackEvent:
    return PlaybackEvent(
        kind, frames, left_at_s=heard_at_s - 0.03, heard_at_s=heard_at_s, heard_frames=heard_frames, backend="null"
    )


@dataclass
class Device:
    """A device that plays what it is given, and the sound it makes, frame by frame."""

    played: PlayedSound = field(default_factory=lambda: PlayedSound(Converter))
    now: int = round(BEGIN_S * RATE_HZ)
    frames: int = 0
    made: dict[int, bytes] = field(default_factory=dict)
    written: bytes = b""

    def begin(self, fmt: PcmFormat = LISTENING_FORMAT) -> None:
        self.played.begin(fmt)
        self.played.take(PlaybackEvent(PlaybackEventType.OPENED, backend="null"))
        self.frames, self.written = 0, b""

    def write(self, frames: bytes) -> None:
        self.written += frames
        self.played.write(frames)

    def tell(self, kind: PlaybackEventType, *, off_s: float = 0.0, heard_frames: int = 0) -> None:
        self.played.take(event(kind, self.frames, self.now / RATE_HZ + off_s, heard_frames))

    def play(self, count: int, *, jitter_s: float = 0.0) -> None:
        """Make sound of the next frames, and report it as the audio process does."""
        if not self.frames:
            self.tell(PlaybackEventType.STARTED)
        for _ in range(count):
            self.made[self.now] = self.written[2 * self.frames : 2 * self.frames + 2]
            self.now += 1
            self.frames += 1
            if self.frames % STEP == 0:
                self.tell(PlaybackEventType.POSITION, off_s=jitter_s)

    def gap(self, count: int) -> None:
        """Run dry, and go on."""
        self.now += count
        self.tell(PlaybackEventType.UNDERRUN)
        self.tell(PlaybackEventType.RESUMED)

    def end(self) -> None:
        self.tell(PlaybackEventType.ENDED, heard_frames=self.frames)
        self.now += STEP

    def truth(self, first: int, count: int) -> bytes:
        return b"".join(self.made.get(at, b"\0\0") for at in range(first, first + count))

    def read(self, first: int, count: int) -> bytes:
        return self.played.read(first / RATE_HZ, count)

    def agrees(self, since_s: float = 0.0) -> bool:
        first = round(BEGIN_S * RATE_HZ) - 100 + round(since_s * RATE_HZ)
        count = self.now - first
        return self.read(first, count) == self.truth(first, count)


def test_before_anything_is_played_there_is_silence() -> None:
    assert PlayedSound(Converter).read(1.0, 4) == bytes(8)


def test_what_is_heard_is_read_at_its_time_and_silence_around_it() -> None:
    device = Device()
    device.begin()
    device.write(sound(3 * STEP))
    device.play(3 * STEP)
    device.end()
    assert device.agrees()
    assert device.read(device.now, 100) == bytes(200)


def test_frames_that_are_written_and_not_reported_are_not_heard_for_long() -> None:
    device = Device()
    device.begin()
    device.write(sound(2 * RATE_HZ))
    device.play(2 * STEP)
    ahead = round(AHEAD_S * RATE_HZ)
    assert device.read(device.now, ahead) == sound(ahead, first=1 + 2 * STEP)
    assert device.read(device.now + ahead, 100) == bytes(200)


def test_after_a_gap_everything_is_as_much_later() -> None:
    device = Device()
    device.begin()
    device.write(sound(6 * STEP))
    device.play(2 * STEP + 100)
    device.gap(5_000)
    device.play(3 * STEP)
    device.end()
    assert device.agrees()


def test_what_a_stop_cut_off_was_never_heard() -> None:
    device = Device()
    device.begin()
    device.write(sound(RATE_HZ))
    device.play(3 * STEP + 17)
    device.end()
    assert device.agrees()
    assert device.read(device.now, RATE_HZ) == bytes(2 * RATE_HZ)


def test_a_pause_lies_where_the_text_was_late() -> None:
    device = Device()
    device.begin()
    device.write(sound(3 * STEP + 50))
    device.played.rest()
    device.play(3 * STEP + 50)
    device.now += 20_000
    device.write(sound(4 * STEP, first=9_000))
    device.play(4 * STEP)
    device.end()
    assert device.agrees()


def test_a_report_of_frames_that_left_long_ago_moves_nothing() -> None:
    device = Device()
    device.begin()
    device.write(sound(2 * STEP + 300))
    device.play(2 * STEP + 300)
    device.tell(PlaybackEventType.POSITION, off_s=0.2)
    assert device.agrees()


def test_at_another_device_it_goes_on_with_the_frame_that_was_not_heard() -> None:
    device = Device()
    device.begin()
    device.write(sound(RATE_HZ))
    device.play(3 * STEP)
    heard = 2 * STEP + 100
    device.played.take(PlaybackEvent(PlaybackEventType.LOST, heard, message="gone"))
    for at in range(device.now - (3 * STEP - heard), device.now):
        del device.made[at]
    device.now += 8_000
    device.frames = heard
    device.played.take(PlaybackEvent(PlaybackEventType.MOVED, heard, backend="null", gap_s=0.5))
    device.play(4 * STEP)
    device.end()
    assert device.agrees()


def test_what_goes_into_a_file_is_not_heard() -> None:
    played = PlayedSound(Converter)
    played.begin(LISTENING_FORMAT)
    played.take(PlaybackEvent(PlaybackEventType.OPENED, backend="file"))
    played.write(sound(RATE_HZ))
    played.rest()
    played.take(replace(event(PlaybackEventType.STARTED, 0, BEGIN_S), backend="file"))
    played.take(replace(event(PlaybackEventType.POSITION, STEP, BEGIN_S + 0.04), backend="file"))
    assert played.read(BEGIN_S, RATE_HZ) == bytes(2 * RATE_HZ)


def test_one_run_after_another_and_one_that_gave_way() -> None:
    device = Device()
    device.begin()
    device.write(sound(STEP))
    device.begin()  # opened anew in another format before a sound had left
    for number in range(3):
        device.write(sound(3 * STEP, first=1 + 7_000 * number))
        device.play(3 * STEP)
        device.end()
        device.now += 3_000
        device.begin()
    assert device.agrees()


def test_what_was_heard_long_ago_is_let_go() -> None:
    device = Device()
    device.begin()
    for _ in range(100):
        device.write(sound(STEP))
        device.play(STEP)
    assert device.read(round(BEGIN_S * RATE_HZ), 100) == bytes(200)
    assert device.agrees(since_s=100 * STEP / RATE_HZ - KEPT_S + 0.1)


def test_a_report_that_is_off_now_and_then_moves_nothing() -> None:
    device = Device()
    device.begin()
    device.write(sound(30 * STEP))
    for number in range(30):
        device.play(STEP, jitter_s=-0.01 if number % 8 == 3 else 0.0002 * (number % 3) if number > 3 else 0.0)
    device.end()
    kept_s = 30 * STEP / RATE_HZ - KEPT_S + 0.1
    assert device.agrees(since_s=max(0.0, kept_s))


def test_the_first_report_that_a_fresh_device_gives_is_corrected_by_the_second() -> None:
    device = Device()
    device.begin()
    device.write(sound(9 * STEP))
    device.played.take(event(PlaybackEventType.STARTED, 0, BEGIN_S + 0.03))
    device.frames = 1
    device.frames = 0
    device.made.clear()
    for _ in range(8):
        for _ in range(STEP):
            device.made[device.now] = device.written[2 * device.frames : 2 * device.frames + 2]
            device.now += 1
            device.frames += 1
        device.tell(PlaybackEventType.POSITION)
    assert device.agrees()


def test_a_clock_that_drifts_is_followed_within_a_few_milliseconds() -> None:
    played, seconds, drift = PlayedSound(Converter), 20, 0.001
    played.begin(LISTENING_FORMAT)
    played.write(sound(seconds * RATE_HZ))
    played.take(event(PlaybackEventType.STARTED, 0, BEGIN_S))
    for frames in range(STEP, seconds * RATE_HZ, STEP):
        true_s = BEGIN_S + frames / RATE_HZ * (1 + drift)
        played.take(event(PlaybackEventType.POSITION, frames, true_s))
        (now,) = array("h", played.read(true_s, 1))
        away = abs((now - 1) - (1 + frames) % 30_000)
        assert min(away, 30_000 - away) < 0.008 * RATE_HZ


@pytest.mark.parametrize("fmt", [PcmFormat(24_000, 1), PcmFormat(48_000, 2), PcmFormat(22_050, 1)])
def test_any_format_is_read_as_what_listeners_take(fmt: PcmFormat) -> None:
    played = PlayedSound(Converter)
    played.begin(fmt)
    second = array("h", (8_000 if at // (fmt.rate_hz // 4) % 2 else -8_000 for at in range(fmt.rate_hz)))
    frames = array("h", (sample for sample in second for _ in range(fmt.channels)))
    played.write(frames.tobytes())
    played.take(event(PlaybackEventType.STARTED, 0, BEGIN_S))
    played.take(event(PlaybackEventType.ENDED, fmt.rate_hz, BEGIN_S + 1.0, heard_frames=fmt.rate_hz))
    heard = array("h", played.read(BEGIN_S, RATE_HZ))
    middles = [heard[RATE_HZ // 8 + quarter * RATE_HZ // 4] for quarter in range(4)]
    assert middles == pytest.approx([-8_000, 8_000, -8_000, 8_000], abs=50)
    assert heard[-1] != 0
    assert played.read(BEGIN_S + 1.0, 100) == bytes(200)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("play"), st.integers(1, 5 * STEP)),
        st.tuples(st.just("gap"), st.integers(1, 9_000)),
        st.tuples(st.just("next"), st.integers(0, 4_000)),
    ),
    max_size=12,
)


@given(STEPS, st.integers(1, 5_000))
def test_whatever_happens_what_is_read_is_what_was_made(steps: list[tuple[str, int]], cut: int) -> None:
    device = Device()
    device.begin()
    for number, (kind, count) in enumerate(steps):
        if kind == "play":
            device.write(sound(count, first=number * 1_000))
            device.play(count)
        elif kind == "gap" and device.frames:
            device.gap(count)
        elif kind == "next":
            device.end()
            device.now += count
            device.begin()
    device.end()
    first = max(round(BEGIN_S * RATE_HZ) - 100, device.now - round((KEPT_S - 0.1) * RATE_HZ))
    whole = device.truth(first, device.now - first)
    cuts = range(first, device.now, cut)
    assert b"".join(device.read(at, min(cut, device.now - at)) for at in cuts) == whole


@pytest.mark.parametrize("held_s", [0.5, KEPT_S + 3])
def test_what_is_said_once_more_after_a_hold_is_known_however_long_it_was_held(held_s: float) -> None:
    device = Device()
    device.begin()
    device.write(sound(20 * STEP))
    device.play(10 * STEP)
    device.tell(PlaybackEventType.HELD, heard_frames=device.frames)
    device.now += round(held_s * RATE_HZ)
    device.frames -= 4 * STEP
    went_on = device.now
    device.tell(PlaybackEventType.WENT_ON)
    device.tell(PlaybackEventType.RESUMED)
    device.play(8 * STEP)

    assert device.read(went_on, 8 * STEP) == device.truth(went_on, 8 * STEP)
    assert device.read(went_on - STEP, STEP) == bytes(2 * STEP), "while it was held nothing was heard"
