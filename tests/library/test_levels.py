"""One gain for a voice: as loud as was asked for, and nothing that follows the sound."""

from __future__ import annotations

import numpy as np
import pytest

from voice_mcp import TTS
from voice_mcp.codecs.loudness import loudness_lufs
from voice_mcp.library.chunks import FORMAT
from voice_mcp.samples.convert import to_frames
from voice_mcp.tts.tone import ToneEngine
from voice_mcp.watermark.detector import detect

TEXT = "Every word has a tone of its own. This is the second sentence, which is a little longer than the first one."


@pytest.mark.parametrize("target_lufs", [-30.0, -18.0, -14.0])
@pytest.mark.parametrize("voice", ["sine", "square"])
def test_every_voice_comes_to_the_loudness_that_was_asked_for(target_lufs: float, voice: str) -> None:
    with TTS(ToneEngine(), loudness_lufs=target_lufs) as tts:
        sound = tts.generate(TEXT, speaker=voice)
    assert loudness_lufs(to_frames(sound), FORMAT) == pytest.approx(target_lufs, abs=1.0)
    assert np.abs(sound).max() <= 10 ** (-1 / 20)


def test_the_gain_is_one_number_and_silence_stays_silence() -> None:
    with TTS(ToneEngine()) as tts, TTS(ToneEngine(), loudness_lufs=-24.0) as level:
        plain, levelled = tts.generate(TEXT), level.generate(TEXT)
    sounding = np.abs(plain) > 0.01
    ratios_db = 20 * np.log10(levelled[sounding] / plain[sounding])
    assert ratios_db.max() - ratios_db.min() < 0.1
    assert not levelled[plain == 0].any()


def test_streaming_and_whole_are_the_same_at_a_wanted_loudness_too() -> None:
    with TTS(ToneEngine(), loudness_lufs=-14.0) as tts:
        streamed = np.concatenate(list(tts.generate_streaming(TEXT, chunk_size=3)))
        assert np.array_equal(streamed, tts.generate(TEXT))


SPOKEN = "A sentence that is spoken by a voice, and takes a few seconds of time. Another one follows it at once."


def test_what_is_marked_is_found_and_what_is_not_is_not() -> None:
    with TTS("espeak") as tts, TTS("espeak", watermark_key="ours", loudness_lufs=-18) as marked:
        assert not detect(tts.generate(SPOKEN), 24_000, "ours").is_marked
        chunks = list(marked.generate_streaming(SPOKEN, chunk_size=3))
    assert detect(np.concatenate(chunks), 24_000, "ours").is_marked
    assert not detect(np.concatenate(chunks), 24_000, "theirs").is_marked


def test_the_key_may_come_from_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICEMODE_WATERMARK_KEY", "ours")
    with TTS("espeak") as tts:
        assert detect(tts.generate(SPOKEN), 24_000, "ours").is_marked


def test_speakers_of_a_dialogue_are_as_loud_as_each_other() -> None:
    with TTS(ToneEngine(), loudness_lufs=-20.0) as tts:
        quiet, loud = tts.generate([(0, TEXT)]), tts.generate([(1, TEXT)])
        both = tts.generate([(0, TEXT), (1, TEXT)])
    assert np.array_equal(both, np.concatenate((quiet, loud)))
    loudnesses = [loudness_lufs(to_frames(sound), FORMAT) for sound in (quiet, loud)]
    assert loudnesses[0] == pytest.approx(loudnesses[1], abs=1.0)
