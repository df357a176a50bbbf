"""The watermark: found how often, called where it is not how often, heard how little, at what cost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import av
import numpy as np

from benchmarks.figures import Figure, quantile
from benchmarks.natural_voices import natural_voices
from tests.support.marking import RATE_HZ, TEXT, after, marked, resampled, snr_db, spoken, windows
from tests.support.noises import NOISES, Dice, in_room, rms
from voice_mcp import StreamingAudioWriter
from voice_mcp.codecs.detect import choose_decoder
from voice_mcp.samples.convert import Samples, to_samples
from voice_mcp.types import PcmFormat
from voice_mcp.watermark.detector import WINDOW_S, detect, false_alarm
from voice_mcp.watermark.marker import Watermarker

VOICES = (
    *("en-us+m7", "en-gb-scotland", "en-us+croak", "en-029+m5"),
    *("es+f2", "nl+f1", "sv+m3", "pl"),
)
"""Others than the strength of the mark was chosen with."""
CODECS = ("none", "resampled", "mp3", "opus")
NAMES = {"none": "16 bits", "resampled": "24 to 48 kHz and back", "mp3": "MP3 64k", "opus": "Opus 32k"}
SECONDS = (1.0, 2.0, 3.0, 5.0)
WINDOWS_A_VOICE = 50
WINDOWS_A_BAR = 200
MOST_MISSED_PERCENT = 1.0
UNMARKED_WINDOWS = 150
OTHER_KEYS = ("one", "two", "three")
KEY = "benchmark"
SEGMENT_FRAMES = RATE_HZ // 50
MASKED_DB = 12.0
"""What lies so much under a sound is taken to be hidden: between what a tone hides of noise, and noise of noise."""

Damage = Callable[[Samples], Samples]


async def measure() -> list[Figure]:
    """Mark voices, damage them, and look for the mark; then look where none is."""
    return await asyncio.to_thread(lambda: [*_found(), *_damaged(), *_not_there(), *_heard(), *_cost()])


def _found() -> Iterator[Figure]:
    for codec in CODECS:
        heard = {name: after(codec, sound) for name, sound in _marked().items()}
        for seconds in SECONDS:
            what = f"missed in {seconds:g} s, {NAMES[codec]}"
            if seconds == WINDOW_S:
                yield _missed(what, heard, seconds, WINDOWS_A_BAR, MOST_MISSED_PERCENT)
            else:
                yield _missed(what, heard, seconds)


def _damaged() -> Iterator[Figure]:
    damages: Mapping[str, Damage] = {
        "Opus 16k": partial(_encoded, "opus", 16_000),
        "MP3 32k": partial(_encoded, "mp3", 32_000),
        "MP3 64k, then Opus 32k": lambda sound: after("opus", after("mp3", sound)),
        "telephone (8 kHz)": lambda sound: resampled(resampled(sound, RATE_HZ, 8_000), 8_000, RATE_HZ),
        "clipped, 12 dB too loud": lambda sound: np.clip(4 * sound, -1, 1).astype(np.float32),
        "hiss 20 dB below": partial(_with_hiss, 20.0),
        "hiss 10 dB below": partial(_with_hiss, 10.0),
        "recorded across a room, hiss 25 dB below": lambda sound: _with_hiss(25.0, _across_a_room(sound)),
        "0.5 % faster and higher": partial(_sped_up, 1.005),
        "2 % faster and higher": partial(_sped_up, 1.02),
        "1 % faster, same pitch": partial(_stretched, 1.01),
        "5 % faster, same pitch": partial(_stretched, 1.05),
    }
    for name, damage in damages.items():
        heard = {voice: damage(sound) for voice, sound in _marked().items()}
        yield _missed(f"missed in {WINDOW_S:g} s, {name}", heard, WINDOW_S)


def _missed(
    what: str, heard: Mapping[str, Samples], seconds: float, count: int = WINDOWS_A_VOICE, bar: float | None = None
) -> Figure:
    found = {
        name: [detect(window, RATE_HZ, KEY) for window in windows(sound, seconds, count)]
        for name, sound in heard.items()
    }
    missed = {name: sum(not each.is_marked for each in voice) for name, voice in found.items()}
    scores = [each.score for voice in found.values() for each in voice]
    detail = f"of {len(scores)}; score p50 {quantile(scores, 0.5):.1f}, p1 {quantile(scores, 0.01):.1f}"
    if any(missed.values()):
        worst = max(missed, key=lambda name: missed[name])
        detail += f"; most in {worst}: {missed[worst]} of {count}"
    return Figure(what, 100 * sum(missed.values()) / len(scores), "%", bar, detail)


def _not_there() -> Iterator[Figure]:
    sounds = {**_voices(), **{name: _noise(name) for name in ("white", "fan", "hum", "keyboard", "music")}}
    found = [
        detect(window, RATE_HZ, key)
        for sound in sounds.values()
        for window in windows(sound, WINDOW_S, UNMARKED_WINDOWS)
        for key in OTHER_KEYS
    ]
    scores = [each.score for each in found]
    wrong, highest = sum(each.is_marked for each in found), max(scores)
    detail = f"of {len(scores)} in speech, noise and music; highest score {highest:.2f}"
    yield Figure("unmarked 3 s called marked", wrong, "", 0, detail)
    for score in (4.0, 4.5):
        share = 100 * sum(each >= score for each in scores) / len(scores)
        yield Figure(f"unmarked 3 s with a score of {score} or more", share, "%", 100 * false_alarm(score))


def _heard() -> Iterator[Figure]:
    overall, segmental, above = [], [], []
    for name, sound in _voices().items():
        changed = _marked()[name]
        overall.append(snr_db(sound, changed))
        segmental.append(_segmental_snr_db(sound, changed))
        above.append(100 * _share_not_masked(sound, changed - sound))
    yield Figure("the mark against the sound, at most", -min(overall), "dB", None, f"mean {-np.mean(overall):.1f} dB")
    detail = f"mean {-np.mean(segmental):.1f} dB"
    yield Figure("the same, mean of all 20 ms, at most", -min(segmental), "dB", None, detail)
    detail = f"of 20 ms, by a model of masking; worst voice {max(above):.1f} %"
    yield Figure("critical bands in which the mark could be heard", float(np.mean(above)), "%", None, detail)


def _cost() -> Iterator[Figure]:
    sound = spoken(VOICES[0])
    marker, began_s = Watermarker(KEY), time.process_time()
    for start in range(0, len(sound), 1_920):
        marker.process(sound[start : start + 1_920])
    a_second_ms = 1000 * (time.process_time() - began_s) / (len(sound) / RATE_HZ)
    yield Figure("marking, for 1 s of sound in chunks of 80 ms", a_second_ms, "ms", None, "processor time")
    pieces, began_s = windows(sound, WINDOW_S, 50), time.process_time()
    for piece in pieces:
        detect(piece, RATE_HZ, KEY)
    yield Figure("detecting in 3 s", 1000 * (time.process_time() - began_s) / len(pieces), "ms", None, "processor time")


def _voices() -> dict[str, Samples]:
    if not _VOICES:
        _VOICES.update({voice: spoken(voice, TEXT) for voice in VOICES})
        neural = [_flac(path) for path in sorted(natural_voices().glob("*.flac"))]
        _VOICES["neural voice"] = resampled(np.concatenate(neural), 16_000, RATE_HZ)
    return _VOICES


def _marked() -> dict[str, Samples]:
    if not _MARKED:
        _MARKED.update({name: marked(sound, KEY) for name, sound in _voices().items()})
    return _MARKED


_VOICES: dict[str, Samples] = {}
_MARKED: dict[str, Samples] = {}


def _flac(path: object) -> Samples:
    import soundfile

    samples, _ = soundfile.read(path, dtype="float32")
    return np.asarray(samples)


def _noise(name: str) -> Samples:
    sound = NOISES[name](Dice(f"watermark {name}"), 40 * 16_000)
    return resampled((0.1 * sound / rms(sound)).astype(np.float32), 16_000, RATE_HZ)


def _encoded(codec: str, bitrate: int, sound: Samples) -> Samples:
    with StreamingAudioWriter(codec, RATE_HZ, bitrate=bitrate) as writer:
        data = writer.write_chunk(sound, finalize=True)
    decoder = choose_decoder(data[:4096], writer.media_type, codec, PcmFormat(RATE_HZ, 1))
    frames = decoder.decode(data) + decoder.flush()
    assert decoder.format is not None
    return resampled(to_samples(frames), decoder.format.rate_hz, RATE_HZ)


def _with_hiss(below_db: float, sound: Samples) -> Samples:
    hiss = np.random.default_rng(1).standard_normal(len(sound))
    return (sound + hiss * np.sqrt(np.mean(sound**2)) * 10 ** (-below_db / 20)).astype(np.float32)


def _across_a_room(sound: Samples) -> Samples:
    heard = in_room(resampled(sound, RATE_HZ, 16_000).astype(np.float64), Dice("watermark"))
    return resampled((0.5 * heard).astype(np.float32), 16_000, RATE_HZ)


def _sped_up(factor: float, sound: Samples) -> Samples:
    """As if played at another rate than it was made at."""
    return resampled(sound, round(RATE_HZ * factor), RATE_HZ)


def _stretched(factor: float, sound: Samples) -> Samples:
    """FFmpeg's ``atempo``."""
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=RATE_HZ, format="flt", layout="mono")
    tempo, sink = graph.add("atempo", f"{factor}"), graph.add("abuffersink")
    source.link_to(tempo)
    tempo.link_to(sink)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(sound[None, :].copy(), format="flt", layout="mono")
    frame.sample_rate = RATE_HZ
    graph.push(frame)
    graph.push(None)
    out: list[Samples] = []
    while True:
        try:
            out.append(graph.pull().to_ndarray()[0])
        except (av.EOFError, av.BlockingIOError):
            return np.concatenate(out)


