"""The input of the process that listens: devices that refuse, fall silent, give frames early, lose some."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from voice_mcp.capture import input as capture_input
from voice_mcp.capture.input import Input, Order
from voice_mcp.errors import MicrophoneBusy, MicrophoneUnavailable
from voice_mcp.microphone_process import load_backend
from voice_mcp.protocols import FrameSink, InputBackend
from voice_mcp.types import PcmFormat

WAIT_S = 10.0
FMT = PcmFormat(8000, 1)


class Device:
    """A microphone in the hands of a test, and its own backend: gives what it is told to, and nothing by itself."""

    name = "device"
    format = FMT
    latency_s = 0.01

    def __init__(self, at_once: bytes = b"", refusal: MicrophoneUnavailable | None = None) -> None:
        self._at_once = at_once
        self._refusal = refusal
        self.sink: FrameSink
        self.is_closed = False

    def open(self, device: str | None, sink: FrameSink) -> Device:
        if self._refusal is not None:
            raise self._refusal
        self.sink = sink
        if self._at_once:
            sink.take(self._at_once, time.perf_counter())
        return self

    def devices(self) -> list[str]:
        if self._refusal is not None:
            raise self._refusal
        return ["one", "two"]

    def close(self) -> None:
        self.is_closed = True


class Told:
    """The reports, as they come."""

    def __init__(self) -> None:
        self._reports: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    def send(self, report: dict[str, Any], payload: bytes = b"") -> None:
        self._reports.put({**report, "payload": payload} if payload else report)

    def next(self) -> dict[str, Any]:
        return self._reports.get(timeout=WAIT_S)

    def until(self, event: str) -> dict[str, Any]:
        while (report := self.next())["event"] != event:
            pass
        return report


@contextmanager
def working(load: Callable[[str], InputBackend]) -> Iterator[tuple[Input, Told]]:
    told = Told()
    microphone = Input(load, told.send, lambda work: work())
    try:
        yield microphone, told
    finally:
        microphone.close()


def test_what_comes_before_the_device_is_open_is_told_after_its_opening() -> None:
    device = Device(at_once=bytes(range(40)) * 8)
    with working(lambda name: device) as (microphone, told):
        microphone.capture(Order(3, ("device",), None))
        opened, heard = told.next(), told.next()
    assert opened == {
        "event": "opened",
        "n": 3,
        "backend": "device",
        "rate_hz": 8000,
        "channels": 1,
        "latency_s": 0.01,
    }
    assert heard["payload"] == bytes(range(40)) * 8
    assert device.is_closed


def test_the_next_backend_is_tried_where_one_cannot() -> None:
    devices = {"broken": Device(refusal=MicrophoneUnavailable("Broken.")), "good": Device()}
    with working(devices.__getitem__) as (microphone, told):
        microphone.capture(Order(1, ("broken", "good"), None))
        assert told.next()["backend"] == "good"


def test_where_none_can_all_are_named_and_one_that_is_held_counts_most() -> None:
    devices = {
        "broken": Device(refusal=MicrophoneUnavailable("Broken.", hint="Mend it.")),
        "held": Device(refusal=MicrophoneBusy("Held.", hint="Ask for it.")),
    }
    with working(devices.__getitem__) as (microphone, told):
        microphone.capture(Order(1, ("broken", "held"), None))
        failed = told.next()
    assert failed == {"event": "failed", "n": 1, "message": "Broken. Held.", "hint": "Ask for it.", "busy": True}


def test_a_device_that_gives_nothing_any_more_is_lost_after_two_seconds() -> None:
    device = Device(at_once=bytes(320))
    with working(lambda name: device) as (microphone, told):
        microphone.capture(Order(1, ("device",), None))
        began_s = time.perf_counter()
        lost = told.until("lost")
        device.sink.take(bytes(320), time.perf_counter())
        device.sink.lost("once more")
        microphone.release(1)
        assert told.next() == {"event": "released", "n": 1}, "what is lost gives nothing any more, and is lost once"
    assert lost == {"event": "lost", "n": 1, "message": "the microphone gives nothing any more"}
    assert time.perf_counter() - began_s >= capture_input.SILENT_DEVICE_S


def test_what_the_device_dropped_is_told_with_what_follows() -> None:
    device = Device(at_once=bytes(320))
    with working(lambda name: device) as (microphone, told):
        microphone.capture(Order(1, ("device",), None))
        assert "after_loss" not in told.until("heard")
        device.sink.overflowed()
        device.sink.take(bytes(320), time.perf_counter())
        assert told.until("heard")["after_loss"] is True
        device.sink.take(bytes(320), time.perf_counter())
        assert "after_loss" not in told.until("heard")


def test_a_second_capture_closes_the_first() -> None:
    devices = iter([Device(), Device()])
    opened: list[Device] = []

    def load(name: str) -> InputBackend:
        opened.append(next(devices))
        return opened[-1]

    with working(load) as (microphone, told):
        microphone.capture(Order(1, ("first",), None))
        microphone.capture(Order(2, ("second",), None))
        assert [told.next()["n"], told.next()["n"]] == [1, 2]
        assert [device.is_closed for device in opened] == [True, False]
        microphone.release(1)
        assert told.next() == {"event": "released", "n": 1}
        assert not opened[1].is_closed, "that was another's"


def test_devices_are_listed_for_each_backend_with_the_reason_where_there_are_none() -> None:
    devices = {"good": Device(), "broken": Device(refusal=MicrophoneUnavailable("Broken.", hint="Mend it."))}
    with working(devices.__getitem__) as (microphone, told):
        microphone.list_devices(("good", "broken"))
        assert told.next() == {"event": "devices", "backend": "good", "names": ["one", "two"], "problem": None}
        assert told.next()["problem"] == "Broken. Mend it."
        assert told.next() == {"event": "devices_end"}


def test_every_name_of_the_setting_has_a_backend() -> None:
    assert load_backend("null").devices() == ["null"]
    assert load_backend("file").devices() == ["file"]
