"""Every seam of the house. Read this first.

    text ─▶ SpeechEngine.open() ─▶ SpeechStream ─▶ Decoder ─▶ Speakers.begin() ─▶ Playback ═ pipe ═▶ OutputBackend
    text ◀─ SpeechRecognizer.transcribe() ◀─ TurnModel, VoiceDetector ◀─ EchoCanceller ◀─ Capture ◀═ pipe ═ InputBackend

Whatever stands behind one of these can be replaced by one new file: an engine in ``tts/``, a codec in ``codecs/``, a
sound backend in ``backends/``. Left of the pipe everything is asyncio and may wait; right of it, in the audio process,
everything is pulled by the sound card and never waits.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from voice_mcp.types import (
    AudioClip,
    CaptureCondition,
    CapturedSound,
    Claim,
    ControlAnswer,
    LoweredStream,
    PcmFormat,
    PlaybackEvent,
    RecognitionHints,
    SpeechRequest,
    Standing,
    Transcript,
    Voice,
    WordMark,
)


class SpeechStream(Protocol):
    """One segment of speech while it arrives. Iterate it once, then close it."""

    @property
    def engine(self) -> str:
        """What speaks: ``espeak``, ``tone``, or the host of an endpoint."""
        ...

    @property
    def model(self) -> str:
        """The model that speaks; empty for engines that have only one."""
        ...

    @property
    def voice(self) -> str:
        """The voice that really speaks."""
        ...

    @property
    def encoding(self) -> str:
        """What the bytes should be: ``pcm``, ``wav``, ..."""
        ...

    @property
    def media_type(self) -> str:
        """What the sender called the bytes (Content-Type); empty when it said nothing."""
        ...

    @property
    def pcm_format(self) -> PcmFormat | None:
        """The shape of the bytes if they are raw PCM; None when the bytes must say it themselves."""
        ...

    @property
    def connect_s(self) -> float:
        """Seconds it took to reach the engine; 0 when a connection was open, or none is needed."""
        ...

    @property
    def word_marks(self) -> Sequence[WordMark]:
        """Where the words of what has arrived so far begin; empty for engines that do not say."""
        ...

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The audio in order, in blocks of any size.

        Raises:
            EngineError: The engine failed; what was yielded before is good.
        """
        ...

    async def aclose(self) -> None:
        """Stop the synthesis and let go of its connection or thread. May be called twice."""
        ...


class SpeechEngine(Protocol):
    """Something that turns text into audio. One file in ``tts/`` each."""

    @property
    def name(self) -> str:
        """``espeak``, ``tone``, or the host of an endpoint."""
        ...

    @property
    def expected_format(self) -> PcmFormat:
        """What its audio will most likely be, so that the device can be opened before it arrives."""
        ...

    @property
    def model(self) -> str:
        """The model it speaks with; empty for engines that have only one."""
        ...

    @property
    def is_remote(self) -> bool:
        """Whether its audio comes from a server, wherever that runs."""
        ...

    def knows_voice(self, name: str) -> bool | None:
        """Whether it has the voice ``name``, without asking anybody; None when it cannot tell."""
        ...

    async def open(self, request: SpeechRequest) -> SpeechStream:
        """Start to speak one segment.

        Raises:
            EngineError: It cannot.
            UnknownVoice: It does not have ``request.voice``.
        """
        ...

    async def check(self) -> None:
        """See that it could speak, without making it speak.

        Raises:
            EngineError: It could not.
        """
        ...

    async def voices(self) -> list[Voice]:
        """Every voice it has.

        Raises:
            EngineError: It cannot say.
        """
        ...

    async def aclose(self) -> None:
        """Let go of everything. The engine is not used afterwards."""
        ...


class Decoder(Protocol):
    """Bytes in, frames out. One file in ``codecs/`` each.

    The output does not depend on how the input was cut.
    """

    @property
    def format(self) -> PcmFormat | None:
        """The shape of what comes out; None until enough has gone in to know."""
        ...

    @property
    def decode_errors(self) -> int:
        """How often so far something damaged was skipped, or replaced by silence; the rest was heard."""
        ...

    def decode(self, data: bytes) -> bytes:
        """Take the next bytes; return the whole frames that are now known.

        Raises:
            CodecError: The bytes are not what this decoder reads.
        """
        ...

    def flush(self) -> bytes:
        """No more bytes will come; return what is left.

        Raises:
            CodecError: The stream ended where no valid stream can end.
        """
        ...