def _segmental_snr_db(sound: Samples, changed: Samples) -> float:
    """The mean over 20 ms each, of those that are not 40 dB softer than the loudest; none counts for over 60 dB."""
    count = len(sound) // SEGMENT_FRAMES * SEGMENT_FRAMES
    power = (sound[:count].reshape(-1, SEGMENT_FRAMES) ** 2).mean(axis=1)
    error = ((changed - sound)[:count].reshape(-1, SEGMENT_FRAMES) ** 2).mean(axis=1)
    loud = power > power.max() * 1e-4
    return float(np.minimum(10 * np.log10(power[loud] / (error[loud] + 1e-15)), 60).mean())


def _share_not_masked(sound: Samples, difference: Samples) -> float:
    """In how many critical bands the difference is less than ``MASKED_DB`` under the sound, spread as the ear does.

    Source: Schroeder, Atal and Hall, JASA 66 (1979), with straight slopes; Zwicker and Terhardt, JASA 68 (1980).
    """
    size = SEGMENT_FRAMES
    hz = np.fft.rfftfreq(size, 1 / RATE_HZ)
    barks = (13 * np.arctan(0.00076 * hz) + 3.5 * np.arctan((hz / 7_500) ** 2)).astype(int)
    bands = np.arange(barks.max())

    def power(samples: Samples) -> np.ndarray:
        pieces = np.lib.stride_tricks.sliding_window_view(samples.astype(float), size)[:: size // 2] * np.hanning(size)
        spectra = np.abs(np.fft.rfft(pieces)) ** 2
        return np.stack([spectra[:, barks == band].sum(axis=1) for band in bands], axis=1)

    heard, added = power(sound), power(difference)
    distance = bands[None, :] - bands[:, None]
    spread = heard @ 10 ** (np.where(distance < 0, 27 * distance, -15 * distance) / 10)
    loud = heard.sum(axis=1) > heard.sum(axis=1).max() * 1e-4
    threshold = np.maximum(spread * 10 ** (-MASKED_DB / 10), heard.sum(axis=1).max() * 1e-7)
    return float(np.mean((added > threshold)[loud][:, 5:21]))
