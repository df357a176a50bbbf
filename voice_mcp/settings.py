"""The settings: every VOICEMODE_ variable, read once, checked, frozen. The only reader of the environment.

But for ``cli/base_dir.py``: a key cannot wait for all of them.

Where a value comes from, first match wins: the environment, ``.env`` in the working folder,
``~/.voicemode/voicemode.env``, the default. A bad value is an error that names the variable, the value and what is
allowed; a misspelt name is reported with the nearest known one.
"""

from __future__ import annotations

import contextlib
import difflib
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin
from urllib.parse import urlsplit

from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from voice_mcp.errors import SettingsError

PREFIX = "VOICEMODE_"
HOME_FILE = Path("~/.voicemode/voicemode.env")
PROJECT_FILE = Path(".env")
ENVIRONMENT = "environment"
CALLER = "the caller"
OPENAI_HOST = "api.openai.com"
_ALIKE = 0.75
"""How alike two names must be, of 1, for one to be a misspelling of the other; what all of them begin with aside."""


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


def _without_empty(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(value for value in values if value)


def _checked_urls(urls: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    for url in urls:
        if not _is_web_address(url):
            raise ValueError(f"{url!r} is not an http:// or https:// address")
        if "@" in urlsplit(url).netloc:
            keys = PREFIX + str(info.field_name).replace("base_urls", "api_keys").upper()
            raise ValueError(f"an address holds a user name or password; use {keys} instead")
    return tuple(url.rstrip("/") for url in urls)


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that do not match, a port that is none
        return False


CommaList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""A value written as ``a,b,c``."""
Names = Annotated[CommaList, AfterValidator(_without_empty)]
Urls = Annotated[CommaList, AfterValidator(_checked_urls)]
"""Addresses of OpenAI-compatible servers."""
Keys = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_split)]
"""One a server, some of them empty: each has its place."""


class Core(BaseModel):
    """Where things are kept, and what is kept."""

    base_dir: Path = Field(Path("~/.voicemode"), description="The folder everything is kept in.")
    debug: bool = Field(False, description="Log everything to stderr, and keep all audio and transcripts.")
    save_audio: bool = Field(False, description="Keep the audio of every utterance.")
    audio_save_format: Literal["wav", "flac", "mp3", "aac", "opus", "ogg", "pcm"] = Field(
        "wav", description="The format audio is kept in; ogg needs voice-mcp[ogg]."
    )
    save_transcriptions: bool = Field(False, description="Keep the text of every utterance.")
    save_all: bool = Field(False, description="Keep audio and transcripts.")
    event_log_enabled: bool = Field(True, description="Write the event log.")
    event_log_dir: Path | None = Field(None, description="Where the event log goes, if not below the base folder.")
    conversation_log_enabled: bool = Field(True, description="Write what was said and heard.")
    retention_days: int = Field(30, ge=0, le=36_500, description="Delete records older than this; 0 keeps them.")
    offline: bool = Field(False, description="Reach no machine but this one: neither by name nor by address.")
    call_limit_s: float = Field(50.0, gt=0, le=3600, description="Longest a call to converse takes, in seconds.")

    @field_validator("base_dir", "event_log_dir")
    @classmethod
    def _expand(cls, value: Path | None) -> Path | None:
        try:
            return value.expanduser() if value is not None else None
        except RuntimeError as exc:
            raise ValueError(f"{str(value)!r} is below the home folder of nobody; write the whole path") from exc

    @property
    def keeps_audio(self) -> bool:
        """Whether audio is saved."""
        return self.save_audio or self.save_all or self.debug

    @property
    def keeps_transcripts(self) -> bool:
        """Whether texts are saved next to the audio."""
        return self.save_transcriptions or self.save_all or self.debug


class SpeechOut(BaseModel):
    """Who speaks, and how."""

    tts_base_urls: Urls = Field(
        ("http://127.0.0.1:8880/v1", f"https://{OPENAI_HOST}/v1"),
        description="OpenAI-compatible speech endpoints, in the order they are asked.",
    )
    tts_api_keys: Keys = Field((), description="One key per endpoint, in the same order; may be empty (key1,,key3).")
    tts_voices: Names = Field(
        ("af_sky", "alloy"),
        validation_alias=AliasChoices("voicemode_tts_voices", "voicemode_voices"),
        description="Voices in order of preference; the first an engine has is used. Also VOICEMODE_VOICES.",
    )
    tts_models: Names = Field(("tts-1",), description="One model per endpoint; the last one is used for the rest.")
    tts_speed: float = Field(1.0, ge=0.25, le=4.0, description="Speed; 1.0 is normal.")
    tts_audio_format: Literal["pcm", "wav", "mp3", "aac", "flac", "opus"] = Field(
        "pcm", description="What endpoints are asked to send."
    )
    tts_engine: Literal["auto", "openai", "espeak", "kokoro", "pocket", "piper", "csm", "tone"] = Field(
        "auto",
        description="auto: the endpoints, then an installed neural voice, then the embedded one; openai: the endpoints "
        "alone; or one engine's name.",
    )

    tts_cache_mb: float = Field(
        20.0, ge=0, le=10_000, description="Disk space for phrases that are said often, in megabytes; 0 keeps none."
    )


class NeuralVoices(BaseModel):
    """What the neural voices on this machine speak with."""

    kokoro_model: str = Field(
        "kokoro", description="What kokoro speaks with: a model from `voice-mcp models list`, or a file."
    )
    piper_voice: str = Field(
        "en_US-ljspeech-medium",
        description="Who speaks for piper: a voice from `voice-mcp models list` or in the folder of models, or a file.",
    )
    pocket_model: Path | None = Field(
        None,
        description="The folder that pocket speaks from, if not models/pocket/languages/english of the base folder.",
    )
    csm_model: str = Field(
        "sesame/csm-1b", description="What csm speaks with: a folder, or a repository that was downloaded before."
    )
    csm_device: Literal["auto", "cuda", "mps", "cpu"] = Field(
        "auto", description="What csm computes on; auto: the first of them that is there."
    )
    csm_dtype: Literal["auto", "bfloat16", "float16", "float32"] = Field(
        "auto", description="What csm computes in; auto: bfloat16 on cuda, else float32."
    )
    csm_voices: Path | None = Field(
        None, description="A folder of NAME.wav and NAME.txt: how a voice of csm sounds, and what it says there."
    )

    @field_validator("pocket_model", "csm_voices")
    @classmethod
    def _expand_voices(cls, value: Path | None) -> Path | None:
        try:
            return value.expanduser() if value is not None else None
        except RuntimeError as exc:
            raise ValueError(f"{str(value)!r} is below the home folder of nobody; write the whole path") from exc


class Recognition(BaseModel):
    """Who turns speech into words, and what helps."""

    stt_base_urls: Urls = Field(
        ("http://127.0.0.1:2022/v1", f"https://{OPENAI_HOST}/v1"),
        description="OpenAI-compatible transcription endpoints, in the order they are asked.",
    )
    stt_api_keys: Keys = Field((), description="One key per endpoint, in the same order; may be empty (key1,,key3).")
    stt_model: str = Field("whisper-1", description="The model that endpoints are asked to listen with.")
    stt_prompt: str | None = Field(None, description="Names and terms that are likely to be said.")
    stt_language: str | None = Field(
        None,
        validation_alias=AliasChoices("voicemode_stt_language", "voicemode_whisper_language"),
        description="The language that is spoken (en, de); empty or auto lets the engine find out. "
        "Also VOICEMODE_WHISPER_LANGUAGE.",
    )
    stt_engine: Literal["auto", "openai", "whisper", "sphinx", "none"] = Field(
        "auto",
        description="auto: the endpoints, then an installed Whisper; openai: the endpoints alone; whisper: on this "
        "machine; sphinx: a few English words on this machine; none: nobody listens.",
    )

    @field_validator("stt_language")
    @classmethod
    def _check_language(cls, value: str | None) -> str | None:
        if value is None or value.strip().lower() in ("", "auto"):
            return None
        code = re.split("[-_]", value.strip().lower())[0]  # servers take no region
        if not re.fullmatch("[a-z]{2,3}", code):
            raise ValueError(f"{value!r} is neither auto nor the code of a language, as en or de")
        return code


class LocalRecognition(BaseModel):
    """Recognisers on this machine."""

    whisper_model: str = Field(
        "base", description="What Whisper listens with: a model from `voice-mcp models list`, or a file."
    )


class Streaming(BaseModel):
    """How sound flows."""

    streaming_enabled: bool = Field(
        True, description="Play while audio arrives; false collects and decodes each piece of speech whole."
    )
    stream_chunk_size: int = Field(
        4096, ge=2, le=1 << 20, description="Largest piece handed to the audio process at once, in bytes."
    )
    stream_buffer_ms: float = Field(
        150.0, ge=0, le=5000, description="Most that is collected before sound starts, in milliseconds."
    )
    stream_max_buffer: float = Field(
        2.0, ge=0.1, le=60, description="Most that is held ahead of the ear, in seconds; then reading pauses."
    )
    stream_stall_timeout: float = Field(
        3.0, gt=0, le=120, description="Seconds without a byte after which an endpoint counts as hung."
    )


class Devices(BaseModel):
    """Where sound goes."""

    audio_output: Literal["auto", "sounddevice", "miniaudio", "file", "null"] = Field(
        "auto", description="auto: sounddevice, else miniaudio, else a file; null keeps time and makes no sound."
    )
    output_device: str | None = Field(None, description="Name of the output device, or part of it.")
    output_channels: int | None = Field(
        None, ge=1, le=8, description="Channels the device is opened with; empty takes what the speech has."
    )
    pan: float | Literal["auto"] = Field(
        0.0,
        description="Where the voice sits: -1 left, 0 middle, 1 right; auto: each conversation in a place of its own.",
    )
    device_wait_s: float = Field(
        5.0,
        ge=0,
        le=600,
        description="How long a device that is gone or busy is waited for, in seconds.",
    )
    device_wake_ms: float = Field(
        0.0, ge=0, le=5000, description="Silence a device gets to wake up before the first word, in milliseconds."
    )

    @field_validator("pan", mode="before")
    @classmethod
    def _check_pan(cls, value: object) -> object:
        with contextlib.suppress(TypeError, ValueError):
            if value == "auto" or -1 <= float(value) <= 1:  # type: ignore[arg-type]
                return value
        raise ValueError(f"{value!r} is neither auto nor a number from -1 up to 1")


class Listening(BaseModel):
    """How the user's turn is taken."""

    default_listen_duration: float = Field(
        120.0,
        gt=0,
        le=3600,
        description="Longest an answer of the user may last, in seconds, unless a call says otherwise.",
    )
    silence_threshold_ms: float = Field(
        2000.0,
        ge=200,
        le=30_000,
        description="The silence that ends a turn, in milliseconds, of a speaker of whom nothing is known yet.",
    )
    no_speech_timeout_s: float = Field(
        15.0, ge=1, le=3600, description="Seconds after which nobody has spoken, when nobody has by then."
    )
    audio_feedback: bool = Field(True, description="Short chimes: listening, heard, not understood.")


class Microphones(BaseModel):
    """Where sound comes from."""

    audio_input: Literal["auto", "sounddevice", "miniaudio", "file", "null", "none"] = Field(
        "auto", description="auto: sounddevice, else miniaudio; file listens to a file; none never listens."
    )
    input_device: str | None = Field(
        None, description="Name of the microphone, or part of it; with VOICEMODE_AUDIO_INPUT=file a WAV file's path."
    )


class TurnTaking(BaseModel):
    """When a turn is over, and what words ask of the server itself."""

    turn_model: Literal["auto", "none", "smart_turn"] = Field(
        "auto", description="Judges by the voice whether a turn is over; auto: Smart Turn, where it is installed."
    )
    turn_eagerness: Literal["careful", "balanced", "quick"] = Field(
        "careful", description="How soon a turn is over that sounds complete to the turn model."
    )
    end_word: str = Field("", description="A word that ends a turn at once and is no part of the answer.")
    wait_phrases: CommaList = Field(
        (
            *("wait", "wait a minute", "wait a second", "wait a moment", "hold on", "hang on", "one moment"),
            *("one second", "just a moment", "just a second", "give me a moment", "give me a minute"),
            *("give me a second", "let me think"),
        ),
        description="Phrases at the end of a turn that ask for time.",
    )
    wait_s: float = Field(30.0, ge=1, le=600, description="Silence granted to who asks for time, in seconds.")
    repeat_phrases: CommaList = Field(
        (
            *("repeat that", "say that again", "say it again", "what did you say", "what was that", "come again"),
            *("pardon", "pardon me", "I didn't catch that", "I didn't hear that", "I didn't get that"),
        ),
        description="Phrases that are a whole turn and ask to hear again what was said last.",
    )

    @field_validator("wait_phrases", "repeat_phrases", mode="before")
    @classmethod
    def _split_phrases(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(phrase for part in value.split(",") if (phrase := part.strip()))


class KeyBindings(BaseModel):
    """What keys can do from outside."""

    control_enabled: bool = Field(True, description="Listen to `voice-mcp control`, `hush` and `status`.")
    pause_limit_s: float = Field(
        600.0, gt=0, le=86_400, description="Longest a message can be paused, in seconds; then it ends as interrupted."
    )


class Interruption(BaseModel):
    """Whether the agent can be interrupted."""

    barge_in: Literal["off", "headphones", "on"] = Field(
        "off",
        description="Listen while the agent speaks; on open speakers that needs voice-mcp[aec].",
    )


class SharedRoom(BaseModel):
    """How several agents, and other programs, share one pair of loudspeakers."""

    whenever_s: float = Field(
        30.0, gt=0, le=3600, description="How long a message waits that may be said whenever, in seconds."
    )
    agent_voices: CommaList = Field((), description="Voices for agents that ask for none, one for each.")
    ducking: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="The share of their volume that other programs keep while an agent speaks; 0 or off: all of it.",
    )

    @field_validator("agent_voices", mode="before")
    @classmethod
    def _split_voices(cls, value: object) -> object:
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value

    @field_validator("ducking", mode="before")
    @classmethod
    def _switch_off(cls, value: object) -> object:
        return 0.0 if value == "off" else value


class Privacy(BaseModel):
    """What leaves this machine."""

    allow_insecure_keys: bool = Field(
        False, description="Send keys over plain HTTP to other machines, where everybody on the way can read them."
    )
    watermark_key: SecretStr | None = Field(
        None, description="Mark what is spoken as synthetic, with this key; `voice-mcp watermark` finds the mark."
    )


class SpeechService(BaseModel):
    """The speech service, for other programs."""

    speech_server_token: SecretStr | None = Field(
        None, description="What clients of `voice-mcp speech-server` send as their API key; other machines need one."
    )


class Settings(
    Core,
    SpeechOut,
    NeuralVoices,
    Streaming,
    Devices,
    SharedRoom,
    Microphones,
    Recognition,
    LocalRecognition,
    Listening,
    TurnTaking,
    Interruption,
    KeyBindings,
    Privacy,
    SpeechService,
    BaseSettings,
):
    """Everything that can be set; each part of the house takes only its own section."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True, populate_by_name=True
    )
    openai_api_key: SecretStr | None = Field(
        None, validation_alias="openai_api_key", description=f"Key for {OPENAI_HOST}, and for no other host."
    )


@dataclass(frozen=True, slots=True)
class Source:
    """A place settings come from."""

    label: str
    """``environment``, or the file."""
    names: frozenset[str]
    """The variables it gives a value, in capitals."""


@dataclass(frozen=True, slots=True)
class Origin:
    """One setting as a person sees it."""

    name: str
    """The variable."""
    value: str
    """Its value as text, secrets masked."""
    source: str
    """``environment``, the file it came from, or ``default``."""
    description: str
    problem: str | None = None
    """Why the value cannot be used, in a sentence; the default holds instead."""


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """The settings, where each came from, and what looked wrong."""

    settings: Settings
    """To be used: without keys that were not meant for these endpoints."""
    origins: tuple[Origin, ...]
    """As they were given."""
    warnings: tuple[str, ...]
    problems: tuple[SettingsError, ...] = ()
    """What is wrong with values that cannot be used; only where somebody wants to see the others all the same."""


def load_settings(
    project_file: Path = PROJECT_FILE,
    home_file: Path = HOME_FILE,
    *,
    tolerant: bool = False,
    given: Mapping[str, Any] | None = None,
) -> LoadedSettings:
    """Read every source once.

    Args:
        project_file: The project's.
        home_file: The user's.
        tolerant: Take the default in place of a value that cannot be used, and tell of it in ``problems``.
        given: Values by the names of the fields, which win against all sources.

    Raises:
        SettingsError: A file cannot be read, or a value cannot be used; the message names the variable, the value,
            the file it stands in, and what is allowed.
    """
    project = str(project_file)
    files = [file for file in (home_file.expanduser(), project_file) if file.is_file()]
    with _silent_dotenv():
        sources = [Source(CALLER, frozenset(PREFIX + name.upper() for name in given or {}))]
        sources += [Source(ENVIRONMENT, _names_in(os.environ))]
        sources += [Source(str(file), _names_in(_read(file))) for file in reversed(files)]
        settings, bad = _build(files, sources, given or {})
    if bad and not tolerant:
        raise next(iter(bad.values())).error
    origins = tuple(_origins(settings, sources, bad))
    warnings = [sentence for file in files for sentence in _odd_lines(file)]
    warnings += _misspelt(sources)
    places = {origin.name: origin.source for origin in origins}
    for part in ("TTS", "STT"):
        keys = f"{part.lower()}_api_keys"
        if getattr(settings, keys) and (mismatch := _mismatch(places, project, part)) is not None:
            settings = settings.model_copy(update={keys: ()})
            warnings.append(mismatch)
        warnings += _keys_without_urls(settings, places, part)
    return LoadedSettings(settings, origins, tuple(warnings), tuple(each.error for each in bad.values()))


def project_path() -> str:
    """The project the agent works in, as records name it."""
    return os.environ.get("CLAUDE_PROJECT_DIR") or str(Path.cwd())


def setting_names(field_name: str, field: FieldInfo) -> tuple[str, ...]:
    """The variables that set a field, the documented one first."""
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        return tuple(str(choice).upper() for choice in alias.choices)
    if isinstance(alias, str):
        return (alias.upper(),)
    return (PREFIX + field_name.upper(),)


@dataclass(frozen=True, slots=True)
class _Bad:
    """A value that cannot be used."""

    value: str
    """As it was given; empty where it may hold a password."""
    error: SettingsError


def _build(
    files: Sequence[Path], sources: Sequence[Source], wanted: Mapping[str, Any]
) -> tuple[Settings, dict[str, _Bad]]:
    """The settings, with defaults in place of what cannot be used; and that, by field."""
    given: dict[str, Any] = {"_env_file": tuple(files), "_env_file_encoding": "utf-8", **wanted}
    try:
        return Settings(**given), {}
    except ValidationError as exc:
        details = [(_field_of(each["loc"][0]), each) for each in exc.errors(include_url=False)]
    bad: dict[str, _Bad] = {}
    for key, each in details:
        bad.setdefault(key, _bad(key, each, sources))
    instead = {key: Settings.model_fields[key].default for key in bad}
    if "offline" in instead:
        instead["offline"] = True  # whoever wrote that wants it
    return Settings(**{**given, **instead}), bad


@contextlib.contextmanager
def _silent_dotenv() -> Iterator[None]:
    """The library logs lines it cannot read: for each time it reads them, and without the file's name."""
    logger = logging.getLogger("dotenv.main")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _odd_lines(file: Path) -> Iterator[str]:
    """Lines that set nothing, and look as if they should. What is in them is not told: it may be a key."""
    with file.open(encoding="utf-8") as stream:
        for binding in parse_stream(stream):
            unset = binding.value is None and (binding.key or "").upper().startswith(PREFIX)
            if binding.error or unset:
                yield f"{file}, line {binding.original.line}, is not a setting: write NAME=value, or # before a remark."


def _read(file: Path) -> dict[str, str | None]:
    try:
        return dotenv_values(file, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError(
            f"{file} cannot be read: {exc}.", hint="Make it a readable UTF-8 text file, or move it away."
        ) from exc


def _names_in(values: Mapping[str, str | None]) -> frozenset[str]:
    return frozenset(name.upper() for name, value in values.items() if value)


def _origins(settings: Settings, sources: Sequence[Source], bad: Mapping[str, _Bad]) -> Iterator[Origin]:
    for field_name, field in Settings.model_fields.items():
        value, problem = _as_text(getattr(settings, field_name)), None
        if field_name in bad:
            value, problem = bad[field_name].value, bad[field_name].error.message
        name, place = setting_names(field_name, field)[0], _place_of(field_name, sources)
        yield Origin(name, value, place, field.description or "", problem)


def _place_of(field_name: str, sources: Sequence[Source]) -> str:
    """Where a field's value comes from."""
    names = setting_names(field_name, Settings.model_fields[field_name])
    return next((source.label for source in sources if not source.names.isdisjoint(names)), "default")


def _keys_without_urls(settings: Settings, places: Mapping[str, str], part: str) -> Iterator[str]:
    """Keys that no endpoint gets, in a sentence."""
    keys, urls = (getattr(settings, f"{part.lower()}_{what}") for what in ("api_keys", "base_urls"))
    if any(key.get_secret_value() for key in keys[len(urls) :]):
        name = f"{PREFIX}{part}_API_KEYS"
        yield (
            f"{name} ({places[name]}) has {len(keys)} keys, but {PREFIX}{part}_BASE_URLS has {len(urls)} "
            f"address{'es' if len(urls) != 1 else ''}: the keys beyond go to nobody."
        )


def _mismatch(places: Mapping[str, str], project: str, part: str) -> str | None:
    """Why the keys must not be paired with the URLs, in a sentence; None when they may be.

    Both are paired by position. A project that somebody else wrote may name any URL, and must not thereby get the keys
    that the user keeps elsewhere; nor do a project's keys belong to URLs it has not seen.

    Args:
        places: Where each variable came from.
        project: The label of the project's file.
        part: Whose they are: ``TTS`` or ``STT``.
    """
    names = f"{PREFIX}{part}_API_KEYS", f"{PREFIX}{part}_BASE_URLS"
    keys, urls = (places[name] for name in names)
    if urls in (keys, "default") or project not in (urls, keys):
        return None
    return (
        f"{names[0]} ({keys}) is not sent to {names[1]} ({urls}): a project's endpoints get only "
        "keys from the same file; set both in one place."
    )


def _as_text(value: object) -> str:
    if isinstance(value, SecretStr):
        return "(set)" if value.get_secret_value() else ""
    if isinstance(value, tuple):
        return ",".join(_as_text(part) for part in value)
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _misspelt(sources: Sequence[Source]) -> Iterator[str]:
    given = {name: source.label for source in reversed(sources) for name in source.names}
    known = [name for field_name, field in Settings.model_fields.items() for name in setting_names(field_name, field)]
    stems = {name.removeprefix(PREFIX): name for name in known}
    for name, source in sorted(given.items()):
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name.removeprefix(PREFIX), stems, n=1, cutoff=_ALIKE)
            advice = f"did you mean {stems[near[0]]}?" if near else "`voice-mcp settings` lists the ones there are."
            yield f"{name} ({source}) is not a setting; {advice}"


def _field_of(name: object) -> str:
    """The field that is set by a variable, or is called like that."""
    wanted = str(name).upper()
    fields = Settings.model_fields.items()
    return next(key for key, field in fields if wanted in (key.upper(), *setting_names(key, field)))


def _bad(field_name: str, details: Any, sources: Sequence[Source]) -> _Bad:
    """What pydantic found wrong with a field, in words."""
    field, place = Settings.model_fields[field_name], _place_of(field_name, sources)
    name, where = setting_names(field_name, field)[0], "" if place == ENVIRONMENT else f" in {place}"
    given = str(details["input"])
    if details["type"] == "value_error":
        message = f"{name}{where}: {details['ctx']['error']}."
    else:
        message = f"{name} is {given!r}{where}, but it must be {_allowed(field)}."
    return _Bad("" if "@" in given else given, SettingsError(message))


def _allowed(field: FieldInfo) -> str:
    """What a field takes, for people."""
    if get_origin(field.annotation) is Literal:
        return "one of " + ", ".join(get_args(field.annotation))
    kinds: dict[object, str] = {bool: "true or false", int: "a whole number", float: "a number"}
    inner = get_args(field.annotation)  # of ``int | None``, say
    kind = kinds.get(field.annotation, kinds.get(inner[0], "text") if inner else "text")
    limits = {
        f"{word} {limit}": None
        for constraint in field.metadata
        for attribute, word in (("gt", "above"), ("ge", "from"), ("lt", "below"), ("le", "up to"))
        if (limit := getattr(constraint, attribute, None)) is not None
    }
    return " ".join((kind, *limits))
