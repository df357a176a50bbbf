"""What of a recording is worth transcribing: where somebody speaks, with a little around it. Pure.

Recognisers invent words for silence. They get none at the ends; what they claim to have heard in the silence between is
believed only where a voice was detected, or where they do not doubt it themselves.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from voice_mcp.types import LISTENING_FORMAT, SpeechSpan, Transcript, TranscriptPart

MARGIN_S = 0.25
"""What is kept around the speech: a soft consonant lies beyond what a detector hears."""
LEAST_SPEECH_S = 0.1
"""Less than this is no word: the shortest yes takes twice as long."""
DOUBTFUL = 0.6
"""From here on a model that says so is taken to have heard nobody. Source: Whisper's own threshold."""
_REMARK = re.compile(r"\s*(?:\[[^\]]*\]|\([^)]*\)|\*[^*]*\*|♪)[\s.]*")
"""``[BLANK_AUDIO]``, ``(wind blowing)``: a remark on what was heard, and nothing that was said."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The part of a recording in which somebody speaks."""

    frames: bytes
    """``LISTENING_FORMAT``."""
    spans: tuple[SpeechSpan, ...] | None
    """Where in it; None when nobody looked."""

    @property
    def sound_s(self) -> float:
        """How long it is."""
        return LISTENING_FORMAT.seconds(LISTENING_FORMAT.frames(len(self.frames)))

    @property
    def speech_s(self) -> float:
        """How much of it is speech."""
        return self.sound_s if self.spans is None else sum(span.seconds for span in self.spans)

    @property
    def is_speech(self) -> bool:
        """Whether there can be a word in it."""
        return self.speech_s >= LEAST_SPEECH_S

    def words(self, transcript: Transcript) -> str:
        """What was said, without what was heard where nobody spoke."""
        parts, text = transcript.parts, transcript.text
        if self.spans is not None:
            kept = [part for part in parts if (part.no_speech or 0.0) < DOUBTFUL or self._voiced(part)]
            if len(kept) < len(parts):
                text = "".join(part.text for part in kept)
        text = text.strip()
        return "" if not _REMARK.sub("", text) else text

    def _voiced(self, part: TranscriptPart) -> bool:
        """Whether a voice was detected for long enough while it is supposed to have been said."""
        overlaps = (min(part.end_s, span.end_s) - max(part.start_s, span.start_s) for span in self.spans or ())
        return sum(max(0.0, overlap) for overlap in overlaps) >= LEAST_SPEECH_S


def excerpt(frames: bytes, spans: Sequence[SpeechSpan] | None) -> Excerpt:
    """Cut off the silence in front of the speech and behind it.

    Args:
        frames: The recording, ``LISTENING_FORMAT``.
        spans: Where in it somebody speaks, in order; None when nobody looked, and all of it counts as speech.
    """
    if not spans:
        return Excerpt(frames, None if spans is None else ())
    fmt = LISTENING_FORMAT
    first = max(0, fmt.frames_in(spans[0].start_s - MARGIN_S))
    last = max(first, fmt.frames_in(spans[-1].end_s + MARGIN_S))
    moved_s = fmt.seconds(first)
    moved = tuple(SpeechSpan(span.start_s - moved_s, span.end_s - moved_s) for span in spans)
    return Excerpt(frames[first * fmt.frame_bytes : last * fmt.frame_bytes], moved)
