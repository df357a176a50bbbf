"""Everything that can go wrong, as one tree.

    VoiceError
    ├── InvalidInput             the caller asked for something that cannot be done
    │   ├── NothingToSay
    │   ├── MessageTooLong
    │   ├── InvalidSpeed
    │   ├── InvalidConversationId
    │   ├── UnknownVoice
    │   └── WriterMisuse         a StreamingAudioWriter was given what it cannot write
    ├── SettingsError            a VOICEMODE_ variable has a value it cannot have
    ├── EngineError              what speaks or listens failed
    │   ├── EngineMissing        its library or data is not installed
    │   ├── EngineUnreachable    refused, timed out, unknown host
    │   ├── EngineRefused        it answered, and said no (401, 403, 404, 400)
    │   ├── EngineBusy           it answered, and said not now (429, 5xx)
    │   ├── EngineStalled        it stopped sending in the middle
    │   ├── AllEnginesFailed     none that may be asked could speak
    │   └── AllRecognizersFailed none that may be asked could tell what was said
    ├── SpeechCutOff             speech failed after it had begun; says what was heard and what was not
    ├── CodecError
    │   ├── UnsupportedFormat    a format this version cannot play
    │   ├── NotAudio             what arrived is not audio, or is damaged beyond use
    │   └── CodecMissing         the library for this format is not installed
    ├── PlaybackError
    │   ├── DeviceUnavailable    no sound device could be opened
    │   │   └── DeviceBusy       somebody else holds it
    │   └── AudioProcessLost     the audio process ended while it was needed
    ├── ListeningUnavailable     nobody can be heard, and nobody can type
    │   └── MicrophoneUnavailable   no microphone could be opened, or it is gone
    │       └── MicrophoneBusy   somebody else holds it
    ├── TranscriptionFailed      the user spoke, and nobody could tell what
    ├── DuckingUnavailable       other programs' volume cannot be lowered
    ├── DownloadFailed           a file of weights could not be fetched, or is not the right one
    ├── OutOfMemory              this process gets no more memory
    └── StorageError             a record could not be written or read

Every error carries a stable ``code`` for machines, a one-sentence message saying what failed, a one-sentence
``hint`` saying what to do next, and whether trying again may help (``retryable``). Foreign exceptions are translated
into this tree once per library, with ``raise ... from exc``. Messages never hold a key.
"""

from __future__ import annotations

from typing import Self


class VoiceError(Exception):
    """Base of everything this package raises on purpose.

    Args:
        message: One sentence: what failed.
        hint: One sentence: what to do next. The class default is used when omitted.
    """

    code = "voice_error"
    hint = "Run `voice-mcp doctor` to see what is wrong."
    retryable = False

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if hint is not None:
            self.hint = hint

    def __str__(self) -> str:
        return self.message

    def of(self, who: str) -> Self:
        """The same error, with the name of whoever it is about."""
        self.message = f"{who}: {self.message}"
        return self

    @property
    def advice(self) -> str:
        """Message and hint as the two sentences a person or an agent reads."""
        return f"{self.message} {self.hint}"


# --- what the caller asked for -----------------------------------------------------------------------------------


class InvalidInput(VoiceError):
    """An argument cannot be used."""

    code = "invalid_input"
    hint = "Correct the argument and call again."


class NothingToSay(InvalidInput):
    """The message holds nothing that can be spoken."""

    code = "nothing_to_say"
    hint = "Pass a message with at least one word."


class MessageTooLong(InvalidInput):
    """The message is longer than anybody would listen to."""

    code = "message_too_long"
    hint = "Send it in several calls."


class InvalidSpeed(InvalidInput):
    """The speed lies outside 0.25 to 4.0."""

    code = "invalid_speed"
    hint = "Use a speed from 0.25 to 4.0; 1.0 is normal."


class InvalidConversationId(InvalidInput):
    """The conversation ID could not be a file name everywhere."""

    code = "invalid_conversation_id"
    hint = "Use 1 to 64 letters, digits, underscores or hyphens, or leave it out."


