"""A rendition as a file: what ``TTS.say(text, output)`` does. Runs in the workshop's loop."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from voice_mcp.codecs.writer import FORMATS, StreamingAudioWriter, synthetic_tags
from voice_mcp.errors import InvalidInput, StorageError
from voice_mcp.library.chunks import FORMAT, FRAME_SAMPLES
from voice_mcp.library.progress_bar import Watch
from voice_mcp.library.rendition import Rendition
from voice_mcp.samples.convert import to_frames

PIECE_FRAMES = 25 * FRAME_SAMPLES
"""Two seconds are encoded at once, in a thread."""


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """How something was said into a file."""

    path: Path
    duration_s: float
    """Seconds of sound."""
    engine: str | None
    voice: str | None
    notes: tuple[str, ...] = ()
    """What the user should know, one sentence each."""


async def write(rendition: Rendition, path: Path, watch: Watch) -> WrittenFile:
    """Write all of it; the file gets its name when it is whole. Whatever was there under that name stays until then.

    Raises:
        InvalidInput: The ending of ``path`` says no format, or its folder is not there.
        VoiceError: It cannot be said, encoded or written.
    """
    audio_format = path.suffix.lower().removeprefix(".")
    if audio_format not in FORMATS:
        raise InvalidInput(
            f"{path.name} has no ending that says a format.", hint=f"Use one of {', '.join(FORMATS)}: {path.stem}.wav."
        )
    if not path.parent.is_dir():
        raise InvalidInput(f"There is no folder {path.parent}.", hint="Make it first, or name a file elsewhere.")
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")  # another one may be writing the same file
    frames = 0
    try:
        tags = synthetic_tags(audio_format, is_stream=False)
        writer = StreamingAudioWriter(audio_format, FORMAT.rate_hz, seekable=part, tags=tags)
        try:
            while (samples := await rendition.take_what_is_there(1, PIECE_FRAMES)) is not None:
                frames += len(samples)
                await _in_thread(writer.write_chunk, to_frames(samples))
                watch(rendition.progress)
            await _in_thread(writer.finalize)
        finally:
            writer.close()
        try:
            os.replace(part, path)
        except OSError as exc:
            raise StorageError(f"{path} could not be written: {exc.strerror or exc}.") from exc
    except BaseException as exc:
        with suppress(OSError):
            part.unlink()
        if isinstance(exc, StorageError):  # whose hint is about the server's own folder
            hint = f"Check the free space and the permissions of {path.parent.absolute()}."
            raise StorageError(exc.message, hint=hint) from exc
        raise
    spoken_by = rendition.spoken_by
    return WrittenFile(path, FORMAT.seconds(frames), spoken_by.engine, spoken_by.voice, tuple(rendition.notes))


async def _in_thread(work: Callable[..., object], *given: object) -> None:
    """Have something done in a thread. A cancellation comes when it is done: an encoder must not be closed under it."""
    doing = asyncio.ensure_future(asyncio.to_thread(work, *given))
    try:
        await asyncio.shield(doing)
    except asyncio.CancelledError:
        while not doing.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([doing])
        doing.exception()  # nobody wants the file any more
        raise
