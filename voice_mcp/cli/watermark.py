"""`voice-mcp watermark`: whether a file bears the mark of synthetic speech, and where."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from voice_mcp.cli.house import read_settings
from voice_mcp.cli.output import AsJson, print_json, standard_output, visible
from voice_mcp.codecs.detect import HEAD_BYTES, choose_decoder
from voice_mcp.errors import NotAudio, StorageError
from voice_mcp.protocols import Decoder
from voice_mcp.types import PcmFormat

if TYPE_CHECKING:
    from voice_mcp.samples.convert import Samples
    from voice_mcp.watermark.detector import Detection

File = Annotated[Path, typer.Argument(help="A sound file of any format that can be played.", show_default=False)]
Key = Annotated[
    str | None,
    typer.Option("--key", "-k", help="Whose mark; without it VOICEMODE_WATERMARK_KEY, or the key that all know."),
]
_WHOSE = {"given": "the key given", "settings": "VOICEMODE_WATERMARK_KEY", "public": "the key that all know"}
NOT_MARKED = 1
_NAME_ANOTHER = "Name a sound file."
_READ_BYTES = 64 << 10
_RAW_FORMAT = PcmFormat(24_000, 1)
"""What a file without a header is taken for, as speech services make it."""


def watermark(file: File, key: Key = None, as_json: AsJson = False) -> None:
    """Say whether a sound file bears the mark of synthetic speech, and where. The exit code is 1 when it does not."""
    whose, wanted = _wanted_key(key)
    found = list(_detections(file, wanted))
    marked = _ranges(found)
    best = max(found, key=lambda detection: detection.score)
    if as_json:
        print_json(
            {
                "file": str(file),
                "marked": bool(marked),
                "key": whose,
                "score": round(best.score, 2),
                "false_alarm": best.false_alarm,
                "ranges": [{"start_s": round(each.start_s, 3), "end_s": round(each.end_s, 3)} for each in marked],
                "duration_s": round(found[-1].end_s, 3),
            }
        )
    else:
        _print(file.name, marked, best, _WHOSE[whose])
    if not marked:
        raise typer.Exit(NOT_MARKED)


@dataclass(frozen=True, slots=True)
class _Range:
    """From when to when."""

    start_s: float
    end_s: float


def _print(name: str, marked: list[_Range], best: Detection, key: str) -> None:
    from voice_mcp.watermark.detector import least_score

    line = Text(visible(name), style="bold")
    if marked:
        where = ", ".join(f"{_clock(each.start_s)} to {_clock(each.end_s)}" for each in marked)
        verdict = f"marked with {key}, {where} (score {best.score:.1f}; {least_score():.1f} is enough)."
    else:
        verdict = f"no mark of {key} (score {best.score:.1f}; {least_score():.1f} would be enough)."
    line.append(f": {verdict}", style="not bold")
    standard_output().print(line)


def _ranges(found: Iterable[Detection]) -> list[_Range]:
    """The marked stretches, those that overlap as one."""
    ranges: list[_Range] = []
    for each in found:
        if not each.is_marked:
            continue
        if ranges and each.start_s <= ranges[-1].end_s:
            ranges[-1] = _Range(ranges[-1].start_s, each.end_s)
        else:
            ranges.append(_Range(each.start_s, each.end_s))
    return ranges


def _wanted_key(given: str | None) -> tuple[str, str]:
    """Whose key it is, and the key: the one that was given, else the one that is set, else the one that all know."""
    from voice_mcp.watermark.marker import PUBLIC_KEY  # numpy: 80 ms

    if given:
        return "given", given
    key = read_settings().watermark_key
    return ("public", PUBLIC_KEY) if key is None else ("settings", key.get_secret_value())


def _detections(file: Path, key: str) -> Iterator[Detection]:
    from voice_mcp.watermark.detector import scan

    rate_hz, chunks = _decoded(file)
    return scan(chunks, rate_hz, key)


def _decoded(path: Path) -> tuple[int, Iterator[Samples]]:
    """The rate of a file, and its sound piece by piece."""
    blocks = _blocks(path)
    first = next(blocks, None)
    if first is None:
        raise NotAudio(f"{path.name} holds no sound.", hint=_NAME_ANOTHER)
    return first[0], (samples for _, samples in chain([first], blocks))


def _blocks(path: Path) -> Iterator[tuple[int, Samples]]:
    from voice_mcp.samples.convert import to_samples

    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            decoder: Decoder = choose_decoder(head, "", path.suffix.lstrip(".").lower(), _RAW_FORMAT)
            for data in chain([head], iter(partial(file.read, _READ_BYTES), b""), [None]):
                frames = decoder.flush() if data is None else decoder.decode(data)
                if frames and decoder.format is not None:
                    yield decoder.format.rate_hz, to_samples(frames, decoder.format.channels)
    except NotAudio as exc:
        raise NotAudio(f"{path.name} is damaged, or no audio.", hint=_NAME_ANOTHER) from exc
    except OSError as exc:
        raise StorageError(f"{path.name} cannot be read: {exc.strerror or exc}.", hint=_NAME_ANOTHER) from exc


def _clock(seconds: float) -> str:
    """Minutes and seconds, as players show them."""
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02}"