class FrameConverter(Protocol):
    """Frames of one shape in, frames of another out, in pieces of any size."""

    def convert(self, frames: bytes) -> bytes:
        """Take the next frames; return those that are now known."""
        ...

    def flush(self) -> bytes:
        """No more will come; return what is left."""
        ...


MakeMarker = Callable[[PcmFormat, float], FrameConverter]
"""Makes what marks frames of that shape as synthetic, from so many seconds of the utterance on."""

PlaybackListener = Callable[[PlaybackEvent], None]
"""Told what happens to the sound, on the event loop; returns at once and never raises."""
WordBegan = Callable[[int], int | None]
"""Told how many frames have been heard; returns the frame with which the word begins that was being said, or None."""


class Playback(Protocol):
    """One run of frames on its way to the ear."""

    @property
    def format(self) -> PcmFormat:
        """The shape of what ``write`` takes; a device that takes only another gets it converted."""
        ...

    async def opened(self) -> PlaybackEvent:
        """Wait until the device is open, or the utterance was stopped before it was.

        Raises:
            DeviceUnavailable: There is none that can be.
            AudioProcessLost: The audio process is gone.
        """
        ...

    async def write(self, frames: bytes) -> None:
        """Hand over the next frames; waits while enough is on its way (VOICEMODE_STREAM_MAX_BUFFER).

        Raises:
            PlaybackError: The device could not be opened, or the audio process is gone.
        """
        ...

    def rest(self) -> None:
        """Nothing more is due for now: the silence that follows is a pause, not a gap. ``write`` goes on."""
        ...

    def renew(self) -> None:
        """What follows comes from a source that begins anew: how late its first frames are says nothing of the rest."""
        ...

    def finish(self) -> None:
        """No more frames will come."""
        ...

    def stop(self) -> None:
        """Silence, now. Returns at once; ``wait`` tells what was heard."""
        ...

    def hold(self) -> None:
        """Silence, now, and for as long as nobody says ``go_on``. Returns at once; ``write`` goes on, and waits.

        A device is let go meanwhile; a file is only not written on.
        """
        ...

    def go_on(self, word_began: WordBegan) -> None:
        """No longer held: sound goes on with the word in which it stopped. Returns at once.

        Args:
            word_began: Asked when it is known how much was heard. Where it says None, sound goes on with the last lull
                before the word.
        """
        ...

    async def wait(self) -> PlaybackEvent:
        """Wait until the last frame has been heard, or the stop has taken effect.

        Raises:
            PlaybackError: The device could not be opened, or the audio process is gone.
        """
        ...


class Speakers(Protocol):
    """Where sound goes: the link to the audio process."""

    async def begin(
        self,
        fmt: PcmFormat,
        listener: PlaybackListener,
        *,
        start_s: float | None = None,
        to_file: bool = False,
        path: Path | None = None,
        pan: float = 0.0,
        rebuffer_s: float | None = None,
    ) -> Playback:
        """Start a run of frames; the device opens while the caller fetches them. One run at a time.

        Args:
            fmt: The shape of the frames.
            listener: Told what happens.
            start_s: Seconds to collect before the first frame leaves; None takes what is configured.
            to_file: Take the frames as fast as they come, instead of playing them.
            path: Where to write them as a WAV file then; None leaves that to the caller.
            pan: Where the sound sits, from -1 (left) to 1 (right); a file takes it as it is.
            rebuffer_s: Seconds to collect after a gap; None takes what is configured.

        Raises:
            AudioProcessLost: The audio process cannot be started.
        """
        ...


class AudioFile(Protocol):
    """A recording on disk, usable up to the last block however its process ends."""

    def append(self, pcm: bytes) -> None:
        """Add a block of whole frames.

        Raises:
            StorageError: It could not be written.
        """
        ...

    def append_silence(self, frames: int) -> None:
        """Add ``frames`` silent frames.

        Raises:
            StorageError: They could not be written.
        """
        ...

    def close(self) -> None:
        """Complete the file and let go of it.

        Raises:
            StorageError: It could not be completed.
        """
        ...


