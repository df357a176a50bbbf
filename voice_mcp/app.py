"""The composition root: puts the parts of the house together, once; warms it up, and closes it."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from pathlib import Path
from typing import Any

from voice_mcp.clock import Clock, SystemClock
from voice_mcp.codecs.conversion import Converter
from voice_mcp.control.address import RUN_FOLDER
from voice_mcp.control.door import Door
from voice_mcp.core.agent import Agent
from voice_mcp.core.barge_in import BargeIn, barge_in
from voice_mcp.core.conversation import new_conversation_id
from voice_mcp.core.dialogue import Dialogue
from voice_mcp.core.failover import Roster
from voice_mcp.core.floor import Floor
from voice_mcp.core.listening import Ears
from voice_mcp.core.outlet import OutputChoice
from voice_mcp.core.pacing import SpeechRoster
from voice_mcp.core.phrases import Phrases
from voice_mcp.core.played_sound import PlayedSound
from voice_mcp.core.privacy import NEWEST, PrivacySettings, privacy_record
from voice_mcp.core.recovery import Recovery
from voice_mcp.core.remote_control import RemoteControl
from voice_mcp.core.script import Script
from voice_mcp.core.seating import SEATS
from voice_mcp.core.secret_words import load_detector
from voice_mcp.core.session import Session
from voice_mcp.core.signals import Signals
from voice_mcp.core.speaking import Speaker
from voice_mcp.core.transcribing import NOBODY_HINT, Transcriber
from voice_mcp.core.utterance import Archive
from voice_mcp.ducking.link import DuckingLink
from voice_mcp.echo.webrtc import WebRtcCanceller
from voice_mcp.errors import StorageError, VoiceError
from voice_mcp.events import Event, EventSink
from voice_mcp.openai_client import load_sdk
from voice_mcp.parts import (
    NeuralEngine,
    build_cues,
    build_engines,
    build_marker,
    build_microphone,
    build_pauses,
    build_recognizers,
    check_save_format,
    link_config,
    prepared_turn_model,
    turn_rules,
)
from voice_mcp.pipe.child import AUDIO_PROCESS, confined
from voice_mcp.playback.link import AudioLink
from voice_mcp.protocols import AudioFile, SpeechEngine, SpeechRecognizer
from voice_mcp.settings import Settings, project_path
from voice_mcp.stdio import output_diverted
from voice_mcp.storage.conversation_log import ConversationLog
from voice_mcp.storage.event_log import EventLog
from voice_mcp.storage.journal import Journal
from voice_mcp.storage.paths import DataRoot
from voice_mcp.storage.phrase_store import PhraseStore
from voice_mcp.storage.recordings import Recordings
from voice_mcp.storage.retention import remove_old
from voice_mcp.storage.roll import RunningAgents
from voice_mcp.storage.room import FolderRoom
from voice_mcp.stt.openai import OpenAIRecognizer
from voice_mcp.tts.csm import CsmEngine
from voice_mcp.tts.espeak import EspeakEngine
from voice_mcp.tts.openai import OpenAIEngine
from voice_mcp.types import PcmFormat, RecognitionHints
from voice_mcp.vad.silero import SileroDetector

logger = logging.getLogger(__name__)

CHATTY_LIBRARIES = ("asyncio", "filelock", "markdown_it", "matplotlib", "PIL")
GOODBYE_S = 0.4
"""How long the end of the server may take to silence what speaks, to hear no more, and to complete the records."""
LAST_MOMENT_S = 0.1
"""The same for what needed more than persuasion."""
WARM_UP_TEXT = "# Warm\n\n- *up* `it_all`, https://example.org\n\n|a|b|\n|-|-|\n|1|2|\n\n```sh\nx\n```\n\nOne. Two."
"""A little of everything, so that the Markdown parser, its patterns and the sentence splitter are loaded."""
UNWANTED_HINT = "VOICEMODE_STT_ENGINE is none: set it to auto to be heard."
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
        self.link = AudioLink(link_config(settings), confined(AUDIO_PROCESS, offline=settings.offline), Converter)
        self.microphone = build_microphone(settings)
        output = OutputChoice(
            device=settings.audio_output != "file",
            file=settings.audio_output == "auto",
            streaming=settings.streaming_enabled,
            prebuffer_most_s=settings.stream_buffer_ms / 1000,
            pan=settings.pan,
            longest_hold_s=settings.pause_limit_s,
            make_marker=build_marker(settings),
        )
        roster = SpeechRoster(self.engines, self.clock)
        self.recovery = Recovery(roster)
        recognizers: Roster[SpeechRecognizer] = Roster(build_recognizers(settings), self.clock)
        nobody_hint = UNWANTED_HINT if settings.stt_engine == "none" else NOBODY_HINT
        recognition = RecognitionHints(settings.stt_language, settings.stt_prompt)
        self.transcriber = Transcriber(recognizers, recognition, nobody_hint)
        self.listening_recovery = Recovery(recognizers)
        self._phrase_store = PhraseStore(self.root, round(settings.tts_cache_mb * 1_000_000))
        phrases = Phrases(self._phrase_store, self.journal, _recipe) if settings.tts_cache_mb else None
        self._room = self._shared_room()
        ducks = settings.ducking > 0 and settings.audio_output not in ("file", "null")
        self._ducking = DuckingLink(self.root.path, settings.ducking) if ducks else None
        floor = Floor(self._room, self.clock, whenever_s=settings.whenever_s, ducking=self._ducking)
        # Only an echo canceller asks what was played; knowing it costs a conversion of all that is said.
        self.played = PlayedSound(Converter) if settings.barge_in == "on" else None
        self.speaker = Speaker(roster, self.link, self.archive, output, phrases, self.played, floor)
        self.dialogue = Dialogue(
            self.speaker,
            self.archive,
            self.microphone,
            self.transcriber,
            self._ears,
            self.barge_in,
            Signals(self.link, enabled=settings.audio_feedback and settings.audio_output != "file"),
        )
        self._roll = RunningAgents(self.root)
        seats = len(SEATS) if settings.pan == "auto" else 0
        self.session = Session(
            clock=self.clock,
            speaker=self.speaker,
            dialogue=self.dialogue,
            turn_rules=turn_rules(settings),
            transcriber=self.transcriber,
            archive=self.archive,
            conversations=self.conversations,
            conversation_id=new_conversation_id(self.clock.utc()),
            agent=Agent(project_path(), settings.agent_voices, seats, self._roll),
            default_speed=settings.tts_speed,
            preferred_voices=settings.tts_voices,
            call_limit_s=settings.call_limit_s,
            warm_up=self.warm_up,
        )
        self.controls = RemoteControl(self.session, self.dialogue)
        self.door = Door(self.root.path / RUN_FOLDER, self.controls)
        self._warm: asyncio.Task[None] | None = None
        self._opening: asyncio.Task[None] | None = None

    @property
    def audio_process_id(self) -> int | None:
        """The audio process that plays, while it runs."""
        return self.link.pid

    @property
    def microphone_process_id(self) -> int | None:
        """The audio process that listens, while it runs."""
        return self.microphone.pid if self.microphone is not None else None

    def barge_in(self) -> BargeIn | None:
        """Whoever listens while the agent speaks, for one microphone; None where nobody is to.

        Thread: any; the first one loads numpy and two libraries.

        Raises:
            ListeningUnavailable: The agent would interrupt itself: echo cancellation is not installed.
        """
        return barge_in(self.settings.barge_in, SileroDetector, WebRtcCanceller, self.played)

    def _shared_room(self) -> FolderRoom | None:
        """Everybody who can be heard through the same device; None where nobody is heard."""
        choice, device = self.settings.audio_output, self.settings.output_device or "default"
        if choice == "file":
            return None
        # All libraries lead to the same devices; the null device is heard by nobody, but keeps time for everybody.
        name = f"null {device}" if choice == "null" else device
        return FolderRoom(self.root, name, self.clock, project_path())

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
        await asyncio.gather(self._end_calls(), self._close_door())
        self._roll.close()
        if self._room is not None:
            self._room.close()
        await self.recovery.aclose()
        await self.listening_recovery.aclose()
        # The records do not wait for an audio process that may hang.
        endings = [self.link.aclose(), self._close_journal()]
        endings += [each.aclose() for each in (self.microphone, self._ducking) if each is not None]
        await asyncio.gather(*endings)
        for engine in self.engines:
            await engine.aclose()
        for recognizer in self.transcriber.roster.engines:
            await recognizer.aclose()

    async def _close_journal(self) -> None:
        try:
            await asyncio.to_thread(self.journal.close, JOURNAL_S)
        except (RuntimeError, MemoryError):  # there is no memory for another thread: then this one waits
            self.journal.close(JOURNAL_S)

    async def _end_calls(self) -> None:
        """Nobody speaks, listens or waits any more, and the records of all calls are complete; bounded."""
        heard_out, _, answered = await asyncio.gather(
            self.dialogue.aclose(GOODBYE_S), self.speaker.aclose(GOODBYE_S), self.session.calls.over(GOODBYE_S)
        )
        if not heard_out and self.microphone is not None:
            self.microphone.kill()  # whoever waits for it is told so
            await self.dialogue.aclose(LAST_MOMENT_S)
        if not answered:
            self.session.calls.cancel()
            await self.session.calls.over(LAST_MOMENT_S)
        # A dialogue that has just ended would keep the floor for what follows.
        await self.speaker.floor.aclose(LAST_MOMENT_S)

    def privacy(self) -> dict[str, Any]:
        """What left this machine, and what is kept. Reads files: not for the event loop's thread.

        Raises:
            StorageError: One cannot be read.
        """
        return privacy_of(self.settings)

    def kill_audio(self) -> None:
        """End the audio processes, whatever they are doing. Returns at once."""
        self.link.kill()
        if self.microphone is not None:
            self.microphone.kill()

    def _ears(self) -> Ears:
        """What listening takes. Thread: any but the event loop's; loads numpy, and models where there are some."""
        settings = self.settings
        if any(isinstance(recognizer, OpenAIRecognizer) for recognizer in self.transcriber.roster.engines):
            load_sdk()
        return Ears(
            detector=SileroDetector(),
            transcriber=self.transcriber,
            cues=build_cues(settings),
            pauses=build_pauses(settings, settings.silence_threshold_ms / 1000),
            turn_model=prepared_turn_model(settings, self.root),
        )

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

    async def _load_weights(self) -> None:
        """What takes longer than all of the rest, and comes last."""
        for engine in self.engines:
            if isinstance(engine, CsmEngine):
                await engine.warm_up()

    async def _load(self) -> None:
        try:
            await self.link.start()
            if self._ducking is not None:
                self._ducking.prepare()
            if self._room is not None:
                await self._room.prepare()
            await asyncio.to_thread(Script.of, WARM_UP_TEXT)
            self.journal.submit(self._remove_old_records, "The clean-up")
            for engine in self.engines:
                # A neural voice takes a second and much memory; only who is asked first is loaded ahead of need.
                if isinstance(engine, EspeakEngine) or (isinstance(engine, NeuralEngine) and engine is self.engines[0]):
                    await engine.warm_up()
            behind_http = [engine for engine in self.engines if isinstance(engine, OpenAIEngine)]
            if behind_http:
                await asyncio.to_thread(load_sdk)
                for engine in behind_http:
                    engine.prepare()
            if self.speaker.discretion.is_needed:
                await asyncio.to_thread(load_detector)
            await self._load_weights()
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


def privacy_of(settings: Settings, newest: int = NEWEST) -> dict[str, Any]:
    """What left this machine, and what is kept. Reads files.

    Raises:
        StorageError: One cannot be read.
    """
    root = DataRoot(settings.base_dir)
    picture = PrivacySettings(
        offline=settings.offline,
        event_log=settings.event_log_enabled,
        conversation_log=settings.conversation_log_enabled,
        keeps_audio=settings.keeps_audio,
        keeps_transcripts=settings.keeps_transcripts,
        retention_days=settings.retention_days,
    )
    return privacy_record(root, root.event_files(settings.event_log_dir), picture, newest)


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

    def open_file(path: Path, fmt: PcmFormat) -> AudioFile:
        return RecordingFile(path, fmt, audio_format, synthetic=path.stem.endswith("_tts"))

    return Recordings(app.root, app.journal, audio_format, open_file)


def _recipe(engine: SpeechEngine) -> str | None:
    """Phrases are kept of servers: an engine on this machine sounds as soon as a file does."""
    return engine.recipe if isinstance(engine, OpenAIEngine) else None


def _tell_all(sinks: tuple[EventSink, ...], event: Event) -> None:
    for sink in sinks:
        sink(event)
