"""Text in, encoded audio out, while it is being made and no faster than it is taken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace

from voice_mcp.audio.downmix import downmix
from voice_mcp.codecs.resample import Resampler
from voice_mcp.codecs.writer import StreamingAudioWriter
from voice_mcp.core.segmentation import segment
from voice_mcp.errors import EngineError, EngineStalled
from voice_mcp.protocols import MakeMarker, SpeechEngine
from voice_mcp.types import PcmFormat, SpeechRequest

RATE_HZ = 24_000
"""What everything is sent in, one channel. Source: OpenAI API reference, Create speech, on ``pcm``; clients that are
made for it take it for granted in ``wav`` too."""
ENGINE_STALL_S = 60.0
"""Seconds without audio after which an engine counts as hung; large models are slow on small machines."""


async def synthesise(
    engine: SpeechEngine, request: SpeechRequest, format: str, make_marker: MakeMarker | None = None
) -> AsyncGenerator[bytes]:
    """Speak a text, segment by segment, so that a long one begins as soon as a short one.

    Closing it stops the synthesis at once.

    Args:
        engine: Who speaks.
        request: Its text may be long and is said as it stands.
        format: Of the writer's.
        make_marker: Makes what marks the speech as synthetic; None leaves it unmarked.

    Yields:
        The next bytes, never empty.

    Raises:
        VoiceError: It cannot be spoken or encoded; what was yielded before is good.
    """
    marker = make_marker(PcmFormat(RATE_HZ, 1), 0.0) if make_marker is not None else None
    with StreamingAudioWriter(format, RATE_HZ) as writer:
        for part in segment(request.text):
            async with aclosing(_frames(engine, replace(request, text=part.text))) as blocks:
                async for frames in blocks:
                    if data := writer.write_chunk(frames if marker is None else marker.convert(frames)):
                        yield data
        if data := (b"" if marker is None else writer.write_chunk(marker.flush())) + writer.finalize():
            yield data


async def _frames(engine: SpeechEngine, request: SpeechRequest) -> AsyncGenerator[bytes]:
    """One segment as frames of 24 kHz mono."""
    async with aclosing(await engine.open(request)) as stream:
        fmt = stream.pcm_format
        if fmt is None:
            raise EngineError(f"{engine.name} does not give raw audio.", hint="Choose another model.")
        resampler = Resampler(fmt.rate_hz, RATE_HZ, fmt.channels)
        blocks = aiter(stream)
        while (block := await _next(blocks, stream.engine)) is not None:
            yield downmix(resampler.process(block), fmt.channels)
        yield downmix(resampler.flush(), fmt.channels)


async def _next(blocks: AsyncIterator[bytes], engine: str) -> bytes | None:
    """The next block; None at the end."""
    try:
        async with asyncio.timeout(ENGINE_STALL_S):
            return await anext(blocks, None)
    except TimeoutError as exc:
        raise EngineStalled(f"{engine} stopped in the middle.", hint="Try again.") from exc
