"""Audio that can be recognised: a never-zero pattern, and the judge of what became of it on its way to the card.

Every frame of the pattern is far from zero and every eight frames in a row occur once, so a zero at the card is a gap,
eight frames tell where they come from, and whatever can be found nowhere has been altered.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

WINDOW_FRAMES = 8
QUIETEST = 1024
"""The smallest magnitude in the pattern: about -30 dBFS, above any noise floor."""
MAGNITUDES = 8192
FRAMES_PER_CHARACTER = 1440
"""60 ms of 24 kHz audio: about how long a character of spoken English takes."""

LONGEST_STRIDE_FRAMES = 1 << 20

_HASH_FACTOR = np.uint64(0x9E3779B97F4A7C15)


def pattern(frames: int, seed: int = 0) -> bytes:
    """Pseudo-random signed 16-bit samples, none nearer to zero than ``QUIETEST``; the same for the same seed."""
    noise = np.random.default_rng(seed).integers(0, 2 * MAGNITUDES, frames, dtype=np.int16)
    magnitude = QUIETEST + (noise >> 1)
    return np.where(noise & 1, magnitude, -magnitude).astype("<i2").tobytes()


def spoken(text: str) -> bytes:
    """What the local speech endpoint says for ``text``: 24 kHz mono pattern, its own for every text."""
    return pattern(max(1, len(text)) * FRAMES_PER_CHARACTER, seed=zlib.crc32(text.encode()))


@dataclass(frozen=True, slots=True)
class Gap:
    """A run of zeros between the first and the last frame that is not zero."""

    at_frame: int
    """How much of the reference had been heard when it began, in frames."""
    captured_frame: int
    """Where in the capture it begins, in frames."""
    frames: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of the reference. All counts are frames."""

    found: int
    """Frames of the reference that arrived unchanged at least once."""
    missing: int
    """Frames of the reference that never arrived, neither unchanged nor altered in their place."""
    repeated: int
    """Frames that arrived unchanged once more than once."""
    altered: int
    """Frames in the capture that are neither silence nor found in the reference (a fade, noise, another rate)."""
    gaps: tuple[Gap, ...]
    leading_silence: int
    trailing_silence: int
    start_frame: int
    """The first frame of the reference that arrived unchanged, in the order of arrival."""
    end_frame: int
    """One past the last frame of the reference that arrived unchanged, in the order of arrival."""
    exact: bool
    """The capture is the reference, whole, with nothing but silence around it."""

    @property
    def gap_frames(self) -> int:
        """Silence between the first and the last sound."""
        return sum(gap.frames for gap in self.gaps)

    def __str__(self) -> str:
        where = ", ".join(f"{gap.frames} at {gap.at_frame}" for gap in self.gaps[:8])
        return (
            f"{'exact' if self.exact else 'not exact'}: found {self.found} (from {self.start_frame} to "
            f"{self.end_frame}), missing {self.missing}, repeated {self.repeated}, altered {self.altered}, "
            f"{len(self.gaps)} gaps [{where}], silence {self.leading_silence} before and {self.trailing_silence} after"
        )


def judge(captured: bytes, reference: bytes, *, channels: int = 1) -> Verdict:
    """Compare what reached the card with what was played.

    Args:
        captured: Signed 16-bit frames from the card; bytes after the last whole frame are ignored.
        reference: What was played: whole frames, none of them zero.
        channels: Samples per frame: 1, 2 or 4.

    Raises:
        ValueError: The reference has a zero frame, which could not be told from a gap.
    """
    played = _frames(reference, channels)
    if not played.all():
        raise ValueError("the reference has a zero frame: use pattern()")
    taken = _frames(captured, channels)
    loud = np.flatnonzero(taken)
    if not len(loud):
        return Verdict(0, len(played), 0, 0, (), len(taken), 0, 0, 0, exact=not len(played))
    first, last = int(loud[0]), int(loud[-1])
    sound = taken[first : last + 1]
    runs = list(_Matcher(sound, played).runs())
    coverage = _coverage(runs, len(played))
    explained = _altered_in_place(runs, sound, len(played))
    matched = sum(run.frames for run in runs)
    return Verdict(
        found=int(np.count_nonzero(coverage)),
        missing=max(0, int(np.count_nonzero(coverage == 0)) - explained),
        repeated=int(np.maximum(coverage - 1, 0).sum()),
        altered=int(np.count_nonzero(sound)) - matched,
        gaps=tuple(_gaps(sound, first, runs)),
        leading_silence=first,
        trailing_silence=len(taken) - 1 - last,
        start_frame=runs[0].at if runs else 0,
        end_frame=runs[-1].at + runs[-1].frames if runs else 0,
        exact=np.array_equal(sound, played),
    )


Frames = npt.NDArray[np.signedinteger]
"""One integer per frame, however many channels it has."""


@dataclass(frozen=True, slots=True)
class _Run:
    """``frames`` frames of the capture from ``heard`` on are the reference's from ``at`` on."""

    heard: int
    at: int
    frames: int


