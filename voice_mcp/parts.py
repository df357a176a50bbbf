"""Each part of the house as the settings want it. Nothing is opened, started or loaded before it is used."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

from voice_mcp.capture.link import INPUT_BACKENDS, CaptureConfig, MicrophoneLink
from voice_mcp.codecs.conversion import Converter
from voice_mcp.core.cues import Cues
from voice_mcp.core.endpointing import TurnRules
from voice_mcp.core.pauses import USUAL_SILENCE_S, Eagerness, Pauses
from voice_mcp.errors import CodecMissing, ListeningUnavailable, SettingsError
from voice_mcp.openai_client.endpoints import listening_endpoints, speech_endpoints, usable
from voice_mcp.pipe.child import MICROPHONE_PROCESS, confined
from voice_mcp.playback.link import DEVICE_BACKENDS, LinkConfig
from voice_mcp.playback.player import BufferPolicy
from voice_mcp.protocols import FrameConverter, MakeMarker, PackAudio, SpeechEngine, SpeechRecognizer, TurnModel
from voice_mcp.settings import Settings
from voice_mcp.storage.models import Models
from voice_mcp.storage.paths import DataRoot
from voice_mcp.storage.voice_files import kokoro_files, model_of, piper_file
from voice_mcp.stt.openai import OpenAIRecognizer
from voice_mcp.stt.sphinx import SphinxRecognizer
from voice_mcp.stt.whisper import WhisperRecognizer
from voice_mcp.tts.csm import CsmEngine
from voice_mcp.tts.espeak import EspeakEngine
from voice_mcp.tts.kokoro import KokoroEngine
from voice_mcp.tts.openai import OpenAIEngine
from voice_mcp.tts.piper import PiperEngine
from voice_mcp.tts.pocket import PocketEngine
from voice_mcp.tts.tone import ToneEngine
from voice_mcp.turn.smart_turn import SmartTurn
from voice_mcp.types import LISTENING_FORMAT, AudioClip, PcmFormat

logger = logging.getLogger(__name__)

FIRST_PREBUFFER_S = 0.04
"""What is collected before the first sound while nothing is known to be wrong with the network: four device periods."""

NEURAL = ("kokoro", "pocket", "piper")
"""Neural voices on this machine that ``auto`` speaks with where they are installed, in the order they are asked."""
NeuralEngine = KokoroEngine | PocketEngine | PiperEngine


def build_engines(settings: Settings) -> list[SpeechEngine]:
    """The engines the settings allow, in the order they are asked.

    Raises:
        SettingsError: None is left.
    """
    if settings.tts_engine == "tone":
        return [ToneEngine()]
    if settings.tts_engine == "csm":
        return [build_csm(settings)]
    engines: list[SpeechEngine] = []
    if settings.tts_engine in ("auto", "openai"):
        engines += [
            OpenAIEngine(endpoint, audio_format=settings.tts_audio_format, stall_s=settings.stream_stall_timeout)
            for endpoint in usable(speech_endpoints(settings), offline=settings.offline)
        ]
    engines += neural_engines(settings)
    if settings.tts_engine in ("auto", "espeak"):
        engines.append(EspeakEngine())
    if not engines:
        raise SettingsError(
            "VOICEMODE_TTS_ENGINE=openai leaves nothing to speak with: no endpoint may be asked.",
            hint="Set a key for api.openai.com, add an endpoint to VOICEMODE_TTS_BASE_URLS, or allow the embedded "
            "voice with VOICEMODE_TTS_ENGINE=auto.",
        )
    return engines


def build_marker(settings: Settings) -> MakeMarker | None:
    """What marks speech as synthetic; None where nothing is to be marked. Loads numpy when the first mark is made."""
    if settings.watermark_key is None:
        return None
    key = settings.watermark_key.get_secret_value()

    def make(fmt: PcmFormat, at_s: float) -> FrameConverter:
        from voice_mcp.watermark.frames import FrameWatermarker

        return FrameWatermarker(fmt, key, at_s)

    return make


def build_csm(settings: Settings) -> CsmEngine:
    """The engine that draws its sound; nothing is loaded before it speaks, and nothing is ever downloaded."""
    return CsmEngine(
        settings.csm_model, device=settings.csm_device, dtype=settings.csm_dtype, voices=settings.csm_voices
    )


def neural_engines(settings: Settings) -> list[NeuralEngine]:
    """The neural voices on this machine that the settings want: the one they name, or all that are installed."""
    if settings.tts_engine in NEURAL:
        return [build_neural(settings, settings.tts_engine)]
    return installed_neural(settings) if settings.tts_engine == "auto" else []


def installed_neural(settings: Settings) -> list[NeuralEngine]:
    """The neural voices that are installed on this machine, in the order they are asked."""
    engines = [build_neural(settings, name) for name in NEURAL]
    return [engine for engine in engines if engine.is_installed]


def build_neural(settings: Settings, name: str) -> NeuralEngine:
    """One of ``NEURAL``, installed or not; nothing is loaded before it speaks."""
    models = Models(settings.base_dir)
    if name == "kokoro":
        kokoro = settings.kokoro_model
        return KokoroEngine(
            Path(kokoro).stem, partial(kokoro_files, models, kokoro), model_of=partial(model_of, models)
        )
    if name == "pocket":
        return PocketEngine(settings.pocket_model or models.folder / "pocket" / "languages" / "english")
    voice = settings.piper_voice
    name = Path(voice).name.removesuffix(".onnx")
    find = partial(piper_file, models, voice)
    return PiperEngine(name, find, models.folder, model_of=partial(model_of, models))


def build_turn_model(settings: Settings, root: DataRoot) -> TurnModel | None:
    """What judges by the voice whether a turn is over, if anything does; nothing is loaded before its ``prepare``."""
    if settings.turn_model == "none":
        return None
    weights = root.path / "models" / "smart-turn.onnx"
    if settings.turn_model == "auto" and not SmartTurn.is_installed(weights):
        return None
    return SmartTurn(weights)


def prepared_turn_model(settings: Settings, root: DataRoot) -> TurnModel | None:
    """The same, loaded. Thread: any. With ``auto`` one that turns out to be of no use is a warning, and none.

    Raises:
        ListeningUnavailable: It was asked for by name, and cannot be used.
    """
    model = build_turn_model(settings, root)
    try:
        if model is not None:
            model.prepare()
    except ListeningUnavailable as exc:
        if settings.turn_model != "auto":
            raise
        logger.warning("%s", exc.advice)
        return None
    return model


def build_pauses(settings: Settings, silence_s: float = USUAL_SILENCE_S) -> Pauses:
    """What is known of the pauses of a speaker who is new."""
    return Pauses(silence_s, Eagerness[settings.turn_eagerness.upper()])


def turn_rules(settings: Settings) -> TurnRules:
    """What counts as speech, and what as the end of it."""
    return TurnRules(
        no_speech_s=settings.no_speech_timeout_s, most_s=settings.default_listen_duration, wait_s=settings.wait_s
    )


def build_cues(settings: Settings) -> Cues:
    """What words may ask of the server itself."""
    return Cues(settings.end_word, settings.wait_phrases, settings.repeat_phrases)


def build_recognizers(settings: Settings) -> list[SpeechRecognizer]:
    """The recognisers the settings allow, in the order they are asked.

    Raises:
        SettingsError: None is left of those that were asked for.
    """
    recognizers: list[SpeechRecognizer] = []
    if settings.stt_engine in ("auto", "openai"):
        recognizers += [
            OpenAIRecognizer(endpoint, stall_s=settings.stream_stall_timeout, pack=_packer(is_local=endpoint.is_local))
            for endpoint in usable(listening_endpoints(settings), offline=settings.offline)
        ]
    if settings.stt_engine in ("auto", "whisper"):
        whisper = local_whisper(settings)
        if settings.stt_engine == "whisper" or whisper.is_installed:
            recognizers.append(whisper)
    if settings.stt_engine == "sphinx":
        recognizers.append(SphinxRecognizer())
    if not recognizers and settings.stt_engine not in ("auto", "none"):
        raise SettingsError(
            "VOICEMODE_STT_ENGINE=openai leaves nothing to listen with: no endpoint may be asked.",
            hint="Set a key for api.openai.com, add an endpoint to VOICEMODE_STT_BASE_URLS, or set "
            "VOICEMODE_STT_ENGINE=none.",
        )
    return recognizers


def local_whisper(settings: Settings) -> WhisperRecognizer:
    """Whisper on this machine, installed or not."""
    models = Models(settings.base_dir)
    return WhisperRecognizer(Path(settings.whisper_model).name, partial(models.weights, settings.whisper_model))


def _packer(*, is_local: bool) -> PackAudio:
    """What makes the files that are uploaded: compressed, but for this machine, where bytes cost nothing."""

    def pack(frames: bytes) -> AudioClip:
        from voice_mcp.codecs.clip import make_clip, make_upload  # every encoder, which nobody needs at the start

        return make_clip(frames, LISTENING_FORMAT, "wav") if is_local else make_upload(frames, LISTENING_FORMAT)

    return pack


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


def build_microphone(settings: Settings) -> MicrophoneLink | None:
    """What listens; None where nothing may. No process is started, and no microphone opened, before it is asked to."""
    choice = settings.audio_input
    if choice == "none":
        return None
    config = CaptureConfig(
        backends=INPUT_BACKENDS if choice == "auto" else (choice,),
        device=settings.input_device,
        device_wait_s=settings.device_wait_s,
    )
    return MicrophoneLink(config, Converter, confined(MICROPHONE_PROCESS, offline=settings.offline))


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
