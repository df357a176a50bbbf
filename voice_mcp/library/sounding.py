"""A line of text as 24 kHz mono, whoever says it, in whatever shape."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from voice_mcp.audio.downmix import downmix
from voice_mcp.codecs.resample import Resampler
from voice_mcp.core.casting import Casting, Manner
from voice_mcp.core.metrics import FirstSound, Metrics
from voice_mcp.core.pacing import SpeechRoster
from voice_mcp.core.rendering import Begin, Rendering, SpokenBy
from voice_mcp.library.chunks import FORMAT
from voice_mcp.types import PcmFormat

Informed = Callable[[Rendering], None]
"""Told who speaks as soon as somebody does, and once more at the end."""


class _Silent:
    """The library keeps no event log."""

    def event(self, *_: object, **__: object) -> None:
        """Nobody is told."""


def _nobody(rendering: Rendering) -> None:
    """Nobody is told."""


async def sound_of(
    text: str, manner: Manner, roster: SpeechRoster, informed: Informed = _nobody
) -> AsyncGenerator[bytes | SpokenBy, None]:
    """Int16 frames of ``text``, as they come, behind who says them; who breaks off is asked again, or the next one is.

    Raises:
        VoiceError: Nobody can say it, or the rest of it.
    """
    rendering = Rendering(Casting(roster, manner), _Silent(), Metrics(FirstSound(roster.clock.now())))
    shape = _Shape(FORMAT)
    async with aclosing(rendering.render(text)) as pieces:
        async for piece in pieces:
            if isinstance(piece, Begin):
                yield shape.flush()
                shape = _Shape(piece.format)
                informed(rendering)
                yield rendering.spoken_by
            elif isinstance(piece, bytes):
                yield shape.process(piece)
    yield shape.flush()
    informed(rendering)


class _Shape:
    """Turns frames of one shape into those of the library."""

    def __init__(self, fmt: PcmFormat) -> None:
        self._channels = fmt.channels
        self._resampler = Resampler(fmt.rate_hz, FORMAT.rate_hz, fmt.channels) if fmt != FORMAT else None

    def process(self, frames: bytes) -> bytes:
        return frames if self._resampler is None else downmix(self._resampler.process(frames), self._channels)

    def flush(self) -> bytes:
        return b"" if self._resampler is None else downmix(self._resampler.flush(), self._channels)