def _frames(data: bytes, channels: int) -> Frames:
    size = 2 * channels
    return np.frombuffer(data, dtype=f"<i{size}", count=len(data) // size)


class _Matcher:
    """Walks through the capture and says which parts of it are which parts of the reference."""

    def __init__(self, sound: Frames, played: Frames) -> None:
        self._sound = sound
        self._played = played
        self._loud = np.flatnonzero(sound)
        self._index: tuple[npt.NDArray[np.uint64], npt.NDArray[np.intp]] | None = None

    def runs(self) -> Iterator[_Run]:
        """The runs in the order of arrival; what lies between them is silence or altered."""
        heard = at = 0
        while (start := self._next_loud(heard)) is not None:
            found = self._continued(start, at) or self._anchored(start)
            if found is None:
                return
            yield found
            heard, at = found.heard + found.frames, found.at + found.frames

    def _next_loud(self, heard: int) -> int | None:
        where = int(np.searchsorted(self._loud, heard))
        return int(self._loud[where]) if where < len(self._loud) else None

    def _continued(self, heard: int, at: int) -> _Run | None:
        """The run that goes on where the last one ended, when it is long enough to be no accident."""
        frames = self._common(heard, at)
        after = heard + frames
        # A run shorter than a window counts only when silence or the end cut it short.
        ended = after == len(self._sound) or self._sound[after] == 0
        return _Run(heard, at, frames) if frames and (frames >= WINDOW_FRAMES or ended) else None

    def _anchored(self, heard: int) -> _Run | None:
        """The next run that can be found anywhere in the reference."""
        known, positions = self._known_windows()
        # Most often the next window is known at once; after a long alteration the search takes longer strides.
        stride = WINDOW_FRAMES
        while heard <= len(self._sound) - WINDOW_FRAMES and len(known):
            hashes = _window_hashes(self._sound[heard : heard + stride + WINDOW_FRAMES - 1])
            where = np.minimum(_positions(known, hashes), len(known) - 1)
            hits = np.flatnonzero(known[where] == hashes)
            if len(hits):
                start = heard + int(hits[0])
                at = int(positions[where[hits[0]]])
                return _Run(start, at, self._common(start, at))
            heard += stride
            stride = min(2 * stride, LONGEST_STRIDE_FRAMES)
        return None

    def _known_windows(self) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.intp]]:
        # Sorted only when something is out of place: an exact capture needs no index.
        if self._index is None:
            hashes = _window_hashes(self._played)
            order = np.argsort(hashes)
            self._index = hashes[order], order
        return self._index

    def _common(self, heard: int, at: int) -> int:
        """For how many frames capture and reference agree from here."""
        most = min(len(self._sound) - heard, len(self._played) - at)
        done, step = 0, 1024
        while done < most:
            size = min(step, most - done)
            differs = self._sound[heard + done : heard + done + size] != self._played[at + done : at + done + size]
            if differs.any():
                return done + int(np.argmax(differs))
            done, step = done + size, step * 2
        return done


def _window_hashes(frames: Frames) -> npt.NDArray[np.uint64]:
    """A 64-bit polynomial of every window of ``WINDOW_FRAMES`` frames, modulo 2**64."""
    count = len(frames) - WINDOW_FRAMES + 1
    if count <= 0:
        return np.zeros(0, np.uint64)
    values = frames.astype(np.int64).view(np.uint64)
    hashes = np.zeros(count, np.uint64)
    for offset in range(WINDOW_FRAMES):
        hashes *= _HASH_FACTOR
        hashes += values[offset : offset + count]
    return hashes


def _positions(known: npt.NDArray[np.uint64], hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.intp]:
    """``np.searchsorted``, asked in ascending order: many times faster in a large index than at random."""
    order = np.argsort(hashes)
    where = np.empty(len(hashes), np.intp)
    where[order] = np.searchsorted(known, hashes[order])
    return where


def _coverage(runs: list[_Run], frames: int) -> npt.NDArray[np.int64]:
    """How often each frame of the reference arrived."""
    edges = np.zeros(frames + 1, np.int64)
    for run in runs:
        edges[run.at] += 1
        edges[run.at + run.frames] -= 1
    return np.cumsum(edges[:-1])


def _altered_in_place(runs: list[_Run], sound: Frames, frames: int) -> int:
    """Frames that did not arrive unchanged, and for which an altered frame arrived where they belong."""
    bounds = [_Run(0, 0, 0), *runs, _Run(len(sound), frames, 0)]
    total = 0
    for before, after in zip(bounds, bounds[1:], strict=False):
        hole = after.at - (before.at + before.frames)
        altered = int(np.count_nonzero(sound[before.heard + before.frames : after.heard]))
        total += max(0, min(hole, altered))
    return total


def _gaps(sound: Frames, first: int, runs: list[_Run]) -> Iterator[Gap]:
    edges = np.flatnonzero(np.diff(np.concatenate(([0], sound == 0, [0])).astype(np.int8)))
    starts = [run.heard for run in runs]
    for begin, end in edges.reshape(-1, 2).tolist():
        index = int(np.searchsorted(starts, begin)) - 1
        at = runs[index].at + min(runs[index].frames, begin - runs[index].heard) if index >= 0 else 0
        yield Gap(at_frame=at, captured_frame=first + begin, frames=end - begin)
