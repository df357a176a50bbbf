"""The composition root: the only file that knows every room. Builds the house from the settings, once."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from voice_mcp.clock import Clock, SystemClock
from voice_mcp.codecs.conversion import Converter
from voice_mcp.control.address import RUN_FOLDER
from voice_mcp.control.door import Door
from voice_mcp.core.conversation import new_conversation_id
from voice_mcp.core.failover import Roster
from voice_mcp.core.outlet import OutputChoice
from voice_mcp.core.phrases import Phrases
from voice_mcp.core.recovery import Recovery
from voice_mcp.core.remote_control import RemoteControl
from voice_mcp.core.script import Script
from voice_mcp.core.session import Session
from voice_mcp.core.speaking import Speaker
from voice_mcp.core.utterance import Archive
from voice_mcp.errors import CodecMissing, SettingsError, StorageError, VoiceError
from voice_mcp.events import Event, EventSink
from voice_mcp.openai_client import Endpoint, load_sdk
from voice_mcp.playback.link import DEVICE_BACKENDS, AudioLink, LinkConfig
from voice_mcp.playback.player import BufferPolicy
from voice_mcp.protocols import SpeechEngine
from voice_mcp.settings import Settings, project_path
from voice_mcp.stdio import output_diverted
from voice_mcp.storage.conversation_log import ConversationLog
from voice_mcp.storage.event_log import EventLog
from voice_mcp.storage.journal import Journal
from voice_mcp.storage.paths import DataRoot
from voice_mcp.storage.phrase_store import PhraseStore
from voice_mcp.storage.recordings import Recordings
from voice_mcp.storage.retention import remove_old
from voice_mcp.tts.espeak import EspeakEngine
from voice_mcp.tts.openai import OpenAIEngine
from voice_mcp.tts.tone import ToneEngine

logger = logging.getLogger(__name__)

FIRST_PREBUFFER_S = 0.04
"""What is collected before the first sound while nothing is known to be wrong with the network: four device periods."""
CHATTY_LIBRARIES = ("asyncio", "filelock", "markdown_it", "matplotlib", "PIL")
GOODBYE_S = 0.4
"""How long the end of the server may take to silence what speaks and to complete its record."""
WARM_UP_TEXT = "# Warm\n\n- *up* `it_all`, https://example.org\n\n|a|b|\n|-|-|\n|1|2|\n\n```sh\nx\n```\n\nOne. Two."
"""A little of everything, so that the Markdown parser, its patterns and the sentence splitter are loaded."""
DOOR_S = 0.1
"""How long it may wait for a door that is just being opened."""
JOURNAL_S = 0.5
"""How long it may take to finish writing."""


class App:
    """A running house.

    Args:
        settings: Read and checked.
        clock: The machine's, unless told otherwise.
        events: One more listener for events, besides the log.

    Raises:
        SettingsError: The settings contradict each other.
    """

    def __init__(self, settings: Settings, *, clock: Clock | None = None, events: EventSink | None = None) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self.root = DataRoot(settings.base_dir)
        self.journal = Journal()
        self.conversations = ConversationLog(self.root.exchange_files(), self.journal)
        self.archive = _archive(self, events)
        self.engines = tuple(build_engines(settings))
        self.link = AudioLink(link_config(settings), make_converter=Converter)
        output = OutputChoice(
            device=settings.audio_output != "file",
            file=settings.audio_output == "auto",
            streaming=settings.streaming_enabled,
            prebuffer_most_s=settings.stream_buffer_ms / 1000,
            pan=settings.pan,
        )
        roster = Roster(self.engines, self.clock)
        self.recovery = Recovery(roster)
        self._phrase_store = PhraseStore(self.root, round(settings.tts_cache_mb * 1_000_000))
        phrases = Phrases(self._phrase_store, self.journal, _recipe) if settings.tts_cache_mb else None
        self.speaker = Speaker(roster, self.link, self.archive, output, phrases, settings.pause_limit_s)
        self.session = Session(
            clock=self.clock,
            speaker=self.speaker,
            archive=self.archive,
            conversations=self.conversations,
            conversation_id=new_conversation_id(self.clock.utc()),
            default_speed=settings.tts_speed,
            preferred_voices=settings.tts_voices,
            call_limit_s=settings.call_limit_s,
            warm_up=self.warm_up,
        )
        self.controls = RemoteControl(self.session)
        self.door = Door(self.root.path / RUN_FOLDER, self.controls)
        self._warm: asyncio.Task[None] | None = None
        self._opening: asyncio.Task[None] | None = None

    @property
    def audio_process_id(self) -> int | None:
        """The audio process, while it runs."""
        return self.link.pid

    def warm_up(self) -> None:
        """Load in the background what the first words will need. Returns at once; a second call does nothing."""
        if self._warm is None:
            self._warm = asyncio.create_task(self._load(), name="warm-up")
            if self.settings.control_enabled:
                self._opening = asyncio.create_task(self._open_door(), name="door-opening")

    async def aclose(self) -> None:
        """Silence, complete the records, let everything go."""
        if self._warm is not None:
            self._warm.cancel()
        await self.speaker.aclose(GOODBYE_S)
        await self._close_door()
        await self.recovery.aclose()
        # The records do not wait for an audio process that may hang.
        await asyncio.gather(self.link.aclose(), asyncio.to_thread(self.journal.close, JOURNAL_S))
        for engine in self.engines:
            await engine.aclose()

    def kill_audio(self) -> None:
        """End the audio process, whatever it is doing. Returns at once."""
        self.link.kill()

    async def _open_door(self) -> None:
        try:
            await asyncio.to_thread(self.root.make, self.root.path / RUN_FOLDER)
        except StorageError as exc:
            logger.warning("Key bindings do not reach this server: %s", exc.message)
            return
        await self.door.open()

    async def _close_door(self) -> None:
        if self._opening is not None:
            await asyncio.wait([self._opening], timeout=DOOR_S)  # or a door would be opened after the end
        await self.door.aclose()

    async def _load(self) -> None:
        try:
            await self.link.start()
            await asyncio.to_thread(Script.of, WARM_UP_TEXT)
            self.journal.submit(self._remove_old_records, "The clean-up")
            for engine in self.engines:
                if isinstance(engine, EspeakEngine):
                    await engine.warm_up()
            if any(isinstance(engine, OpenAIEngine) for engine in self.engines):
                await asyncio.to_thread(load_sdk)
                for engine in self.engines:
                    if isinstance(engine, OpenAIEngine):
                        engine.prepare()
        except VoiceError as exc:
            logger.warning("%s", exc.advice)  # whoever speaks gets the same error, with a chance to act on it

    def _remove_old_records(self) -> None:
        settings = self.settings
        events, now = self.root.event_files(settings.event_log_dir), self.clock.utc()
        try:
            remove_old(self.root, events, settings.retention_days, now)
            self._phrase_store.trim()  # the limit may be a lower one than last time
        except (OSError, StorageError) as exc:
            # Not the journal's to report: nothing that was said is lost.
            logger.warning("Old records could not all be removed: %s", exc)


def log_everything() -> None:
    """Log all there is, but for libraries that tell of every step they take: they would drown the rest."""
    logging.getLogger().setLevel(logging.DEBUG)
    for library in CHATTY_LIBRARIES:
        logging.getLogger(library).setLevel(logging.WARNING)


async def serve(settings: Settings) -> None:
    """Be the MCP server on standard input and output until it closes or a signal comes."""
    with output_diverted():
        from voice_mcp.server import serve_stdio  # 450 ms of mcp, which the command line does without

    await serve_stdio(App(settings))


def build_engines(settings: Settings) -> list[SpeechEngine]:
    """The engines the settings allow, in the order they are asked.

    Raises:
        SettingsError: None is left.
    """
    if settings.tts_engine == "tone":
        return [ToneEngine()]
    engines: list[SpeechEngine] = []
    if settings.tts_engine in ("auto", "openai"):
        engines += [
            OpenAIEngine(endpoint, audio_format=settings.tts_audio_format, stall_s=settings.stream_stall_timeout)
            for endpoint in usable_endpoints(settings)
        ]
    if settings.tts_engine in ("auto", "espeak"):
        engines.append(EspeakEngine())
    if not engines:
        raise SettingsError(
            "VOICEMODE_TTS_ENGINE=openai leaves nothing to speak with: no endpoint may be asked.",
            hint="Set a key for api.openai.com, add an endpoint to VOICEMODE_TTS_BASE_URLS, or allow the embedded "
            "voice with VOICEMODE_TTS_ENGINE=auto.",
        )
    return engines


def all_endpoints(settings: Settings) -> list[Endpoint]:
    """Every endpoint with its own key and model.

    Raises:
        SettingsError: A key would be readable on its way.
    """
    keys = [key.get_secret_value() for key in settings.tts_api_keys]
    models = settings.tts_models or ("tts-1",)
    endpoints = []
    for index, base_url in enumerate(settings.tts_base_urls):
        endpoint = Endpoint(base_url, model=models[min(index, len(models) - 1)])
        key = keys[index] if index < len(keys) else ""
        if not key and endpoint.is_openai and settings.openai_api_key is not None:
            key = settings.openai_api_key.get_secret_value()
        if key and not endpoint.is_secret:
            raise SettingsError(
                f"VOICEMODE_TTS_API_KEYS has a key for {base_url}, where everybody on the way could read it.",
                hint="Use https:// in VOICEMODE_TTS_BASE_URLS, or leave the key of that endpoint empty.",
            )
        endpoints.append(Endpoint(base_url, key or None, endpoint.model))
    return endpoints


def usable_endpoints(settings: Settings) -> list[Endpoint]:
    """The endpoints worth asking: OpenAI's only with a key, and none beyond this machine when offline.

    Raises:
        SettingsError: A key would be readable on its way.
    """
    return [
        endpoint
        for endpoint in all_endpoints(settings)
        if (not endpoint.is_openai or endpoint.api_key is not None) and (endpoint.is_local or not settings.offline)
    ]


def link_config(settings: Settings) -> LinkConfig:
    """How the audio process is to play."""
    choice = settings.audio_output
    most_s = settings.stream_buffer_ms / 1000
    return LinkConfig(
        backends=DEVICE_BACKENDS if choice == "auto" else (choice,),
        device=settings.output_device,
        channels=settings.output_channels,
        policy=BufferPolicy(
            start_s=min(FIRST_PREBUFFER_S, most_s), rebuffer_s=2 * most_s, most_s=settings.stream_max_buffer
        ),
        ahead_s=settings.stream_max_buffer,
        block_bytes=settings.stream_chunk_size,
        wake_s=settings.device_wake_ms / 1000,
        device_wait_s=settings.device_wait_s,
    )


def check_save_format(audio_format: str) -> None:
    """See whether recordings can be kept in this format: speech that goes into files would otherwise be lost.

    Raises:
        SettingsError: The library it needs is not installed.
    """
    from voice_mcp.codecs.recording_file import check_recording_format

    try:
        check_recording_format(audio_format)
    except CodecMissing as exc:
        raise SettingsError(
            f"VOICEMODE_AUDIO_SAVE_FORMAT={audio_format} cannot be written: {exc.message}",
            hint=f"{exc.hint.removesuffix('.')}, or choose another format.",
        ) from exc


def _archive(app: App, more: EventSink | None) -> Archive:
    settings = app.settings
    sinks: list[EventSink] = [more] if more is not None else []
    if settings.event_log_enabled:
        sinks.append(EventLog(app.root.event_files(settings.event_log_dir), app.journal))
    return Archive(
        clock=app.clock,
        events=partial(_tell_all, tuple(sinks)),
        journal=app.journal,
        root=app.root,
        recordings=_recordings(app),
        conversations=app.conversations if settings.conversation_log_enabled else None,
        keeps_audio=settings.keeps_audio,
        keeps_transcripts=settings.keeps_transcripts,
        project_path=project_path(),
    )


def _recordings(app: App) -> Recordings:
    audio_format = app.settings.audio_save_format
    if audio_format == "wav":
        return Recordings(app.root, app.journal)
    check_save_format(audio_format)
    from voice_mcp.codecs.recording_file import RecordingFile  # every encoder, which nobody else needs at the start

    return Recordings(app.root, app.journal, audio_format, partial(RecordingFile, audio_format=audio_format))


def _recipe(engine: SpeechEngine) -> str | None:
    """Phrases are kept of servers: an engine on this machine sounds as soon as a file does."""
    return engine.recipe if isinstance(engine, OpenAIEngine) else None


def _tell_all(sinks: tuple[EventSink, ...], event: Event) -> None:
    for sink in sinks:
        sink(event)
