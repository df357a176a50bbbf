"""Where speech can be taken up again: the quietest place shortly before the end of what was heard."""

from __future__ import annotations

from array import array

from voice_mcp.types import PcmFormat

STEP_S = 0.01
"""How finely is looked, in seconds."""
STEPS_OF_A_LULL = 3
"""A lull is quiet for so many steps: 30 ms, less than any pause between words that can be heard as one."""
STEPS_BETWEEN_WORDS = 15
"""Whatever has been quiet for so many steps, at the very end, is between two words already."""
NEAREST_S, FARTHEST_S = 0.2, 1.2
"""How far before the end: behind the closure of a consonant in the middle of the word that was cut, in front of a word
or two."""
QUIET = 104
"""Mean level below which nothing is quieter than anything else: -50 dBFS of 16 bits."""


def lull_before_end(frames: bytes, fmt: PcmFormat) -> int:
    """How many frames before the end of ``frames`` to go on, so that no word begins in its middle; 0 between words.

    Shapes: whole frames, signed 16 bits, of which the last one and a half seconds count.
    """
    step_frames = fmt.frames_in(STEP_S)
    levels = _levels(frames, fmt, step_frames)
    if all(level <= QUIET for level in levels[:STEPS_BETWEEN_WORDS]):
        return 0
    nearest, farthest = round(NEAREST_S / STEP_S), round(FARTHEST_S / STEP_S)
    starts = range(nearest, min(farthest, len(levels) - STEPS_OF_A_LULL) + 1)
    if not starts:
        return fmt.frames(len(frames))
    lull = min(starts, key=lambda at: sum(levels[at : at + STEPS_OF_A_LULL]))
    return (lull + STEPS_OF_A_LULL // 2) * step_frames


def _levels(frames: bytes, fmt: PcmFormat, step_frames: int) -> list[float]:
    """The mean level of each whole step, the last one first; what is quiet is all alike."""
    size = step_frames * fmt.frame_bytes
    steps = min(len(frames) // size, round(FARTHEST_S / STEP_S) + STEPS_OF_A_LULL)
    ends = [len(frames) - step * size for step in range(steps)]
    return [max(QUIET, _mean(array("h", frames[end - size : end]))) for end in ends]


def _mean(samples: array[int]) -> float:
    return sum(map(abs, samples)) / len(samples)
