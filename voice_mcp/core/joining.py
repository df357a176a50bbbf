"""Recordings one after the other: as loud as each other, with a pause between them, and without a click.

Every recording gets one gain, so that nothing is pumped up and down inside it. Its first and last 10 ms are crossfaded
with the silence of the pause, which costs no length: the whole is as long as its parts and the pauses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from voice_mcp.audio.downmix import downmix
from voice_mcp.audio.segments import audio_segment
from voice_mcp.codecs.resample import Resampler
from voice_mcp.types import BYTES_PER_SAMPLE, PcmFormat

PAUSE_S = 0.6
"""Seconds between two utterances: what people leave between two turns that do not interrupt each other."""
FADE_MS = 10
TARGET_DBFS = -20.0
"""How loud the sounding parts of every recording shall be (RMS)."""
PEAK_DBFS = -1.0
"""No gain lifts a peak above this: lossy codecs need the room, for what they decode to overshoots a little."""
MOST_GAIN_DB = 30.0
"""More than this would lift the noise of a room to the loudness of speech."""

_WINDOW_MS = 50
_SOUNDING_DB = 25.0
"""Windows that are so much quieter than the loudest one are pauses, and do not count."""
_SILENCE_RMS = 10
"""A recording that never gets louder (-70 dBFS) holds nothing to be heard."""
_FULL_SCALE = 32768.0


@dataclass(frozen=True, slots=True)
class Placed:
    """A recording in its place."""

    pcm: bytes
    """What comes next in the whole: the pause before it, if there is one, and the recording."""
    start_s: float
    """Where the recording begins in the whole."""
    end_s: float


class Joiner:
    """Joins recordings of any rate and number of channels. Keeps none of them: its memory is that of one recording.

    Args:
        rate_hz: Frames per second of the whole, which has one channel.
        pause_s: Seconds of silence between two utterances.

    Raises:
        CodecMissing: pydub is not installed.
    """

    def __init__(self, rate_hz: int, pause_s: float = PAUSE_S) -> None:
        self._segment = audio_segment()
        self.format = PcmFormat(rate_hz, 1)
        self._pause_bytes = self.format.frames_in(pause_s) * self.format.frame_bytes
        self._frames = 0

    @property
    def length_s(self) -> float:
        """Seconds so far."""
        return self.format.seconds(self._frames)

    def add(self, pcm: bytes, fmt: PcmFormat, *, pause: bool = True) -> Placed:
        """Put a recording at the end.

        Args:
            pcm: All its frames.
            fmt: Their shape.
            pause: Whether a pause comes first; before the very first recording there is none.

        Raises:
            UnsupportedFormat: The rate has to be changed, and PyAV is not installed.
        """
        silence = bytes(self._pause_bytes if pause and self._frames else 0)
        segment = self._segment(
            data=self._converted(pcm, fmt),
            sample_width=BYTES_PER_SAMPLE,
            frame_rate=self.format.rate_hz,
            channels=1,
        )
        sound = faded(segment.apply_gain(matching_gain_db(segment))).raw_data
        start = self._frames + self.format.frames(len(silence))
        self._frames = start + self.format.frames(len(sound))
        return Placed(silence + sound, self.format.seconds(start), self.length_s)

    def _converted(self, pcm: bytes, fmt: PcmFormat) -> bytes:
        """In one channel at the rate of the whole.

        By the house's own means: pydub changes rates along straight lines, which one hears.
        """
        mono = downmix(pcm, fmt.channels)
        if fmt.rate_hz == self.format.rate_hz:
            return mono
        resampler = Resampler(fmt.rate_hz, self.format.rate_hz)
        return resampler.process(mono) + resampler.flush()


def matching_gain_db(segment: Any) -> float:
    """The gain that makes the sounding parts of an ``AudioSegment`` as loud as ``TARGET_DBFS``, and clips nothing."""
    windows = [window.rms for window in segment[::_WINDOW_MS]]
    loudest = max(windows, default=0)
    if loudest < _SILENCE_RMS:
        return 0.0
    gate = loudest * 10 ** (-_SOUNDING_DB / 20)
    powers = [rms * rms for rms in windows if rms >= gate]
    level_dbfs = 10 * math.log10(sum(powers) / len(powers)) - 20 * math.log10(_FULL_SCALE)
    return float(min(TARGET_DBFS - level_dbfs, PEAK_DBFS - segment.max_dBFS, MOST_GAIN_DB))


def faded(segment: Any) -> Any:
    """An ``AudioSegment`` of one channel that comes out of silence and goes back into it.

    Cut by frames: pydub's own cuts are by milliseconds, and would drop the frames of the last, unfinished one.
    """
    fade_ms = min(FADE_MS, int(1000 * segment.duration_seconds) // 2)
    frames, edge = int(segment.frame_count()), int(segment.frame_count(ms=fade_ms))
    if not fade_ms:
        return segment
    begin = segment.get_sample_slice(0, edge).fade_in(fade_ms)
    middle = segment.get_sample_slice(edge, frames - edge)
    end = segment.get_sample_slice(frames - edge, frames).fade_out(fade_ms)
    return begin.append(middle, crossfade=0).append(end, crossfade=0)
