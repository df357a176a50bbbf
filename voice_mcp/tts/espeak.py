"""The voice that is always there: espeak-ng, embedded.

The library comes in a wheel with its data and needs nothing of the system. It makes a second of audio in about a
millisecond, in a thread, piece by piece (``_espeak_text``); a piece is never interrupted by a slow reader, it is only
the next one that waits until most of what there is has been read. So the library is never held by a stream that waits,
any number of streams take turns, and an unread stream holds ``LOOK_AHEAD_S`` and one piece, however long its text.

The sound has a little noise in it, like breath, that the library draws anew each time: two runs of the same text differ
by some samples.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakSet

from voice_mcp.errors import EngineError, EngineMissing, UnknownVoice, VoiceError
from voice_mcp.tts._espeak_library import EspeakLibrary, Utterance, WordEvent, load
from voice_mcp.tts._espeak_text import Piece, clean, closing_pause_s, pieces
from voice_mcp.tts._espeak_voices import ChosenVoice, VoiceCatalogue, with_dictionary
from voice_mcp.tts._espeak_words import WordTrack
from voice_mcp.types import PcmFormat, SpeechRequest, Voice, WordMark

LOOK_AHEAD_S = 2.0
"""Seconds of unread audio at which a stream stops asking for more."""

_NAME = "espeak"
_NORMAL_WPM = 175
_SLOWEST_WPM = 80
_FASTEST_WPM = 700


@dataclass(frozen=True, slots=True)
class _Installed:
    """The library and who can speak in it."""

    library: EspeakLibrary
    catalogue: VoiceCatalogue


class EspeakEngine:
    """Speaks with espeak-ng.

    Speeds: 1.0 is 175 words a minute and 4.0 is 700, the fastest of them (above 450) by time compression, at the
    pitch of the voice. The library does not go below 80, so all speeds below 0.46 sound like 0.46.

    Args:
        default_voice: Who speaks when a request names no voice; looked up when first needed.
    """

    def __init__(self, default_voice: str = "en-us") -> None:
        self._default_voice = default_voice
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix=_NAME)
        self._installed: _Installed | None = None
        self._streams: WeakSet[EspeakStream] = WeakSet()
        self._closed = False

    @property
    def name(self) -> str:
        return _NAME

    @property
    def model(self) -> str:
        return ""

    @property
    def is_remote(self) -> bool:
        return False

    @property
    def expected_format(self) -> PcmFormat:
        return PcmFormat(rate_hz=22_050, channels=1)

    async def warm_up(self) -> None:
        """Load the library ahead of need.

        Raises:
            EngineMissing: It is not there or cannot be used.
        """
        await self._ready()

    def knows_voice(self, name: str) -> bool | None:
        """Loads the library (some milliseconds) if nobody has yet: only its own list can tell."""
        try:
            if self._installed is None:
                self._installed = _load()
            self._installed.catalogue.choose(name)
        except EngineMissing:
            return None
        except UnknownVoice:
            return False
        return True

    async def open(self, request: SpeechRequest) -> EspeakStream:
        installed = await self._ready()
        voice = installed.catalogue.choose(request.voice or self._default_voice)
        stream = EspeakStream(installed.library, self._worker, request, voice)
        self._streams.add(stream)
        return stream

    async def check(self) -> None:
        await self.voices()

    async def voices(self) -> list[Voice]:
        """Every voice; each also takes a variant, as in ``en-us+f3``, ``de+klatt`` or ``fr-fr+whisper``."""
        return (await self._ready()).catalogue.voices(_NAME)

    async def aclose(self) -> None:
        self._closed = True
        for stream in list(self._streams):
            await stream.aclose()
        # Not waited for: what is still queued sees that its stream is closed and returns at once.
        self._worker.shutdown(wait=False)

    async def _ready(self) -> _Installed:
        if self._closed:
            raise EngineError("The espeak engine has been closed.")
        if self._installed is None:
            installed = await asyncio.get_running_loop().run_in_executor(self._worker, _load)
            if self._closed:
                raise EngineError("The espeak engine was closed while it was loading.")
            self._installed = installed
        return self._installed


class EspeakStream:
    """A segment that espeak-ng is speaking.

    Begins to speak at once. Its own state belongs to the event loop; the worker thread only makes audio and posts it.
    """

    def __init__(
        self, library: EspeakLibrary, worker: ThreadPoolExecutor, request: SpeechRequest, voice: ChosenVoice
    ) -> None:
        self._library = library
        self._worker = worker
        self._request = request
        self._voice = voice
        self._loop = asyncio.get_running_loop()
        self._format = PcmFormat(library.rate_hz, channels=1)

        text = clean(request.text)
        self._text = text
        self._pieces = pieces(text)
        self._making = False
        self._made_all = False
        self._failure: BaseException | None = None
        self._closed = False

        self._blocks: deque[bytes] = deque()
        self._unread_bytes = 0
        self._marks: list[WordMark] = []
        self._news = asyncio.Event()

        # Only the worker thread touches these two, one piece after another.
        self._track = WordTrack(text, library.rate_hz)
        self._frames_made = 0

        self._make_more()

    @property
    def engine(self) -> str:
        return _NAME

    @property
    def model(self) -> str:
        return ""

    @property
    def voice(self) -> str:
        return self._voice.name

    @property
    def encoding(self) -> str:
        return "pcm"

    @property
    def connect_s(self) -> float:
        return 0.0

    @property
    def media_type(self) -> str:
        return ""

    @property
    def pcm_format(self) -> PcmFormat:
        return self._format

    @property
    def word_marks(self) -> Sequence[WordMark]:
        return self._marks

    @property
    def unread_s(self) -> float:
        """Seconds of audio that are made and not yet read."""
        return self._format.seconds(self._format.frames(self._unread_bytes))

    def __aiter__(self) -> EspeakStream:
        return self

    async def __anext__(self) -> bytes:
        while not self._blocks:
            if self._closed or (self._made_all and self._failure is None):
                raise StopAsyncIteration
            if self._failure is not None:
                raise self._translated(self._failure)
            self._news.clear()
            await self._news.wait()
        block = self._blocks.popleft()
        self._unread_bytes -= len(block)
        self._make_more()
        return block

    async def aclose(self) -> None:
        # Nothing is waited for: the worker thread sees the flag at its next block, within a millisecond of work.
        self._closed = True
        self._blocks.clear()
        self._unread_bytes = 0
        self._news.set()

    # --- event loop --------------------------------------------------------------------------------------------

    def _make_more(self) -> None:
        if self._making or self._made_all or self._closed or self.unread_s >= LOOK_AHEAD_S:
            return
        self._making = True
        piece = next(self._pieces)
        self._worker.submit(self._make, piece).add_done_callback(partial(self._post_made, piece))

    def _arrived(self, block: bytes, marks: Sequence[WordMark]) -> None:
        if self._closed:
            return
        self._marks.extend(marks)
        if block:
            self._blocks.append(block)
            self._unread_bytes += len(block)
            self._news.set()

    def _made(self, piece: Piece, failure: BaseException | None) -> None:
        self._making = False
        self._failure = failure
        self._made_all = piece.is_last or failure is not None
        if self._made_all and failure is None and self._marks:
            pause_s = closing_pause_s(self._text, self._request.speed)
            self._arrived(bytes(self._format.frames_in(pause_s) * self._format.frame_bytes), ())
        self._news.set()
        self._make_more()

    def _translated(self, failure: BaseException) -> VoiceError:
        if isinstance(failure, VoiceError):
            return failure
        error = EngineError("espeak-ng failed while it was speaking.")
        error.__cause__ = failure
        return error

    # --- worker thread -----------------------------------------------------------------------------------------

    def _make(self, piece: Piece) -> None:
        if self._closed:
            return
        utterance = Utterance(
            text=piece.text,
            voice=self._voice.identifier,
            words_per_minute=_words_per_minute(self._request.speed),
            end_pause=not (piece.is_last or piece.ends_inside_word),
        )
        self._library.speak(utterance, partial(self._post_block, piece.start_char, self._frames_made))

    def _post_block(self, start_char: int, start_frame: int, block: bytes, words: Sequence[WordEvent]) -> bool:
        if self._closed:
            return False
        self._frames_made += self._format.frames(len(block))
        return self._post(self._arrived, block, self._track.marks(words, start_char, start_frame))

    def _post_made(self, piece: Piece, future: Future[None]) -> None:
        self._post(self._made, piece, future.exception())

    def _post(self, call: Callable[..., None], *args: Any) -> bool:
        try:
            self._loop.call_soon_threadsafe(call, *args)
        except RuntimeError:  # the loop is closed, so nobody can be listening
            self._closed = True
        return not self._closed


def _words_per_minute(speed: float) -> int:
    return min(max(round(_NORMAL_WPM * speed), _SLOWEST_WPM), _FASTEST_WPM)


def _load() -> _Installed:
    # Imported here so that a process that never speaks, and `--help`, do not depend on the wheel.
    try:
        import espeakng_loader
    except ImportError as exc:
        raise EngineMissing("espeak-ng is not installed.", hint="Run `pip install espeakng-loader`.") from exc
    try:
        library_path, data_path = str(espeakng_loader.get_library_path()), str(espeakng_loader.get_data_path())
    except RuntimeError as exc:
        hint = "Run `pip install --force-reinstall espeakng-loader`."
        raise EngineMissing("The data of espeak-ng is not installed.", hint=hint) from exc
    library = load(library_path, data_path)
    return _Installed(library, VoiceCatalogue(with_dictionary(library.voices, Path(data_path)), library.variants))
