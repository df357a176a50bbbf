"""How full the buffer was while there was more to come: kept for the record. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Levels:
    """Mean and least of the frames that were held after each block."""

    least_frames: int | None = None
    """None while nothing was measured."""
    _sum_frames: int = 0
    _blocks: int = 0

    @property
    def mean_frames(self) -> float | None:
        """None while nothing was measured."""
        return self._sum_frames / self._blocks if self._blocks else None

    def add(self, frames: int) -> None:
        """So many frames are held now."""
        self._sum_frames += frames
        self._blocks += 1
        if self.least_frames is None or frames < self.least_frames:
            self.least_frames = frames