OpenAudioFile = Callable[[Path, PcmFormat], AudioFile]
"""Makes a recording at a path, or takes over the empty file that is there."""


class OutputStream(Protocol):
    """An open sound device. Lives in the audio process."""

    @property
    def format(self) -> PcmFormat:
        """What it pulls: what was asked for, or the nearest the device takes."""
        ...

    @property
    def latency_s(self) -> float:
        """Seconds between a frame's leaving for the device and its being heard, as the device reports it."""
        ...

    @property
    def period_frames(self) -> int:
        """Frames the device takes at a time, or the most it takes at once."""
        ...

    def close(self) -> None:
        """Stop at once and let go of the device."""
        ...


class OutputBackend(Protocol):
    """A way to reach sound devices. One file in ``backends/`` each; lives in the audio process."""

    name: str

    def open(self, fmt: PcmFormat, device: str | None, path: str | None, source: FrameSource) -> OutputStream:
        """Open a device and start to pull frames from ``source``.

        Args:
            fmt: What ``source`` gives.
            device: A device's name, or part of it; None for the default.
            path: Where a backend that writes a file writes it; others ignore it.
            source: What is pulled, from the device's own thread.

        Raises:
            DeviceUnavailable: There is no such device, or it cannot be opened.
        """
        ...

    def devices(self) -> list[str]:
        """The names of the output devices there are, the default first."""
        ...


class Room(Protocol):
    """Everybody who wants to speak through one sound device, in this process and in others."""

    async def advance(self, waiting: Sequence[Claim]) -> Standing:
        """Put into the row those who are not in it yet, and let one of them have the floor if it is its turn.

        Args:
            waiting: Everybody of this process who waits; never empty, and never called twice at once.
        """
        ...

    async def leave(self, claims: Sequence[Claim]) -> None:
        """Take claims out of the row, and let go of the floor where one of them has it."""
        ...


class Roll(Protocol):
    """The agents that run now, in this process and in others."""

    def choose(self, what: str, agent: str, count: int) -> int:
        """Give an agent one of ``count`` of something: always the same, unless another one has it now.

        Reads and writes files: not for the event loop's thread.

        Args:
            what: What there are ``count`` of, in one word.
            agent: Who chooses; the same agent gets the same in every process.
            count: How many there are, at least 1.
        """
        ...


class Ducking(Protocol):
    """Lowers what other programs play while somebody speaks. Both methods return at once and never raise."""

    def lower(self) -> None:
        """Somebody begins to speak."""
        ...

    def restore(self) -> None:
        """It is over."""
        ...


class LoweredRecord(Protocol):
    """What was lowered, and who wants it to be: shared by all processes of a user, and outlives them."""

    def changing(self) -> AbstractContextManager[None]:
        """Keep everybody else from changing volumes for the length of the block.

        Raises:
            StorageError: Somebody else does not let go.
        """
        ...

    def want(self) -> None:
        """This process wants silence around it, until it says otherwise or ends."""
        ...

    def want_no_more(self) -> None:
        """It does not."""
        ...

    def is_wanted(self) -> bool:
        """Whether any process does."""
        ...

    def read(self, server: str) -> list[LoweredStream]:
        """What is lowered now, at this sound server."""
        ...

    def write(self, server: str, streams: Sequence[LoweredStream]) -> None:
        """Remember what is lowered.

        Raises:
            StorageError: It cannot be remembered, so nothing must be lowered.
        """
        ...


class FrameSink(Protocol):
    """What a microphone fills: the capture. Called from the device's thread; never waits."""

    def take(self, frames: bytes, heard_at_s: float) -> None:
        """Take the next frames, in the stream's format.

        Args:
            frames: Whole frames; the memory is the callee's.
            heard_at_s: When the first of them was heard, on the clock of ``Clock.now``.
        """
        ...

    def overflowed(self) -> None:
        """The device says that it dropped something before it got here."""
        ...

    def lost(self, reason: str) -> None:
        """The device is gone."""
        ...


