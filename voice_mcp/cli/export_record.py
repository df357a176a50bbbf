"""What there is of a conversation on the disk: its lines in the log, and its recordings, decoded one by one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from voice_mcp.codecs.detect import HEAD_BYTES, choose_decoder
from voice_mcp.core.joining import Joiner, Placed
from voice_mcp.errors import CodecError, NotAudio, StorageError
from voice_mcp.protocols import Decoder
from voice_mcp.storage.conversation_log import ConversationLog, Exchange, ExchangeType
from voice_mcp.storage.journal import Journal
from voice_mcp.storage.paths import DataRoot
from voice_mcp.storage.recordings import Recordings, utterance_number
from voice_mcp.types import PcmFormat

Complaint = Callable[[str], None]
"""Told in a sentence what is left out, and why."""

RAW_FORMAT = PcmFormat(24_000, 1)
"""What raw recordings hold if nothing else is known."""
_RAW_RATES_HZ = (8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_RAW_TOLERANCE = 0.02
_READ_BYTES = 64 << 10
_REST_S = 0.05
"""A recording that is so much shorter than its utterance goes on in the next file."""


@dataclass(frozen=True, slots=True)
class Take:
    """A recording."""

    path: Path
    kind: ExchangeType
    exchange: Exchange | None
    """Its line in the log; None for what a line's recording goes on in, and for what never got a line."""


@dataclass(frozen=True, slots=True)
class Sound:
    """A recording in its place in the whole."""

    placed: Placed
    kind: ExchangeType
    exchange: Exchange | None
    """The line of the log it belongs to, if there is one."""
    goes_on: bool
    """Whether it is the next part of the utterance before it."""


@dataclass(frozen=True, slots=True)
class ConversationRecord:
    """A conversation as it was found."""

    exchanges: list[Exchange]
    takes: list[Take]


def read_record(log: ConversationLog, root: DataRoot, conversation_id: str, complain: Complaint) -> ConversationRecord:
    """What is on record of a conversation, in its order.

    The lines of the log say which recording is whose. Recordings without a line have their place by their number.

    Raises:
        StorageError: The records cannot be read.
    """
    exchanges = sorted(log.exchanges(conversation_id), key=lambda exchange: exchange.timestamp)
    takes: dict[Path, Take] = {}
    for exchange in exchanges:
        if exchange.audio_file is None:
            continue
        try:
            path = root.locate(exchange.audio_file)
        except StorageError as exc:
            complain(f"Left out: {exc.message}")
            continue
        takes.setdefault(path, Take(path, exchange.type, exchange))
    files = Recordings(root, Journal()).files(conversation_id)
    strays = [path for path in files if path.suffix != ".txt" and path not in takes]
    return ConversationRecord(exchanges, _with_strays(list(takes.values()), strays))


def _with_strays(takes: list[Take], strays: Iterable[Path]) -> list[Take]:
    """Each stray behind the last recording of its folder that has a lower number."""
    for path in strays:
        number = utterance_number(path.name) or 0
        before = [
            index
            for index, take in enumerate(takes)
            if take.path.parent == path.parent and (utterance_number(take.path.name) or math.inf) < number
        ]
        kind: ExchangeType = "stt" if path.stem.endswith("_stt") else "tts"
        takes.insert(before[-1] + 1 if before else 0, Take(path, kind, None))
    return takes


def joined(takes: Iterable[Take], joiner: Joiner, complain: Complaint) -> Iterator[Sound]:
    """The recordings one after the other; those that cannot be read are left out, and complained of."""
    exchange: Exchange | None = None
    rest_s = 0.0
    for take in takes:
        goes_on = take.exchange is None and exchange is not None and rest_s > _REST_S and exchange.type == take.kind
        if not goes_on:
            exchange, rest_s = take.exchange, 0.0
        recording = read_take(take, complain)
        if recording is None:
            exchange = None
            continue
        pcm, fmt = recording
        if take.exchange is not None:
            rest_s = (take.exchange.duration_ms or 0) / 1000
        rest_s -= fmt.seconds(fmt.frames(len(pcm)))
        yield Sound(joiner.add(pcm, fmt, pause=not goes_on), take.kind, exchange, goes_on)


def read_take(take: Take, complain: Complaint) -> tuple[bytes, PcmFormat] | None:
    """The frames of a recording and their shape; None when there are none to be had."""
    name = take.path.name
    if not take.path.is_file():
        complain(f"{name} is left out: it is not there any more.")
        return None
    try:
        with take.path.open("rb") as file:
            pcm, fmt, problem = _decoded(take, file)
    except OSError as exc:
        complain(f"{name} is left out: it cannot be read ({exc.strerror or exc}).")
        return None
    if fmt is None or not pcm:
        complain(f"{name} is left out: {problem or 'it holds no sound.'}")
        return None
    if problem:
        complain(f"{name} is not whole: {problem}")
    return pcm, fmt


def _decoded(take: Take, file: BinaryIO) -> tuple[bytes, PcmFormat | None, str]:
    """All frames there are, their shape, and in words what is wrong with the rest; no words when nothing is."""
    head = file.read(HEAD_BYTES)
    if not head:
        return b"", None, "it is empty."
    pcm, problem = bytearray(), ""
    decoder: Decoder | None = None
    try:
        decoder = choose_decoder(head, "", take.path.suffix.lstrip("."), _raw_format(take))
        for data in chain([head], iter(partial(file.read, _READ_BYTES), b"")):
            pcm += decoder.decode(data)
        pcm += decoder.flush()
        if decoder.decode_errors:
            problem = f"it is damaged in {decoder.decode_errors} place{'s' if decoder.decode_errors > 1 else ''}."
    except NotAudio:
        problem = "it is damaged, or no audio."
    except CodecError as exc:
        problem = exc.message
    return bytes(pcm), decoder.format if decoder else None, problem


def _raw_format(take: Take) -> PcmFormat:
    """The shape of a recording without a header: the usual rate that makes it as long as the log says it was."""
    duration_s = ((take.exchange.duration_ms if take.exchange else None) or 0) / 1000
    if duration_s:
        rate_hz = take.path.stat().st_size / RAW_FORMAT.frame_bytes / duration_s
        nearest_hz = min(_RAW_RATES_HZ, key=lambda usual_hz: abs(usual_hz - rate_hz))
        if abs(nearest_hz - rate_hz) <= _RAW_TOLERANCE * nearest_hz:
            return PcmFormat(nearest_hz, 1)
    return RAW_FORMAT