class UnknownVoice(InvalidInput):
    """No engine that may be asked has this voice."""

    code = "unknown_voice"
    hint = "Read voice://voices or run `voice-mcp voices` for the voices there are."


class WriterMisuse(InvalidInput):
    """A ``StreamingAudioWriter`` was given what it cannot write, or when it no longer can."""

    code = "writer_misuse"
    hint = "Correct the call."


class SettingsError(VoiceError):
    """A setting has a value it cannot have."""

    code = "bad_setting"
    hint = "Correct it, or unset it to get the default."


# --- speech engines ----------------------------------------------------------------------------------------------


class EngineError(VoiceError):
    """What speaks, or what listens, could not do its work."""

    code = "engine_error"


class EngineMissing(EngineError):
    """The engine's library or data is not installed."""

    code = "engine_missing"


class EngineUnreachable(EngineError):
    """No answer: connection refused, unknown host, TLS failure or time-out.

    ``hung_up`` says that somebody was there, and closed the connection without a word. ``nothing_sent`` says for
    certain that there was no connection, so that not a word of the request has left.
    """

    code = "engine_unreachable"
    hint = "Check that the endpoint is running and VOICEMODE_TTS_BASE_URLS is right."
    retryable = True

    def __init__(
        self, message: str, *, hint: str | None = None, hung_up: bool = False, nothing_sent: bool = False
    ) -> None:
        super().__init__(message, hint=hint)
        self.hung_up = hung_up
        self.nothing_sent = nothing_sent