class InputStream(Protocol):
    """An open microphone. Lives in the audio process."""

    @property
    def format(self) -> PcmFormat:
        """What it gives: the device's own rate, one or two channels."""
        ...

    @property
    def latency_s(self) -> float:
        """Seconds from a sound to the frame's arrival, as the device reports it."""
        ...

    def close(self) -> None:
        """Stop at once and let go of the device."""
        ...


class InputBackend(Protocol):
    """A way to reach microphones. One file in ``backends/`` each; lives in the audio process."""

    name: str

    def open(self, device: str | None, sink: FrameSink) -> InputStream:
        """Open a microphone and start to fill ``sink``.

        Args:
            device: A device's name, or part of it; None for the default.
            sink: What is filled, from the device's own thread.

        Raises:
            MicrophoneUnavailable: There is no such device, or it cannot be opened.
        """
        ...

    def devices(self) -> list[str]:
        """The names of the input devices there are, the default first."""
        ...


class Capture(Protocol):
    """An open microphone as the server has it. Close it in any case."""

    @property
    def condition(self) -> CaptureCondition:
        """How it is doing."""
        ...

    def __aiter__(self) -> AsyncIterator[CapturedSound]:
        """What it hears, from its opening on, without a gap; what is not read yet waits.

        Iterating again goes on where it was left. While the microphone is gone nothing comes; when it is back, silence
        comes first (``CapturedSound.lost``), as long as it was gone. It ends when the microphone is closed.

        Raises:
            MicrophoneUnavailable: It is gone, and did not come back.
        """
        ...

    def close(self) -> None:
        """Close the microphone; another can be opened from now on. Returns at once, and may be called twice."""
        ...

    async def aclose(self) -> None:
        """Close the microphone; it is closed when this returns. May be called twice."""
        ...


class Microphone(Protocol):
    """Where sound comes from: the link to the audio process that listens."""

    async def open(self) -> Capture:
        """Open the microphone; returns when it hears. Cancelling it closes it.

        Raises:
            MicrophoneBusy: It is open already, here or in another program.
            MicrophoneUnavailable: There is none that can be.
        """
        ...

    async def prepare(self) -> None:
        """Have everything ready for ``open`` without opening the device."""
        ...


class VoiceDetector(Protocol):
    """Tells how likely it is that somebody speaks. One file in ``vad/`` each.

    The output does not depend on how the input was cut.
    """

    @property
    def format(self) -> PcmFormat:
        """The shape of what it takes."""
        ...

    @property
    def window_frames(self) -> int:
        """Frames that one probability stands for."""
        ...

    def add(self, frames: bytes) -> list[float]:
        """Take the next frames; return the probability of speech (0 to 1) for each window that is now complete."""
        ...

    def reset(self) -> None:
        """Forget what was heard: the next frames belong to another stretch of sound."""
        ...


class TurnModel(Protocol):
    """Tells how likely it is that a speaker who fell silent is through. One file in ``turn/`` each."""

    def prepare(self) -> None:
        """Load what the first judgement will need. Thread: any.

        Raises:
            ListeningUnavailable: Something is not installed, or cannot be used.
        """
        ...

    def completeness(self, frames: bytes) -> float:
        """The probability (0 to 1) that the turn is over.

        Thread: any, one at a time; takes some tens of milliseconds. Prepares what is not prepared yet, with its errors.

        Args:
            frames: The turn so far in ``LISTENING_FORMAT``, the silence at its end included.
        """
        ...


class EchoCanceller(Protocol):
    """Takes the agent's own voice out of what a microphone hears. One file in ``echo/`` each; for one stream each.

    The output has as many frames as the input, and does not depend on how the input was cut.
    """

    @property
    def delay_frames(self) -> int:
        """How much older what comes out is than what goes in at the same time."""
        ...

    def cancel(self, heard: bytes, played: bytes) -> bytes:
        """The next frames without what was played.

        Args:
            heard: What the microphone heard, in ``LISTENING_FORMAT``.
            played: What the loudspeaker played at the same time, as many frames in the same format.
        """
        ...


PackAudio = Callable[[bytes], AudioClip]
"""Makes a file of frames in ``LISTENING_FORMAT``. Thread: any; raises CodecError."""


