"""The output of the audio process, with a device that is driven by hand."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from voice_mcp.audio.wav import WAV_HEADER_BYTES
from voice_mcp.backends.file import FileBackend
from voice_mcp.errors import DeviceBusy, DeviceUnavailable
from voice_mcp.playback.output import Output, Utterance
from voice_mcp.playback.player import BufferPolicy
from voice_mcp.protocols import FrameSource, OutputBackend, OutputStream
from voice_mcp.types import PcmFormat

WAIT_S = 10.0
MONO = PcmFormat(8000, 1)
STEREO = PcmFormat(8000, 2)
POLICY = BufferPolicy(start_s=0.01)
PERIOD = 80
LOUD = array("h", [10_000])


class HandStream:
    """A device that asks for frames when a test says so."""

    period_frames = PERIOD

    def __init__(self, fmt: PcmFormat, source: FrameSource, latency_s: float) -> None:
        self.format = fmt
        self.source = source
        self.latency_s = latency_s
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True

    def pull(self, periods: int = 1) -> bytes:
        """Let it ask ``periods`` times; what it got."""
        block = bytearray(PERIOD * self.format.frame_bytes)
        heard = b""
        for _ in range(periods):
            self.source.render(memoryview(block))
            heard += bytes(block)
        return heard


class HandBackend:
    """Opens such devices, unless it is told that there are none."""

    def __init__(self, name: str, *, latency_s: float = 0.01, problem: str | None = None) -> None:
        self.name = name
        self.latency_s = latency_s
        self.problem = problem
        self.is_busy = False
        self.takes_only: PcmFormat | None = None
        self.streams: list[HandStream] = []
        self.asked_for: list[str | None] = []
        self.as_it_opens: Callable[[FrameSource], None] = lambda source: None

    def open(self, fmt: PcmFormat, device: str | None, path: str | None, source: FrameSource) -> OutputStream:
        self.asked_for.append(device)
        if self.problem is not None:
            kind = DeviceBusy if self.is_busy else DeviceUnavailable
            raise kind(self.problem, hint=f"Mend {self.name}.")
        assert all(stream.is_closed for stream in self.streams), "two devices at a time"
        self.streams.append(HandStream(self.takes_only or fmt, source, self.latency_s))
        self.as_it_opens(source)
        return self.streams[-1]

    def devices(self) -> list[str]:
        if self.problem is not None:
            raise DeviceUnavailable(self.problem, hint=f"Mend {self.name}.")
        return [f"{self.name} loudspeaker"]

    @property
    def stream(self) -> HandStream:
        """The one that was opened last."""
        return self.streams[-1]


class Rig:
    """An output, its backends, and what it reported."""

    def __init__(self) -> None:
        self.hand = HandBackend("hand")
        self.other = HandBackend("other")
        self.backends: dict[str, OutputBackend] = {"hand": self.hand, "other": self.other, "file": FileBackend()}
        self.reports: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self.left: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self.before_sending: Callable[[dict[str, Any]], None] = lambda report: None
        self.output = Output(self.backends.__getitem__, self._send)
        self._number = 0

    def _send(self, report: dict[str, Any]) -> None:
        if report["event"] == "left":  # comes whenever it likes, between all others
            self.left.put(report)
            return
        self.before_sending(report)
        self.reports.put(report)

    def begin(
        self,
        *backends: str,
        fmt: PcmFormat = MONO,
        device: str | None = None,
        path: Path | None = None,
        policy: BufferPolicy = POLICY,
        wake_s: float = 0.0,
    ) -> int:
        """Begin the next utterance; its number."""
        self._number += 1
        where = str(path) if path is not None else None
        self.output.begin(Utterance(self._number, fmt, backends or ("hand",), device, where, policy, wake_s))
        return self._number

    def until(self, event: str) -> list[dict[str, Any]]:
        """What is reported up to and with ``event``."""
        seen: list[dict[str, Any]] = []
        while not seen or seen[-1]["event"] != event:
            seen.append(self.reports.get(timeout=WAIT_S))
        return seen

    def wait_for(self, event: str) -> dict[str, Any]:
        """The next report of that kind."""
        return self.until(event)[-1]

    def play(self, frames: int = 3 * PERIOD) -> None:
        """Begin, push and play through an utterance."""
        number = self.begin()
        self.output.push(LOUD.tobytes() * frames)
        self.output.finish(number)
        self.hand.stream.pull(frames // PERIOD + 4)
        self.wait_for("ended")


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    rig.output.close()


def test_the_device_gets_what_was_pushed_and_then_silence(rig: Rig) -> None:
    number = rig.begin()
    sent = array("h", range(1000, 1000 + 3 * PERIOD)).tobytes()
    rig.output.push(sent)
    rig.output.finish(number)
    heard = rig.hand.stream.pull(8)

    assert heard[: len(sent)] == sent
    assert not any(heard[len(sent) :])


def test_reports_tell_the_whole_story_in_order(rig: Rig) -> None:
    number = rig.begin()
    rig.output.push(LOUD.tobytes() * 3 * PERIOD)
    rig.output.finish(number)
    rig.hand.stream.pull(8)
    reports = rig.until("ended")

    assert [r["event"] for r in reports if r["event"] != "position"] == ["opened", "started", "first_audio", "ended"]
    assert {report["n"] for report in reports} == {number}
    opened, ended = reports[0], reports[-1]
    assert (opened["backend"], opened["latency_s"]) == ("hand", 0.01)
    assert (ended["frames"], ended["heard_frames"], ended["underruns"]) == (240, 240, 0)
    times = [report["left_at_s"] for report in reports[1:]]
    assert times == sorted(times)
    assert all(r["heard_at_s"] == pytest.approx(r["left_at_s"] + 0.01) for r in reports[1:])


def test_a_gap_is_reported_in_seconds(rig: Rig) -> None:
    number = rig.begin(policy=BufferPolicy(start_s=0.01, rebuffer_s=0.01))
    rig.output.push(LOUD.tobytes() * 2 * PERIOD)
    rig.hand.stream.pull(5)
    rig.output.push(LOUD.tobytes() * 2 * PERIOD)
    rig.output.finish(number)
    rig.hand.stream.pull(6)
    reports = rig.until("ended")

    assert [r["gap_s"] for r in reports if r["event"] in ("underrun", "resumed")] == [0.03, 0.03]
    assert reports[-1]["underruns"] == 1


def test_an_idle_device_hears_silence(rig: Rig) -> None:
    rig.play()

    assert not any(rig.hand.stream.pull())


def test_the_end_says_how_much_was_held_while_more_was_due(rig: Rig) -> None:
    rig.begin()
    rig.output.push(LOUD.tobytes() * 5 * PERIOD)
    rig.hand.stream.pull(2)
    rig.output.stop(1)
    rig.hand.stream.pull()
    ended = rig.wait_for("ended")

    assert ended["buffer_least_s"] == pytest.approx(0.03)
    assert ended["buffer_mean_s"] == pytest.approx(0.035)


# --- what has left -----------------------------------------------------------------------------------------------


def held_at(rig: Rig, frames: int, held: int) -> None:
    """Wait until it is reported that ``frames`` frames have left, of which the device may hold ``held``."""
    while True:
        report = rig.left.get(timeout=WAIT_S)
        assert report["n"] == 1
        if (report["frames"], report["held"]) == (frames, held):
            return


def test_what_has_left_is_reported_period_by_period_with_what_the_device_may_still_hold(rig: Rig) -> None:
    rig.hand.latency_s = 0.02
    rig.begin()
    rig.output.push(LOUD.tobytes() * 10 * PERIOD)
    for periods in (1, 2, 3, 4, 5):
        rig.hand.stream.pull()
        held_at(rig, periods * PERIOD, min(periods, 4) * PERIOD)  # its latency, and what is in somebody's hands


def test_silence_pushes_out_what_the_device_held(rig: Rig) -> None:
    rig.hand.latency_s = 0.02
    rig.begin()
    rig.output.push(LOUD.tobytes() * 5 * PERIOD)
    rig.output.rest(1)
    rig.hand.stream.pull(5)
    held_at(rig, 5 * PERIOD, 4 * PERIOD)
    rig.hand.stream.pull()
    held_at(rig, 5 * PERIOD, 3 * PERIOD)
    rig.hand.stream.pull(3)
    held_at(rig, 5 * PERIOD, 0)


def test_a_loss_is_reported_with_what_the_device_took_along(rig: Rig) -> None:
    rig.begin()
    rig.output.push(LOUD.tobytes() * 1000)
    rig.hand.stream.pull(5)
    rig.hand.stream.source.lost("unplugged")
    lost = rig.wait_for("lost")

    assert (lost["frames"], lost["held"]) == (5 * PERIOD, 3 * PERIOD)


# --- what a device takes, and how it wakes -----------------------------------------------------------------------


def test_the_format_the_device_takes_is_reported_and_is_what_it_then_gets(rig: Rig) -> None:
    rig.hand.takes_only = STEREO
    number = rig.begin(fmt=MONO)
    opened = rig.wait_for("opened")
    sent = array("h", range(1000, 1000 + 6 * PERIOD)).tobytes()
    rig.output.push(sent)
    rig.output.finish(number)

    assert (opened["rate_hz"], opened["channels"]) == (8000, 2)
    assert rig.hand.stream.pull(8)[: len(sent)] == sent
    assert rig.wait_for("ended")["heard_frames"] == 3 * PERIOD


def test_a_device_that_was_just_opened_gets_silence_to_wake_up_before_the_first_frame(rig: Rig) -> None:
    rig.begin(wake_s=0.03)
    rig.output.push(LOUD.tobytes() * 1000)
    heard = array("h", rig.hand.stream.pull(5))

    assert not any(heard[: 3 * PERIOD])
    assert all(heard[3 * PERIOD :])
    assert rig.until("position")[-1]["frames"] == PERIOD


def test_the_time_a_device_takes_to_wake_up_runs_while_sound_is_waited_for(rig: Rig) -> None:
    rig.begin(wake_s=0.03)
    rig.hand.stream.pull(4)
    rig.output.push(LOUD.tobytes() * 1000)

    assert all(array("h", rig.hand.stream.pull()))


def test_a_device_that_was_kept_open_is_awake(rig: Rig) -> None:
    rig.play()
    rig.begin(wake_s=0.03)
    rig.output.push(LOUD.tobytes() * 1000)

    assert all(array("h", rig.hand.stream.pull()))


# --- which device ------------------------------------------------------------------------------------------------


def test_devices_are_tried_in_the_order_asked_for(rig: Rig) -> None:
    rig.hand.problem = "The first is broken."
    rig.begin("hand", "other")

    assert rig.wait_for("opened")["backend"] == "other"
    assert not rig.hand.streams


def test_the_first_device_that_opens_is_taken(rig: Rig) -> None:
    rig.begin("hand", "other")

    assert rig.wait_for("opened")["backend"] == "hand"
    assert not rig.other.streams


def test_when_none_opens_every_reason_is_reported_and_the_first_advice(rig: Rig) -> None:
    rig.hand.problem, rig.other.problem = "The first is broken.", "The second too."
    number = rig.begin("hand", "other")

    assert rig.wait_for("failed") == {
        "event": "failed",
        "n": number,
        "message": "The first is broken. The second too.",
        "hint": "Mend hand.",
        "busy": False,
    }


def test_a_device_that_somebody_else_holds_is_reported_as_such(rig: Rig) -> None:
    rig.hand.problem, rig.hand.is_busy = "Held.", True
    rig.begin()

    assert rig.wait_for("failed")["busy"] is True


def test_after_a_failure_frames_are_dropped_and_the_next_utterance_may_work(rig: Rig) -> None:
    rig.hand.problem = "Unplugged."
    number = rig.begin()
    rig.output.push(bytes(100))
    rig.output.finish(number)
    rig.output.stop(number)
    rig.hand.problem = None
    rig.play()

    assert len(rig.hand.streams) == 1


def test_an_open_device_is_used_again_for_the_same_format(rig: Rig) -> None:
    rig.play()
    rig.play()

    assert len(rig.hand.streams) == 1
    assert not rig.hand.stream.is_closed


def test_another_format_opens_the_device_anew(rig: Rig) -> None:
    rig.play()
    rig.begin(fmt=STEREO)

    assert [stream.format for stream in rig.hand.streams] == [MONO, STEREO]
    assert [stream.is_closed for stream in rig.hand.streams] == [True, False]


def test_another_device_name_opens_that_device(rig: Rig) -> None:
    rig.begin(device="USB")
    rig.begin(device="HDMI")

    assert rig.hand.asked_for == ["USB", "HDMI"]
    assert rig.hand.streams[0].is_closed


def test_devices_are_listed_and_so_is_what_keeps_them_from_being_listed(rig: Rig) -> None:
    rig.other.problem = "No sound system."
    rig.output.list_devices(("hand", "other"))

    assert rig.until("devices_end")[:-1] == [
        {"event": "devices", "backend": "hand", "names": ["hand loudspeaker"], "problem": None},
        {"event": "devices", "backend": "other", "names": [], "problem": "No sound system. Mend other."},
    ]


# --- stop --------------------------------------------------------------------------------------------------------


def test_a_stop_fades_and_the_device_stays_open(rig: Rig) -> None:
    number = rig.begin()
    rig.output.push(LOUD.tobytes() * 1000)
    rig.hand.stream.pull(2)
    rig.output.stop(number)
    fade = array("h", rig.hand.stream.pull(1))
    ended = rig.wait_for("ended")

    assert 0 < fade[40] < LOUD[0]
    assert ended["heard_frames"] == ended["frames"] == 2 * PERIOD + 64
    assert not rig.hand.stream.is_closed


def test_a_slow_device_is_cut_off_and_what_it_held_counts_as_unheard(rig: Rig) -> None:
    rig.hand.latency_s = 0.05 + 0.05
    number = rig.begin()
    rig.output.push(LOUD.tobytes() * 4000)
    rig.hand.stream.pull(20)
    rig.output.stop(number)
    ended = rig.wait_for("ended")

    assert (ended["frames"], ended["heard_frames"]) == (1600, 1600 - 800)
    assert rig.hand.stream.is_closed
    assert not any(rig.hand.stream.pull())


def test_what_a_slow_device_had_already_played_out_when_it_was_cut_off_counts_as_heard(rig: Rig) -> None:
    rig.hand.latency_s = 0.1
    number = rig.begin()
    rig.output.push(LOUD.tobytes() * 10 * PERIOD)
    rig.output.finish(number)
    rig.hand.stream.pull(10 + 4)
    rig.output.stop(number)
    ended = rig.wait_for("ended")

    assert (ended["frames"], ended["heard_frames"]) == (10 * PERIOD, 4 * PERIOD)


def test_commands_for_an_utterance_that_is_over_change_nothing(rig: Rig) -> None:
    old = rig.begin()
    rig.begin()
    rig.output.push(LOUD.tobytes() * 1000)
    rig.output.stop(old)
    rig.output.finish(old)

    assert array("h", rig.hand.stream.pull(4)) == LOUD * 4 * PERIOD


def test_a_gap_the_device_tells_of_is_counted(rig: Rig) -> None:
    number = rig.begin()
    rig.output.push(LOUD.tobytes() * 1000)
    rig.hand.stream.pull()
    rig.hand.stream.source.underflow()
    rig.output.stop(number)
    rig.hand.stream.pull()

    assert rig.wait_for("ended")["underruns"] == 1


# --- devices that go away ----------------------------------------------------------------------------------------


def test_a_device_that_is_lost_is_reported_with_how_far_it_came(rig: Rig) -> None:
    number = rig.begin()
    rig.output.push(LOUD.tobytes() * 1000)
    rig.hand.stream.pull(3)
    rig.hand.stream.source.lost("unplugged")

    lost = rig.wait_for("lost")
    assert (lost["n"], lost["message"], lost["frames"]) == (number, "unplugged", 3 * PERIOD)


def test_a_device_that_was_lost_is_never_used_again(rig: Rig) -> None:
    rig.play()
    rig.begin()
    rig.hand.stream.source.lost("unplugged")
    rig.play()

    assert [stream.is_closed for stream in rig.hand.streams] == [True, False]


def test_a_device_that_is_lost_while_idle_is_never_used_again(rig: Rig) -> None:
    rig.play()
    rig.hand.stream.source.lost("unplugged")
    rig.play()

    assert len(rig.hand.streams) == 2


def test_a_device_that_is_lost_while_it_opens_is_never_used_again(rig: Rig) -> None:
    rig.hand.as_it_opens = lambda source: source.lost("gone already")
    number = rig.begin()
    assert rig.wait_for("lost")["n"] == number
    rig.hand.as_it_opens = lambda source: None
    rig.play()

    assert len(rig.hand.streams) == 2


def test_a_device_that_stops_asking_is_lost_even_when_only_the_end_is_missing(rig: Rig) -> None:
    number = rig.begin()
    rig.output.push(LOUD.tobytes() * PERIOD)
    rig.output.finish(number)
    rig.hand.stream.pull()

    assert "stopped asking" in rig.wait_for("lost")["message"]


def test_an_idle_device_is_let_go_after_a_while(rig: Rig) -> None:
    closed = threading.Event()

    class Telling(HandStream):
        def close(self) -> None:
            super().close()
            closed.set()

    class TellingBackend(HandBackend):
        def open(self, fmt: PcmFormat, device: str | None, path: str | None, source: FrameSource) -> OutputStream:
            self.streams.append(Telling(fmt, source, self.latency_s))
            return self.stream

    rig.hand = TellingBackend("hand")
    rig.backends["hand"] = rig.hand
    rig.play()

    assert closed.wait(WAIT_S)


def test_a_closed_output_has_let_go_of_its_device_and_has_reported_the_end(rig: Rig) -> None:
    rig.begin()
    rig.output.push(LOUD.tobytes() * 10)
    rig.output.close()

    assert rig.hand.stream.is_closed
    assert rig.until("ended")[-1]["frames"] == 0


# --- files -------------------------------------------------------------------------------------------------------


def test_a_file_is_whole_before_its_end_is_reported(rig: Rig, tmp_path: Path) -> None:
    path, sent = tmp_path / "a.wav", array("h", range(-9000, 9000)).tobytes()
    in_the_file: list[bytes] = []

    def look(report: dict[str, Any]) -> None:
        if report["event"] == "ended":
            in_the_file.append(path.read_bytes()[WAV_HEADER_BYTES:])

    rig.before_sending = look
    number = rig.begin("file", path=path)
    for start in range(0, len(sent), 4096):
        rig.output.push(sent[start : start + 4096])
    rig.output.finish(number)
    ended = rig.wait_for("ended")

    assert in_the_file == [sent]
    assert ended["heard_frames"] == 18_000


def test_frames_that_go_to_a_file_leave_when_they_are_written_and_not_when_they_would_sound(
    rig: Rig, tmp_path: Path
) -> None:
    number = rig.begin("file", path=tmp_path / "a.wav")
    rig.output.push(bytes(2 * 8000 * 60) + LOUD.tobytes())
    rig.output.finish(number)
    reports = rig.until("ended")
    times = [report["left_at_s"] for report in reports[1:]]

    assert times == sorted(times)
    assert times[-1] - times[0] < 30, "a minute of audio was written, not played"


def test_the_end_of_one_utterance_does_not_close_the_file_of_the_next(rig: Rig, tmp_path: Path) -> None:
    may_go_on = threading.Event()
    rig.before_sending = lambda report: None if may_go_on.wait(WAIT_S) else pytest.fail("never let go")
    first = rig.begin("file", path=tmp_path / "a.wav")
    rig.output.stop(first)
    second = rig.begin("file", path=tmp_path / "b.wav")
    may_go_on.set()  # only now does the end of the first reach whoever reports it
    assert rig.wait_for("ended")["n"] == first
    rig.output.push(LOUD.tobytes() * 500)
    rig.output.finish(second)

    assert rig.wait_for("ended")["n"] == second
    assert (tmp_path / "b.wav").read_bytes()[WAV_HEADER_BYTES:] == LOUD.tobytes() * 500


def test_a_file_that_cannot_be_made_is_reported_as_a_failure(rig: Rig, tmp_path: Path) -> None:
    rig.begin("file", path=tmp_path / "nowhere" / "a.wav")

    assert "a.wav could not be written" in rig.wait_for("failed")["message"]


def test_a_stopped_file_ends_where_the_writing_was(rig: Rig, tmp_path: Path) -> None:
    number = rig.begin("file", path=tmp_path / "a.wav")
    rig.output.push(LOUD.tobytes() * 500)
    rig.until("first_audio")
    rig.output.stop(number)
    ended = rig.wait_for("ended")

    assert (tmp_path / "a.wav").read_bytes()[WAV_HEADER_BYTES:] == LOUD.tobytes() * ended["frames"]
