"""espeak-ng through ctypes: loaded once in a process, one synthesis at a time.

The C library keeps its voice, its buffers and its callback in C globals: the process has one, whatever Python does. So
this file has module-level state, and no other needs it: a lock that hands the library round, and the cache that keeps
it from being started twice. Whoever holds the lock waits for nobody: a listener takes audio or refuses it, so a slow
reader of one stream cannot hold up another.

Source: the public header ``espeak-ng/speak_lib.h``, API revision 12.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from voice_mcp.errors import EngineError, EngineMissing
from voice_mcp.tts._espeak_voices import InstalledVoice
from voice_mcp.types import BYTES_PER_SAMPLE

_OUTPUT_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_OK = 0
_POSITION_IN_CHARACTERS = 1
_RATE = 1
_TEXT_IS_UTF8 = 1
_END_PAUSE = 0x1000
_EVENT_LIST_ENDS = 0
_EVENT_WORD = 1
_GO_ON = 0
_ABORT = 1

_LONGEST_DATA_PATH_BYTES = 159
"""espeak-ng 1.52 cuts longer paths without a word, and then finds nothing (measured)."""

_turn = threading.Lock()


class WordEvent(NamedTuple):
    """Where a word begins, counted from the start of the text that was handed over."""

    start_char: int
    length_chars: int
    frame: int


@dataclass(frozen=True, slots=True)
class Utterance:
    """What the library says in one go."""

    text: str
    """Holds no NUL, no lone surrogate and no control character that espeak-ng would obey."""
    voice: str
    """An identifier of an installed voice, with ``+variant`` or without."""
    words_per_minute: int
    end_pause: bool
    """Whether the pause that the closing punctuation asks for is spoken too."""


AudioListener = Callable[[bytes, list[WordEvent]], bool]
"""Takes the next samples (int16, mono, possibly none) and the words that begin in them; False ends the synthesis.

