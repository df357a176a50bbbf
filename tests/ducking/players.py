"""Other programs that play on the card, and how loud they are."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.pulse import PulseCard
from tests.support.waiting import eventually

WAIT_S = 20.0


@contextmanager
def music(card: PulseCard, percent: int | None = 100, role: str = "music") -> Iterator[int]:
    """Another program that plays, as loud as it is told or else as it was last; yields its sound's number."""
    before = set(volumes(card))
    arguments = [f"--property=media.role={role}"]
    if percent is not None:
        arguments.append(f"--volume={round(65536 * percent / 100)}")
    player = subprocess.Popen(
        ["pacat", "--playback", "--raw", "--format=s16le", "--rate=24000", "--channels=1", *arguments, "/dev/zero"],
        env=card.env | {"PATH": "/usr/bin:/bin", "HOME": card.env["PULSE_RUNTIME_PATH"]},
        stderr=subprocess.DEVNULL,
    )
    try:
        (number,) = eventually(lambda: set(volumes(card)) - before, WAIT_S, "the music")
        yield number
    finally:
        player.kill()
        player.wait()
        eventually(lambda: number not in volumes(card), WAIT_S, "the music's end")


def volumes(card: PulseCard) -> dict[int, int]:
    """How loud everything is, in per cent."""
    listing = card.control("list", "sink-inputs")
    numbers = re.findall(r"^Sink Input #(\d+)$", listing, re.MULTILINE)
    levels = re.findall(r"^\s*Volume: .*?(\d+)%", listing, re.MULTILINE)
    return {int(number): int(level) for number, level in zip(numbers, levels, strict=True)}
