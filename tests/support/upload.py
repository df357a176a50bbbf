"""What a client uploads to be transcribed: a form with a file in it, taken apart without any code of the product."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass

import av
from av.container import InputContainer

_BOUNDARY = re.compile(r'multipart/form-data;.*\bboundary="?([^";]+)"?', re.IGNORECASE)
_PARAMETER = re.compile(r'\b(name|filename)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Upload:
    """A request for a transcription."""

    fields: dict[str, str]
    """All but the file."""
    file_name: str
    media_type: str
    data: bytes
    """The file."""

    @property
    def rate_hz(self) -> int:
        """Frames per second of the file."""
        with _opened(self.data) as container:
            return container.streams.audio[0].rate

    @property
    def frames(self) -> bytes:
        """The sound in it, as another library than ours reads it: signed 16-bit samples of one channel."""
        resampler = av.AudioResampler(format="s16", layout="mono", rate=self.rate_hz)
        with _opened(self.data) as container:
            blocks = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
        blocks += resampler.resample(None)
        return b"".join(bytes(block.planes[0])[: 2 * block.samples] for block in blocks)


def parsed_upload(content_type: str, body: bytes) -> Upload:
    """The form in a request's body.

    Raises:
        ValueError: It is no form with a file and a model.
    """
    found = _BOUNDARY.match(content_type)
    if found is None:
        raise ValueError("The body has to be a form.")
    fields: dict[str, str] = {}
    file: tuple[str, str, bytes] | None = None
    for part in body.split(b"--" + found[1].encode())[1:-1]:
        head, _, content = part.removeprefix(b"\r\n").removesuffix(b"\r\n").partition(b"\r\n\r\n")
        lines = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n"))
        named = dict(_PARAMETER.findall(lines["content-disposition"]))
        if "filename" in named:
            file = named["filename"], lines.get("content-type", ""), content
        else:
            fields[named["name"]] = content.decode()
    if file is None or "model" not in fields:
        raise ValueError("The form has to hold a file and a model.")
    return Upload(fields, *file)


def _opened(data: bytes) -> InputContainer:
    return av.open(io.BytesIO(data), "r")