class SpeechRecognizer(Protocol):
    """Something that turns speech into text. One file in ``stt/`` each."""

    @property
    def name(self) -> str:
        """``whisper``, ``sphinx``, or the host of an endpoint."""
        ...

    @property
    def model(self) -> str:
        """The model it listens with; empty for engines that have only one."""
        ...

    @property
    def is_remote(self) -> bool:
        """Whether what it hears leaves this process for a server, wherever that runs."""
        ...

    @property
    def leaves_machine(self) -> bool:
        """Whether what it hears goes to another machine, where it may cost money too."""
        ...

    async def transcribe(self, frames: bytes, hints: RecognitionHints) -> Transcript:
        """What is said in ``frames`` (``LISTENING_FORMAT``). Cancelling it stops it.

        Raises:
            EngineError: It cannot tell.
        """
        ...

    async def check(self) -> None:
        """See that it could listen, without making it listen.

        Raises:
            EngineError: It could not.
        """
        ...

    async def aclose(self) -> None:
        """Let go of everything. The engine is not used afterwards."""
        ...


@runtime_checkable
class StreamingRecognizer(SpeechRecognizer, Protocol):
    """A recogniser that can say what it has understood while somebody still speaks."""

    async def open(self, hints: RecognitionHints) -> Recognition:
        """Begin with a turn.

        Raises:
            EngineError: It cannot.
        """
        ...


class Recognition(Protocol):
    """One turn while it is recognised. Close it in any case."""

    async def add(self, frames: bytes) -> str:
        """Take the next frames (``LISTENING_FORMAT``); return what has been understood so far.

        Raises:
            EngineError: It failed.
        """
        ...

    async def finish(self) -> Transcript:
        """No more frames will come: what was said.

        Raises:
            EngineError: It failed.
        """
        ...

    async def aclose(self) -> None:
        """Let go of it. May be called twice."""
        ...


class FrameSource(Protocol):
    """What a device pulls from: the player. Called from the device's thread; never waits."""

    def render(self, out: memoryview) -> None:
        """Fill ``out`` (bytes, whole frames) with the next frames, and with silence where there are none."""
        ...

    def underflow(self) -> None:
        """The device says that it ran dry by itself."""
        ...

    def take(self, most_bytes: int, timeout_s: float) -> bytes:
        """The next frames there are, for sinks that keep no time; the one call that waits, and bounded.

        Returns:
            At most ``most_bytes`` bytes; empty when ``timeout_s`` seconds brought none.
        """
        ...

    def lost(self, reason: str) -> None:
        """The device is gone."""
        ...


class Controls(Protocol):
    """What a key can do to a process that speaks: what stands behind the door. Nothing here waits for sound."""

    async def done(self) -> ControlAnswer:
        """End the user's turn: they have said all there is."""
        ...

    async def stop(self) -> ControlAnswer:
        """End what speaks, and listen no more."""
        ...

    async def repeat(self) -> ControlAnswer:
        """Say the last message again; the agent is not told."""
        ...

    async def pause(self) -> ControlAnswer:
        """Silence what speaks until ``resume``."""
        ...

    async def resume(self) -> ControlAnswer:
        """Go on with the word in which it stopped."""
        ...

    async def skip(self) -> ControlAnswer:
        """End what speaks and go on with the next."""
        ...

    async def hush(self) -> ControlAnswer:
        """End everything, also what waits."""
        ...

    def status(self) -> Mapping[str, Any]:
        """Who speaks, who waits, who listens, since when; as JSON takes it."""
        ...


class Ears(Protocol):
    """Somebody who may be listening to the user, as a key can end it."""

    @property
    def listens_since(self) -> datetime | None:
        """Since when; None when nobody listens."""
        ...

    def end_turn(self) -> None:
        """Take what was said so far as all there is. Returns at once."""
        ...

    def stop(self) -> bool:
        """Listen no more, also where that is only about to begin; what was said is not waited for. Returns at once.

        Returns:
            Whether anybody was listened to, or about to be.
        """
        ...


ProgressListener = Callable[[float, float | None, str], None]
"""Called with seconds spoken so far, estimated seconds in all, and the sentence being spoken."""
