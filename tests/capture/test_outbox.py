"""What the listening process has to tell: in order, gathered, and held while nobody reads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from voice_mcp.capture.outbox import LARGEST_S, Outbox
from voice_mcp.capture.stir import STAYS_S
from voice_mcp.types import PcmFormat

WAIT_S = 10.0
FMT = PcmFormat(16_000, 1)
BLOCK = 160


class Reader:
    """What was sent; can be kept from reading."""

    def __init__(self) -> None:
        self.reports: list[tuple[dict[str, Any], bytes]] = []
        self.may_read = threading.Event()
        self.may_read.set()
        self.reading = threading.Event()
        self._changed = threading.Condition()

    def __call__(self, report: dict[str, Any], payload: bytes = b"") -> None:
        self.reading.set()
        assert self.may_read.wait(WAIT_S)
        with self._changed:
            self.reports.append((report, payload))
            self._changed.notify_all()

    def wait_for(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.reports) >= count, WAIT_S)

    def wait_for_event(self, event: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.reports and self.reports[-1][0]["event"] == event, WAIT_S)

    @property
    def frames(self) -> bytes:
        return b"".join(payload for _, payload in self.reports)


@pytest.fixture
def reader() -> Iterator[Reader]:
    reader = Reader()
    yield reader
    reader.may_read.set()


def block(index: int) -> bytes:
    return index.to_bytes(2, "little") * BLOCK


def put(outbox: Outbox, first: int, end: int, *, after_loss: bool = False) -> list[bool]:
    return [
        outbox.put_frames(1, FMT, block(index), index * 0.01, after_loss=after_loss and index == first)
        for index in range(first, end)
    ]


def test_what_comes_by_10_ms_goes_out_by_40(reader: Reader) -> None:
    outbox = Outbox(reader, lambda: None)
    put(outbox, 0, 4)
    reader.wait_for(1)
    put(outbox, 4, 8)
    reader.wait_for(2)
    outbox.close()
    assert [report for report, _ in reader.reports] == [
        {"event": "heard", "n": 1, "at_s": 0.0},
        {"event": "heard", "n": 1, "at_s": 0.04},
    ]
    assert reader.frames == b"".join(map(block, range(8)))


def test_a_quiet_room_is_told_in_larger_pieces_and_whoever_breaks_the_silence_at_once(reader: Reader) -> None:
    outbox = Outbox(reader, lambda: None)
    quiet, loud = block(5), block(5_000)
    for _ in range(round(STAYS_S / 0.01) + 1):
        outbox.put_frames(1, FMT, quiet, 0.0, after_loss=False)
    outbox.put("and so on")
    reader.wait_for_event("and so on")
    for sound, blocks in ((quiet, 12), (loud, 4)):
        told = len(reader.reports)
        for _ in range(blocks):
            outbox.put_frames(1, FMT, sound, 0.0, after_loss=False)
        reader.wait_for(told + 1)
        assert reader.reports[told][1] == sound * blocks
    outbox.close()


def test_of_blocks_that_were_held_up_the_earliest_moment_counts(reader: Reader) -> None:
    outbox = Outbox(reader, lambda: None)
    outbox.put_frames(1, FMT, block(0), 5.3, after_loss=False)
    outbox.put_frames(1, FMT, block(1), 5.01, after_loss=False)
    reader.wait_for(1)
    outbox.close()
    assert reader.reports[0][0]["at_s"] == pytest.approx(5.0)


def test_a_single_block_does_not_wait_for_ever(reader: Reader) -> None:
    outbox = Outbox(reader, lambda: None)
    put(outbox, 0, 1)
    reader.wait_for(1)
    assert reader.frames == block(0)
    outbox.close()


def test_nothing_that_is_told_overtakes_what_was_heard_before(reader: Reader) -> None:
    outbox = Outbox(reader, lambda: None)
    outbox.put("opened", n=1)
    put(outbox, 0, 1)
    outbox.put("lost", n=1)
    reader.wait_for(3)
    outbox.close()
    assert [report["event"] for report, _ in reader.reports] == ["opened", "heard", "lost"]


def test_while_nobody_reads_everything_is_held_and_then_comes_in_order_by_larger_pieces(reader: Reader) -> None:
    reader.may_read.clear()
    outbox = Outbox(reader, lambda: None)
    outbox.put("opened", n=1)
    assert reader.reading.wait(WAIT_S)
    assert all(put(outbox, 0, 500))
    outbox.put("released", n=1)
    reader.may_read.set()
    reader.wait_for(2 + round(5 / LARGEST_S))
    outbox.close()
    assert reader.frames == b"".join(map(block, range(500)))
    assert reader.reports[-1][0] == {"event": "released", "n": 1}


def test_what_finds_no_room_is_refused_and_what_follows_says_that_something_is_missing(reader: Reader) -> None:
    reader.may_read.clear()
    outbox = Outbox(reader, lambda: None, held_s=0.5)
    outbox.put("opened", n=1)
    assert reader.reading.wait(WAIT_S)
    assert put(outbox, 0, 60) == [True] * 50 + [False] * 10
    reader.may_read.set()
    reader.wait_for(6)
    assert put(outbox, 60, 62, after_loss=True) == [True, True]
    reader.wait_for(7)
    outbox.close()
    assert reader.reports[-1][0] == {"event": "heard", "n": 1, "at_s": 0.6, "after_loss": True}


def test_when_there_is_nothing_to_send_somebody_looks_after_the_device(reader: Reader) -> None:
    ticked = threading.Event()
    outbox = Outbox(reader, ticked.set)
    assert ticked.wait(WAIT_S)
    outbox.close()
    assert not reader.reports


def test_a_reader_that_reads_nothing_does_not_keep_the_process(reader: Reader) -> None:
    reader.may_read.clear()
    outbox = Outbox(reader, lambda: None)
    outbox.put("opened", n=1)
    assert reader.reading.wait(WAIT_S)
    closing = threading.Thread(target=outbox.close)
    closing.start()
    closing.join(WAIT_S)
    assert not closing.is_alive()