class EngineRefused(EngineError):
    """The engine answered and will not do it; asking again changes nothing.

    ``status`` is its HTTP status, ``said`` are its own words and ``param`` is the field it blamed, both empty when it
    did not say, or said what must not be repeated.
    """

    code = "engine_refused"
    hint = "Check the key, the model and the voice that are set for this endpoint."

    def __init__(self, message: str, *, status: int, hint: str | None = None, said: str = "", param: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.said = said
        self.param = param


class EngineBusy(EngineError):
    """The engine answered that it cannot do it now.

    ``retry_after_s`` is what it asked for in ``Retry-After``, in seconds, when it said so.
    """

    code = "engine_busy"
    hint = "Try again in a while."
    retryable = True

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class EngineStalled(EngineError):
    """The engine began to answer and stopped in the middle.

    ``broke_off`` says that the connection ended there, and was not merely silent.
    """

    code = "engine_stalled"
    hint = "Try again; if it happens often, raise VOICEMODE_STREAM_STALL_TIMEOUT."
    retryable = True

    def __init__(self, message: str, *, hint: str | None = None, broke_off: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.broke_off = broke_off


class AllEnginesFailed(EngineError):
    """No engine that may be asked could speak; the message names each and why."""

    code = "all_engines_failed"
    hint = "Run `voice-mcp doctor`, or set VOICEMODE_TTS_ENGINE=auto to allow the embedded voice."
    retryable = True


class AllRecognizersFailed(EngineError):
    """No recogniser that may be asked could tell what was said; the message names each and why."""

    code = "all_recognizers_failed"
    hint = "Run `voice-mcp doctor`; `voice-mcp conversations retry` transcribes later what was recorded."
    retryable = True


class SpeechCutOff(VoiceError):
    """Speech failed after it had begun.

    ``heard`` is the message up to the last word that was played, ``unheard`` is the rest.
    """

    code = "speech_cut_off"
    hint = "Say the unheard part again, or write it."
    retryable = True

    def __init__(self, cause: VoiceError, *, heard: str, unheard: str) -> None:
        super().__init__(f"Speech was cut off: {cause.message}")
        self.heard = heard
        self.unheard = unheard


# --- audio -------------------------------------------------------------------------------------------------------


class CodecError(VoiceError):
    """Audio bytes could not be turned into frames."""

    code = "codec_error"


class UnsupportedFormat(CodecError):
    """A format this version cannot play."""

    code = "unsupported_format"
    hint = "Set VOICEMODE_TTS_AUDIO_FORMAT to pcm, wav, mp3, aac, flac or opus."


class NotAudio(CodecError):
    """What arrived is not audio, or is damaged beyond use."""

    code = "not_audio"
    hint = "Check that the endpoint's URL ends in /v1 and that it is a speech server."


class CodecMissing(CodecError):
    """The library for this format is not installed."""

    code = "codec_missing"
    hint = "Use wav or pcm, which need none."


class PlaybackError(VoiceError):
    """Sound could not be played."""

    code = "playback_error"


class DeviceUnavailable(PlaybackError):
    """No sound device could be opened."""

    code = "device_unavailable"
    hint = (
        'For SSH, containers and WSL see "When something is wrong" in the README; '
        "or set VOICEMODE_AUDIO_OUTPUT=file to keep the audio in a file instead."
    )


class DeviceBusy(DeviceUnavailable):
    """The sound device is there, and held by somebody else."""

    code = "device_busy"
    hint = "Close the program that holds the sound device, or set VOICEMODE_OUTPUT_DEVICE to another one."
    retryable = True


class AudioProcessLost(PlaybackError):
    """The audio process ended while it was needed."""

    code = "audio_process_lost"
    hint = "Call again: a new audio process is started by itself."
    retryable = True


class ListeningUnavailable(VoiceError):
    """Nobody can be heard here, and the host offers no way to type an answer."""

    code = "listening_unavailable"
    hint = "Ask in the chat instead, or use speak."


class MicrophoneUnavailable(ListeningUnavailable):
    """No microphone could be opened, or the one that was is gone."""

    code = "microphone_unavailable"
    hint = "Connect a microphone, or set VOICEMODE_INPUT_DEVICE to one that `voice-mcp devices` lists."


class MicrophoneBusy(MicrophoneUnavailable):
    """The microphone is there, and held by somebody else."""

    code = "microphone_busy"
    hint = "Close the program that holds the microphone, or set VOICEMODE_INPUT_DEVICE to another one."
    retryable = True


class TranscriptionFailed(VoiceError):
    """The user spoke, and nobody could turn it into words.

    Args:
        cause: Why.
        conversation_id: Where the recording is kept.
        said: What they said before, and was understood; it is in the message too.
        is_kept: Whether the recording is: it is whenever that can be done.
    """

    code = "transcription_failed"
    hint = "The recording is kept: `voice-mcp conversations retry ID` tries again; or ask the user to repeat it."
    retryable = True

    def __init__(self, cause: VoiceError, conversation_id: str, *, said: str = "", is_kept: bool = True) -> None:
        kept = type(self).hint.replace("ID", conversation_id)
        hint = kept if is_kept else "The recording could not be kept either: ask the user to repeat it."
        begin = f"The user said “{said}”, and went on," if said else "The user answered,"
        super().__init__(f"{begin} but it could not be turned into words: {cause.message}", hint=hint)
        self.said = said


class DuckingUnavailable(VoiceError):
    """The volume of other programs cannot be reached."""

    code = "ducking_unavailable"
    hint = "Ducking needs PulseAudio or PipeWire with pipewire-pulse; set VOICEMODE_DUCKING=off to do without."


class OutOfMemory(VoiceError):
    """This process gets no more memory, or no more threads, which are made of it."""

    code = "out_of_memory"
    hint = "Close other programs, then try again."
    retryable = True


class StorageError(VoiceError):
    """A record could not be written or read."""

    code = "storage_error"
    hint = "Check the free space and the permissions of VOICEMODE_BASE_DIR."


class DownloadFailed(VoiceError):
    """A file of weights could not be fetched, or what came is not what it should be.

    ``begin_anew`` says that what is there already is of no use to the server.
    """

    code = "download_failed"
    hint = "Check the network and run the same command again: it goes on where it stopped."
    retryable = True

    def __init__(self, message: str, *, hint: str | None = None, begin_anew: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.begin_anew = begin_anew
