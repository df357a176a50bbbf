"""Values in flight: frozen, small, each field with its unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from voice_mcp.errors import InvalidInput

BYTES_PER_SAMPLE = 2
"""Frames in flight are interleaved signed 16-bit little-endian samples (docs/adr/0003)."""


@dataclass(frozen=True, slots=True)
class PcmFormat:
    """The shape of a run of PCM bytes: signed 16-bit little-endian, interleaved."""

    rate_hz: int
    """Frames per second."""
    channels: int
    """Samples per frame; 1 is mono."""

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame."""
        return BYTES_PER_SAMPLE * self.channels

    def frames(self, size_bytes: int) -> int:
        """Whole frames in ``size_bytes`` bytes."""
        return size_bytes // self.frame_bytes

    def seconds(self, frames: int) -> float:
        """Duration of ``frames`` frames, in seconds."""
        return frames / self.rate_hz

    def frames_in(self, seconds: float) -> int:
        """Frames that last ``seconds`` seconds, rounded to the nearest."""
        return round(seconds * self.rate_hz)


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice an engine can speak with."""

    name: str
    """What to pass as ``voice``."""
    engine: str
    """The engine that has it."""
    language: str = ""
    """BCP 47 tag, or empty when the engine does not say."""
    description: str = ""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How an engine that draws its sound is to draw it; None leaves a choice to the engine. Others ignore it.

    Raises:
        InvalidInput: Nothing can be drawn like that.
    """

    temperature: float | None = None
    """0 to 10: 0 takes the likeliest each time; 1.0 draws as the model learnt it."""
    top_k: int | None = None
    """From how many of the likeliest it draws, at least 1."""
    most_s: float | None = None
    """The longest sound of one segment, in seconds."""
    seed: int | None = None
    """The same seed, text and machine give the same sound. A whole number of at most 64 bits, also below 0."""

    def __post_init__(self) -> None:
        if self.temperature is not None and not (_is_number(self.temperature) and 0 <= self.temperature <= 10):
            raise InvalidInput(f"The temperature is {self.temperature!r}.", hint="Give 0 to 10; 0.9 is usual.")
        if self.top_k is not None and not (isinstance(self.top_k, int) and self.top_k >= 1):
            raise InvalidInput(f"top-k is {self.top_k!r}.", hint="Give a whole number from 1 on; 50 is usual.")
        if self.seed is not None and not (isinstance(self.seed, int) and -(2**63) <= self.seed < 2**64):
            raise InvalidInput(f"The seed is {self.seed!r}.", hint="Give a whole number of at most 64 bits.")


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """One segment of text for one engine."""

    text: str
    voice: str | None = None
    """A voice name, or None for the engine's default."""
    speed: float = 1.0
    """0.25 to 4.0; 1.0 is the voice's normal speed."""
    instructions: str | None = None
    """Tone, for models that take it."""
    sampling: Sampling | None = None
    """For engines that draw."""


@dataclass(frozen=True, slots=True)
class WordMark:
    """Where a word of a segment begins in its audio, when the engine says so."""

    start_char: int
    """Offset of the word in the request's text."""
    length_chars: int
    start_s: float
    """Seconds from the beginning of the segment's audio."""


class PlaybackEventType(StrEnum):
    """What can happen to the sound of an utterance."""

    OPENED = "opened"
    """The device is open."""
    FAILED = "failed"
    """No device could be opened."""
    STARTED = "started"
    """The first frame left for the device."""
    FIRST_AUDIO = "first_audio"
    """The first frame above the noise floor left."""
    UNDERRUN = "underrun"
    """There was a gap."""
    RESUMED = "resumed"
    """Sound goes on after a gap."""
    POSITION = "position"
    """So many frames have left by now; comes every 40 ms or so."""
    ENDED = "ended"
    """The last frame has been heard, or the utterance was stopped."""
    LOST = "lost"
    """The device or the audio process is gone; MOVED follows, or the playback fails."""
    MOVED = "moved"
    """Sound goes on, at another device or at one that came back."""
    HELD = "held"
    """It is silent, because it is held."""
    WENT_ON = "went_on"
    """It is no longer held: sound goes on with frame ``frames``, from where on everything is heard once more."""


@dataclass(frozen=True, slots=True)
class PlaybackEvent:
    """Something that happened to the sound of an utterance, as the audio process saw it."""

    type: PlaybackEventType
    frames: int = 0
    """Frames of the utterance that had left for the device before this moment."""
    left_at_s: float = 0.0
    """When it left for the device, on the clock of ``Clock.now``."""
    heard_at_s: float = 0.0
    """The same with the device's latency added: when it could be heard."""
    gap_s: float = 0.0
    """For UNDERRUN, RESUMED and MOVED: seconds of silence that were inserted."""
    heard_frames: int = 0
    """For ENDED and HELD: frames that were really heard; less than ``frames`` when the device was cut off."""
    underruns: int = 0
    """For ENDED: gaps in all."""
    inserted_s: float = 0.0
    """For ENDED: seconds of silence they lasted."""
    buffer_mean_s: float | None = None
    """For ENDED: seconds of sound that were held on average, while more was due; None when nothing was played."""
    buffer_least_s: float | None = None
    """For ENDED: the least that was held, while more was due."""
    backend: str = ""
    """For OPENED and MOVED: what the sound goes to."""
    rate_hz: int = 0
    """For OPENED: the rate the device takes, which need not be what was asked for."""
    channels: int = 0
    """For OPENED: the channels it takes."""
    latency_s: float = 0.0
    """For OPENED: the device's latency."""
    message: str = ""
    """For FAILED and LOST: what went wrong."""
    hint: str = ""
    """For FAILED: what to do next."""


