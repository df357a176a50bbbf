"""One stretch of sound out of several renditions of the same text.

When a request breaks off and is made again, its audio comes again from the beginning. What was passed on already is
skipped by the frame. The last frames that came are held back while more may follow, so that two renditions which
differ meet in a crossfade, and an end in mid-word in a fade, instead of a click.

    first rendition    ████████████████████▓▓▓ ✕        passed on █, held back ▓
    the next one       ░░░░░░░░░░░░░░░░░░░░▓▓▓█████     skipped ░, crossfade ▓, passed on █
"""

from __future__ import annotations

from voice_mcp.audio.crossfade import crossfade, fade_out
from voice_mcp.types import PcmFormat

HELD_BACK_S = 0.010
"""Long enough to hide the seam, short enough that nobody waits for it."""
OPENING_S = 0.020
"""What the first sound of an utterance can begin with (docs/adr/0011): of that nothing is held back. Whoever breaks off
this early leaves the player dry, which fades by itself."""
OPENING_SHARE = 8
"""After that an eighth of what comes is held back until it is ``HELD_BACK_S``: all of it at once would leave dry the
player, which has little in hand by then."""


class Splice:
    """The frames of one line in one shape, whoever renders them and however often.

    Args:
        fmt: Their shape.
        skip_s: Seconds that have been passed on in another shape.
        opens: Whether the first sound of the utterance waits for these frames.
    """

    def __init__(self, fmt: PcmFormat, skip_s: float = 0.0, *, opens: bool = False) -> None:
        self._fmt = fmt
        self._most_held_frames = fmt.frames_in(HELD_BACK_S)
        self._opening_frames = fmt.frames_in(OPENING_S) if opens else 0
        self._held = b""
        self._passed = fmt.frames_in(skip_s)
        self._position = 0
        self._seam_frames = 0

    @property
    def format(self) -> PcmFormat:
        """The shape of the frames."""
        return self._fmt

    def restart(self) -> None:
        """The next frames are those of another rendition, from its beginning."""
        self._position = 0
        self._seam_frames = self._fmt.frames(len(self._held))

    def push(self, block: bytes) -> bytes:
        """Take the next frames of the rendition; return those that can be passed on."""
        start, size = self._position, self._fmt.frame_bytes
        self._position += self._fmt.frames(len(block))
        fresh = block[max(0, self._passed - start) * size :]
        overlap = max(self._passed, start) - self._passed
        held_from = overlap * size
        covered = min(len(fresh), max(0, len(self._held) - held_from))
        if covered:
            joined = crossfade(
                self._held[held_from : held_from + covered],
                fresh[:covered],
                self._fmt.channels,
                at=overlap,
                length=self._seam_frames,
            )
            self._held = self._held[:held_from] + joined + self._held[held_from + covered :]
        self._held += fresh[covered:]
        held_frames = self._fmt.frames(len(self._held))
        return self._pass_on(max(0, held_frames - self._held_back(self._passed + held_frames)))

    def _held_back(self, came: int) -> int:
        """How many of ``came`` frames are held back."""
        if not self._opening_frames:
            return self._most_held_frames
        return min(self._most_held_frames, max(0, came - self._opening_frames) // OPENING_SHARE)

    def end(self) -> bytes:
        """No more will come, and that is right: what was held back."""
        return self._pass_on(self._fmt.frames(len(self._held)))

    def break_off(self) -> bytes:
        """No more will come, and that is a pity: what was held back, fading."""
        return fade_out(self.end(), self._fmt.channels)

    def _pass_on(self, frames: int) -> bytes:
        size = frames * self._fmt.frame_bytes
        out, self._held = self._held[:size], self._held[size:]
        self._passed += frames
        return out