Called from the thread that called ``speak``, about every 60 ms of audio; must not wait.
"""


class _EventId(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position_ms", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


class _Voice(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_void_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("xx1", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Event))


class EspeakLibrary:
    """The started library. Get it from ``load``; use it from any thread."""

    def __init__(self, clib: ctypes.CDLL, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self._clib = clib
        self._listener: AudioListener | None = None
        self._failure: BaseException | None = None
        # The library keeps the bare address: the object has to live as long as the library does.
        self._callback = _Callback(self._on_audio)
        clib.espeak_SetSynthCallback(self._callback)
        self.voices = tuple(_list_voices(clib, None))
        self.variants = tuple(_list_voices(clib, "variant"))

    def speak(self, utterance: Utterance, listener: AudioListener) -> None:
        """Say something; return when it has been made or ``listener`` has refused it.

        Thread: blocks the calling one for about a thousandth of the audio's duration.

        Raises:
            EngineError: The library refused.
        """
        with _turn:
            self._prepare(utterance)
            self._listener, self._failure = listener, None
            try:
                self._synthesise(utterance)
            finally:
                self._listener = None
            if self._failure is not None:
                raise self._failure

    def _prepare(self, utterance: Utterance) -> None:
        if self._clib.espeak_SetVoiceByName(utterance.voice.encode()) != _OK:
            raise EngineError(f"espeak-ng could not load its voice {utterance.voice!r}.")
        self._clib.espeak_SetParameter(_RATE, utterance.words_per_minute, 0)

    def _synthesise(self, utterance: Utterance) -> None:
        text = utterance.text.encode()
        flags = _TEXT_IS_UTF8 | (_END_PAUSE if utterance.end_pause else 0)
        size = len(text) + 1  # ctypes appends the NUL
        status = self._clib.espeak_Synth(text, size, 0, _POSITION_IN_CHARACTERS, 0, flags, None, None)
        if status != _OK:
            raise EngineError(f"espeak-ng refused to speak (status {status}).")

    def _on_audio(self, samples: int | None, count: int, events: Any) -> int:
        if samples is None or self._listener is None:
            return _GO_ON
        try:
            wanted = self._listener(ctypes.string_at(samples, count * BYTES_PER_SAMPLE), list(_words(events)))
        except BaseException as exc:  # noqa: BLE001 - cannot pass through C frames; speak() raises it behind them
            self._failure = exc
            return _ABORT
        return _GO_ON if wanted else _ABORT


def load(library_path: str, data_path: str) -> EspeakLibrary:
    """Load and start the library; the second call gets what the first one started.

    Thread: blocks for some milliseconds the first time.

    Raises:
        EngineMissing: The library or its data is not there or cannot be used.
    """
    with _turn:
        return _start(library_path, data_path)


@cache
def _start(library_path: str, data_path: str) -> EspeakLibrary:
    # A missing file makes the library write to stderr and go on with what it was compiled with: look first.
    if not os.path.isfile(os.path.join(data_path, "phontab")):
        raise EngineMissing("The data of espeak-ng is not installed.", hint=_REINSTALL)
    try:
        clib = ctypes.CDLL(library_path)
    except OSError as exc:
        raise EngineMissing(f"espeak-ng could not be loaded: {exc}.", hint=_REINSTALL) from exc
    _declare(clib)
    # The buffer length is left to the library: 1.52 gives blocks of 60 ms whatever is asked (measured).
    rate_hz = clib.espeak_Initialize(_OUTPUT_SYNCHRONOUS, 0, _c_path(data_path), _DONT_EXIT)
    if rate_hz <= 0:
        raise EngineMissing("espeak-ng could not read its data.", hint=_REINSTALL)
    return EspeakLibrary(clib, rate_hz)


_REINSTALL = "Run `pip install --force-reinstall espeakng-loader`."
_MOVE = "Install voice-mcp in a folder with a shorter, plainer path."


def _c_path(data_path: str) -> bytes:
    """The path as the C library can open it."""
    try:
        encoded = _encode_path(data_path)
        if len(encoded) > _LONGEST_DATA_PATH_BYTES:
            encoded = _encode_path(_short_link_to(data_path))
    except (OSError, UnicodeEncodeError) as exc:
        raise EngineMissing(f"espeak-ng cannot reach its data in {data_path}.", hint=_MOVE) from exc
    return encoded


def _encode_path(path: str) -> bytes:
    # Windows: the library opens files through the ANSI calls, while Python's file system encoding there is UTF-8.
    return path.encode("mbcs") if sys.platform == "win32" else os.fsencode(path)


def _short_link_to(folder: str) -> str:
    import tempfile  # only for the few whose path is too long

    # Voices and dictionaries are read when first spoken, so the link stays as long as the process.
    home = tempfile.TemporaryDirectory(prefix="voice-mcp-")
    atexit.register(home.cleanup)
    link = os.path.join(home.name, "espeak-ng-data")
    os.symlink(folder, link, target_is_directory=True)
    return link


def _declare(clib: ctypes.CDLL) -> None:
    """Tell ctypes what the C header says; unsigned and pointer arguments are cut without it."""
    char_p, int_, uint = ctypes.c_char_p, ctypes.c_int, ctypes.c_uint
    clib.espeak_Initialize.argtypes = (int_, int_, char_p, int_)
    clib.espeak_SetSynthCallback.argtypes = (_Callback,)
    clib.espeak_SetSynthCallback.restype = None
    clib.espeak_SetVoiceByName.argtypes = (char_p,)
    clib.espeak_SetParameter.argtypes = (int_, int_, int_)
    clib.espeak_ListVoices.argtypes = (ctypes.POINTER(_Voice),)
    clib.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
    clib.espeak_Synth.argtypes = (
        char_p, ctypes.c_size_t, uint, int_, uint, uint, ctypes.POINTER(uint), ctypes.c_void_p,
    )  # fmt: skip


def _words(events: Any) -> Iterator[WordEvent]:
    index = 0
    while events[index].type != _EVENT_LIST_ENDS:
        event = events[index]
        if event.type == _EVENT_WORD:
            yield WordEvent(event.text_position - 1, event.length, event.sample)  # the library counts from 1
        index += 1


def _list_voices(clib: ctypes.CDLL, language: str | None) -> Iterator[InstalledVoice]:
    wanted = None
    if language is not None:
        # A language list is a priority byte and a NUL-terminated name for each language, and a NUL to end it.
        spec = ctypes.create_string_buffer(language.encode() + b"\0\0")
        wanted = ctypes.byref(_Voice(languages=ctypes.cast(spec, ctypes.c_void_p).value))
    listed = clib.espeak_ListVoices(wanted)
    index = 0
    while listed[index]:
        voice = listed[index].contents
        yield InstalledVoice(
            identifier=voice.identifier.decode(),
            title=voice.name.decode().strip(),
            languages=tuple(_languages(voice.languages)),
        )
        index += 1


def _languages(address: int | None) -> Iterator[tuple[int, str]]:
    while address and (priority := ctypes.string_at(address, 1)[0]):
        name = ctypes.string_at(address + 1)
        yield priority, name.decode()
        address += len(name) + 2