class Urgency(StrEnum):
    """How soon something has to be said."""

    NOW = "now"
    """Approvals and questions: somebody waits for the user."""
    NORMAL = "normal"
    """Milestones."""
    WHENEVER = "whenever"
    """Chatter: worth nothing once it is old."""


PATIENCE_S = 30.0
"""Whoever has waited for the floor for so long comes in with those of the next urgency, again and again."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody's wish to have the floor."""

    name: str
    """No two claims share it, in any process."""
    urgency: Urgency
    since_s: float
    """When the wish arose, on the clock of ``Clock.now``, which every process of this machine shares."""
    conversation_id: str = ""
    """Whose it is; empty where only the order matters."""

    def rank(self, now_s: float) -> tuple[int, float, str]:
        """The least comes first: by urgency, and first come, first served within one; who waits long moves up."""
        steps = int(max(0.0, now_s - self.since_s) // PATIENCE_S)
        return (max(0, _URGENCIES.index(self.urgency) - steps), self.since_s, self.name)


_URGENCIES = tuple(Urgency)


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand in the room for those who asked."""

    granted: Claim | None = None
    """Whose turn it has become; it has the floor until it leaves."""
    in_front: Mapping[Claim, int] = field(default_factory=dict)
    """For each of the others how many come first, whoever speaks included."""
    died: bool = False
    """Who had the floor before did not leave, but died: its last sound may not be over yet."""


class SpeechStatus(StrEnum):
    """How a call to ``speak`` ended."""

    COMPLETED = "completed"
    INTERRUPTED = "interrupted"
    QUEUED = "queued"
    SAVED = "saved"


LISTENING_FORMAT = PcmFormat(16_000, 1)
"""What detectors, turn models and recognisers take; everything that is heard is brought into this shape."""


@dataclass(frozen=True, slots=True)
class CapturedSound:
    """The next frames a microphone heard, in ``LISTENING_FORMAT``; nothing is missing between two of them."""

    frames: bytes
    at_s: float
    """When the first of them was heard, on the clock of ``Clock.now``."""
    lost: str = ""
    """Why they are silence: what became of the microphone meanwhile. Empty for what was heard."""


@dataclass(frozen=True, slots=True)
class CaptureCondition:
    """How a microphone is doing: what tells a dead one from a silent room."""

    peak: float = 0.0
    """Highest level of the last second, 0 to 1."""
    rms_db: float = -120.0
    """Mean level of the last second, in dBFS."""
    zeros_s: float = 0.0
    """For how many seconds now there have been nothing but zeros: it is muted, or may not be used."""
    clipped_share: float = 0.0
    """The share of the last second's samples that are at full scale."""
    is_file: bool = False
    """Whether it is a file, which gives zeros once it is over."""


@dataclass(frozen=True, slots=True)
class RecognitionHints:
    """What helps a recogniser."""

    language: str | None = None
    """ISO 639-1 code; None lets it find out."""
    prompt: str | None = None
    """Names and terms that are likely to come up."""


@dataclass(frozen=True, slots=True)
class AudioClip:
    """A whole piece of sound as a file."""

    data: bytes
    extension: str
    """``wav``, ``flac``, ``ogg``: servers go by the name of what they are sent."""
    media_type: str


@dataclass(frozen=True, slots=True)
class SpeechSpan:
    """Where in a piece of sound somebody speaks."""

    start_s: float
    """Seconds from its beginning."""
    end_s: float

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class TranscriptPart:
    """A stretch of what was said, as the engine cut it."""

    text: str
    start_s: float
    """Seconds from the beginning of the sound."""
    end_s: float
    no_speech: float | None = None
    """How likely it is, as the engine sees it, that nobody spoke here (0 to 1); None when it does not say."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was said."""

    text: str
    """Empty when there were no words."""
    engine: str
    """``whisper``, ``sphinx``, or the host of an endpoint."""
    model: str = ""
    language: str | None = None
    """ISO 639-1 code, when the engine says or was told."""
    parts: tuple[TranscriptPart, ...] = ()
    """All of ``text`` in stretches, for engines that say when what was said."""
    note: str = ""
    """What the user should know: who was asked in vain before."""
    sent_bytes: int = 0
    """How much sound a server was sent for it."""


@dataclass(frozen=True, slots=True)
class ControlAnswer:
    """What came of something that was asked for by a key."""

    obeyed: bool
    """Whether anything was there to do it to."""
    sentence: str
    """What was done, or why nothing was; one of the house's own."""


@dataclass(frozen=True, slots=True)
class LoweredStream:
    """Another program's sound whose volume was lowered."""

    index: int
    """The sound server's number for it; another sound may have it later."""
    key: str
    """What the sound server remembers its volume by, for the next sound of that program; may be empty."""
    before: tuple[float, ...]
    """Its volume before, a channel each; 1 is 100 % in a volume control."""
    lowered: tuple[float, ...]
    """What it was lowered to."""
