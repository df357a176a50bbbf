"""What a file says about itself: title, artist, comment, and that it is synthetic."""

from __future__ import annotations

import re
import struct
from collections.abc import Container, Mapping

from voice_mcp.errors import WriterMisuse

# What every container can hold: a Vorbis comment ends its name with "=", an INFO text ends with NUL.
_NAME = re.compile(r"[a-z0-9][a-z0-9_ -]*")
SYNTHETIC: Mapping[str, str] = {"synthetic": "voice-mcp"}
"""What says that nobody spoke this; a WAV file has it in its comment (INFO ICMT), MP3 in a TXXX frame of ID3v2."""
MOST_BYTES = 32_768
"""All tags together fit one Ogg page, and no listener waits for them."""


def checked_tags(tags: Mapping[str, str] | None) -> dict[str, str]:
    """The tags with their names in lower case.

    Raises:
        WriterMisuse: A name or a value that no file could hold.
    """
    checked = {}
    for name, value in (tags or {}).items():
        if not isinstance(name, str) or not _NAME.fullmatch(name.lower()):
            raise WriterMisuse(f"{name!r} cannot be the name of a tag.", hint="Use letters and digits, as in `title`.")
        if not isinstance(value, str) or not _can_be_written(value):
            raise WriterMisuse(f"The tag {name} cannot be {value!r}.", hint="Use text without NUL characters.")
        checked[name.lower()] = value
    if sum(len(name) + len(value.encode()) + 8 for name, value in checked.items()) > MOST_BYTES:
        raise WriterMisuse(f"The tags are longer than {MOST_BYTES} bytes.", hint="Shorten them.")
    return checked


def with_unknown_in_comment(tags: Mapping[str, str], known: Container[str]) -> dict[str, str]:
    """The tags a container has a place for; the others are told in the comment, as ``name: value``."""
    kept = {name: value for name, value in tags.items() if name in known}
    others = [f"{name}: {value}" for name, value in tags.items() if name not in known]
    if others:
        kept["comment"] = "; ".join([kept["comment"], *others] if "comment" in kept else others)
    return kept


def vorbis_comment(vendor: str, tags: Mapping[str, str]) -> bytes:
    """The tags as Opus, Vorbis and FLAC write them: lengths in 32 bits, little-endian, text in UTF-8."""
    fields = [f"{name.upper()}={value}".encode() for name, value in tags.items()]
    return b"".join((_text(vendor.encode()), struct.pack("<I", len(fields)), *map(_text, fields)))


def _text(text: bytes) -> bytes:
    return struct.pack("<I", len(text)) + text


def _can_be_written(value: str) -> bool:
    """Without NUL, which ends a text in RIFF, and without half characters, which UTF-8 has no bytes for."""
    return "\0" not in value and not any("\ud800" <= char <= "\udfff" for char in value)
