"""`voice-mcp conversations export`: what was said and heard, as one file."""

from __future__ import annotations

import importlib
import io
import json
import os
import subprocess
import sys
import wave
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import av
import numpy
import pytest

from tests.cli.command import LONGEST_S, environment, voice_mcp
from tests.support.house import exchanges
from voice_mcp.cli.export import ExportFormat, export_conversation
from voice_mcp.errors import InvalidInput
from voice_mcp.storage.paths import DataRoot
from voice_mcp.tts.tone import pitch_hz

soundfile: Any = importlib.import_module("soundfile")

Array = numpy.ndarray
RATE_HZ = 24_000
PAUSE_S = 0.6
WORDS = ("Everything", "Completely", "Lighthouse")
"""What is said: a word has a pitch of its own. The last one is the user's."""
SOUNDS = ("wav", "mp3", "flac", "opus", "ogg", "aac")
DELAY_S = {"aac": 0.1}
"""What the codec adds where the format has no place to say so."""
WITHOUT_MATPLOTLIB = "import sys; sys.modules['matplotlib'] = None; from voice_mcp.__main__ import main; main()"


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with one conversation: said at -6 dBFS, said at -26 dBFS, and heard at 48 kHz in stereo."""
    data = tmp_path_factory.mktemp("export") / "data"
    for word, peak_dbfs in zip(WORDS, (-6, -26, -16), strict=True):
        done = voice_mcp(data, "speak", word, "--conversation-id", "talk", "--voice", "sine")
        assert done.returncode == 0, done.stderr
        line = exchanges(data)[-1]
        path = data / line["audio_file"]
        if word == WORDS[-1]:
            heard(data, path, line, peak_dbfs)
        else:
            rewrite(path, at_peak(recorded(path), peak_dbfs))
    return data


def recorded(path: Path) -> Array:
    with wave.open(str(path)) as file:
        return numpy.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)


def at_peak(sound: Array, peak_dbfs: float) -> Array:
    peak = float(numpy.abs(sound).max())
    return sound * (32768 / peak * 10 ** (peak_dbfs / 20))


def rewrite(path: Path, sound: Array, rate_hz: int = RATE_HZ, channels: int = 1) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, 2, rate_hz, 0, "NONE", ""))
        file.writeframes(numpy.rint(sound).astype("<i2").tobytes())


def heard(data: Path, path: Path, line: dict[str, Any], peak_dbfs: float) -> None:
    """Make of an utterance something that a microphone recorded, at twice the rate and on two channels."""
    sound = numpy.repeat(at_peak(recorded(path), peak_dbfs), 4)
    new = path.with_name(path.name.replace("_tts", "_stt"))
    path.rename(new)
    rewrite(new, sound, 2 * RATE_HZ, 2)
    root = DataRoot(data)
    (log,) = [file for _, file in root.exchange_files().days()]
    others = log.read_text(encoding="utf-8").splitlines()[:-1]
    line |= {"type": "stt", "audio_file": root.relative(new), "metadata": {}}
    log.write_text("\n".join([*others, json.dumps(line)]) + "\n", encoding="utf-8")


def export(data: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Export the conversation, with no ffmpeg within reach."""
    return voice_mcp(data, "conversations", "export", "talk", *arguments, PATH=str(data), **settings)


def copied(talk: Path, folder: Path) -> Path:
    """The same records, to be changed."""
    for path in talk.rglob("*"):
        if path.is_file():
            new = folder / "data" / path.relative_to(talk)
            new.parent.mkdir(parents=True, exist_ok=True)
            new.write_bytes(path.read_bytes())
    return folder / "data"


def decoded(data: bytes, ending: str) -> tuple[Array, int]:
    """The samples of one channel, full scale 1, and their rate."""
    if ending == "ogg":  # FFmpeg's Vorbis decoder gets the length wrong
        sound, rate_hz = soundfile.read(io.BytesIO(data), always_2d=True)
        assert sound.shape[1] == 1
        return sound[:, 0], rate_hz
    with av.open(io.BytesIO(data), "r") as container:
        stream = container.streams.audio[0]
        assert stream.channels == 1
        resampler = av.AudioResampler("flt", "mono", stream.rate)
        frames = [part for frame in container.decode(stream) for part in resampler.resample(frame)]
        return numpy.concatenate([frame.to_ndarray()[0] for frame in frames]), stream.rate


def lengths_s(data: Path) -> list[float]:
    return [line["duration_ms"] / 1000 for line in exchanges(data)]


def starts_s(data: Path, pause_s: float = PAUSE_S) -> list[float]:
    lengths = lengths_s(data)
    return [sum(lengths[:index]) + pause_s * index for index in range(len(lengths))]


def pitch_at(sound: Array, rate_hz: int, start_s: float, seconds: float = 0.2) -> float:
    part = sound[int(start_s * rate_hz) : int((start_s + seconds) * rate_hz)]
    spectrum = numpy.abs(numpy.fft.rfft(part * numpy.hanning(len(part)), rate_hz))
    return float(spectrum.argmax())


@pytest.mark.parametrize("ending", SOUNDS)
def test_every_format_holds_every_utterance_in_its_place(talk: Path, tmp_path: Path, ending: str) -> None:
    target = tmp_path / f"whole.{ending}"
    done = export(talk, "--format", ending, "--output", str(target))
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{target} · 0:03 · 3 utterances · " in done.stdout.strip()
    sound, rate_hz = decoded(target.read_bytes(), ending)
    expected_s = sum(lengths_s(talk)) + 2 * PAUSE_S
    late_s = len(sound) / rate_hz - expected_s
    assert -2 / RATE_HZ <= late_s <= DELAY_S.get(ending, 2 / RATE_HZ)
    for word, start_s in zip(WORDS, starts_s(talk), strict=True):
        assert pitch_at(sound, rate_hz, start_s + 0.15) == pytest.approx(pitch_hz(word), rel=0.01)
    pause = sound[int((starts_s(talk)[1] - 0.4) * rate_hz) : int((starts_s(talk)[1] - 0.2) * rate_hz)]
    assert numpy.abs(pause).max() < 0.001


def test_loud_and_quiet_utterances_are_equally_loud_and_joints_do_not_click(talk: Path, tmp_path: Path) -> None:
    data = copied(talk, tmp_path)
    for line in exchanges(data)[:2]:  # cut in the middle of a wave, as an interruption cuts
        path = data / line["audio_file"]
        rewrite(path, recorded(path)[1_234:9_876])
    assert export(data, "--output", str(tmp_path / "whole.wav")).returncode == 0
    whole = recorded(tmp_path / "whole.wav")
    length, pause = 9_876 - 1_234, int(PAUSE_S * RATE_HZ)
    first, second = whole[:length], whole[length + pause : 2 * length + pause]
    third = whole[2 * (length + pause) :]
    sounding = [first[1_000:-1_000], second[1_000:-1_000], third[2_000:12_000]]
    levels = [20 * numpy.log10(numpy.sqrt(numpy.mean(part**2)) / 32768) for part in sounding]
    assert levels == pytest.approx([-20.0] * 3, abs=0.5)
    bends = numpy.abs(numpy.diff(numpy.concatenate([numpy.zeros(2), whole]), 2))
    assert bends[: 2 * (length + pause)].max() <= bends[1_000 : length - 1_000].max() + 2


def test_the_pause_and_the_rate_are_chosen(talk: Path, tmp_path: Path) -> None:
    target = tmp_path / "whole.wav"
    assert export(talk, "--output", str(target), "--pause", "0", "--rate", "16000").returncode == 0
    with wave.open(str(target)) as file:
        assert (file.getframerate(), file.getnchannels()) == (16_000, 1)
        assert file.getnframes() == pytest.approx(sum(lengths_s(talk)) * 16_000, abs=3)


def test_the_file_says_what_it_is_and_that_a_machine_speaks_in_it(talk: Path, tmp_path: Path) -> None:
    target = tmp_path / "whole.flac"
    assert export(talk, "--output", str(target)).returncode == 0
    with av.open(str(target)) as container:
        tags = {name.lower(): value for name, value in container.metadata.items()}
    assert tags["title"] == "Conversation talk"
    assert tags["date"][:2] == "20"
    assert "synthetic (tone, voice sine)" in tags["comment"]


def test_a_file_that_is_there_is_replaced_only_when_forced(talk: Path, tmp_path: Path) -> None:
    target = tmp_path / "whole.wav"
    target.write_text("mine")
    done = export(talk, "--output", str(target))
    assert done.returncode == 1
    assert "--force" in done.stderr
    assert target.read_text() == "mine"
    assert export(talk, "--output", str(target), "--force").returncode == 0
    assert target.read_bytes()[:4] == b"RIFF"
    assert [path.name for path in tmp_path.iterdir()] == ["whole.wav"]


def test_without_an_output_the_file_is_named_after_the_conversation_here(talk: Path) -> None:
    done = export(talk, "--format", "md")
    try:
        assert done.stdout.startswith("Wrote talk.md · 3 utterances · ")
        assert (talk.parent / "somewhere" / "talk.md").is_file()
    finally:
        (talk.parent / "somewhere" / "talk.md").unlink()


def test_what_cannot_be_read_is_left_out_and_named(talk: Path, tmp_path: Path) -> None:
    data = copied(talk, tmp_path)
    paths = [data / line["audio_file"] for line in exchanges(data)]
    paths[0].write_bytes(b"\x91\x82" * 4_000)
    paths[1].unlink()
    (paths[0].parent / "0004_stt.wav").touch()
    done = export(data, "--output", str(tmp_path / "whole.wav"))
    assert done.returncode == 0
    assert [line.split(" is left out: ")[0] for line in done.stderr.splitlines()] == [
        "voice-mcp: 0001_tts.wav",
        "voice-mcp: 0002_tts.wav",
        "voice-mcp: 0004_stt.wav",
    ]
    assert "1 utterance · " in done.stdout
    assert done.stdout.strip().endswith("3 warnings")
    assert len(recorded(tmp_path / "whole.wav")) == pytest.approx(lengths_s(data)[2] * RATE_HZ, abs=2)


def test_where_nothing_can_be_read_no_file_is_made(talk: Path, tmp_path: Path) -> None:
    data = copied(talk, tmp_path)
    for line in exchanges(data):
        (data / line["audio_file"]).unlink()
    done = export(data, "--output", str(tmp_path / "whole.mp3"))
    assert done.returncode == 1
    assert "None of the recordings" in done.stderr.splitlines()[-1]
    assert not list(tmp_path.glob("*.mp3"))


def test_a_conversation_without_audio_says_how_to_keep_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    said = {"version": 1, "timestamp": datetime.now(UTC).isoformat(), "conversation_id": "talk", "type": "tts"}
    DataRoot(data).exchange_files().append(datetime.now(UTC), {**said, "text": "Hello."})
    done = export(data, "--format", "mp3")
    assert done.returncode == 1
    assert "VOICEMODE_SAVE_AUDIO=true" in done.stderr
    assert export(data, "--format", "md", "--output", "-").stdout.endswith("> Hello.\n")


@pytest.mark.parametrize(
    ("output", "plot", "words"),
    [
        ("whole.xyz", None, "does not say a format"),
        ("nowhere/whole.wav", None, "There is no folder"),
        ("folder.wav", None, "is not a file"),
        ("whole.wav", "picture.pdf", "is no picture"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_written(
    tmp_path: Path, output: str, plot: str | None, words: str
) -> None:
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(InvalidInput, match=words):
        export_conversation("talk", output=tmp_path / output, plot=tmp_path / plot if plot else None)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.wav"]


def test_one_file_cannot_be_the_sound_and_the_picture(tmp_path: Path) -> None:
    both = tmp_path / "both.png"
    with pytest.raises(InvalidInput, match="cannot be both"):
        export_conversation("talk", ExportFormat.WAV, both, both)


def test_an_unknown_conversation_is_an_error(talk: Path) -> None:
    done = voice_mcp(talk, "conversations", "export", "nobody")
    assert (done.returncode, done.stdout) == (1, "")
    assert "conversations list" in done.stderr


def test_a_conversation_is_exported_by_the_end_of_its_name(tmp_path: Path) -> None:
    base = tmp_path / "root"
    assert voice_mcp(base, "speak", "-c", "conv_20261128_143241_39dd86", "Hello.").returncode == 0
    done = voice_mcp(base, "conversations", "export", "39dd86", "--format", "md")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Wrote conv_20261128_143241_39dd86.md · 1 utterance")


def test_a_transcript_and_a_document_are_written(talk: Path, tmp_path: Path) -> None:
    done = export(talk, "--output", str(tmp_path / "talk.md"), "--format", "md", TZ="UTC")
    assert done.returncode == 0
    lines = (tmp_path / "talk.md").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# Conversation `talk`"
    assert [line.split(" · ")[1] for line in lines if line.startswith("## ")] == ["Agent", "Agent", "You"]
    assert [line for line in lines if line.startswith("> ")] == [f"> {word}" for word in WORDS]
    document = json.loads(export(talk, "--format", "json", "--output", "-").stdout)
    assert [exchange["text"] for exchange in document["exchanges"]] == list(WORDS)


def test_audio_goes_to_standard_output_as_a_stream(talk: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "voice_mcp", *("conversations", "export", "talk", "--output", "-", "--format", "mp3")],
        capture_output=True,
        env=environment(talk),
        timeout=LONGEST_S,
        check=True,
    )
    sound, rate_hz = decoded(done.stdout, "mp3")
    assert pitch_at(sound, rate_hz, starts_s(talk)[1] + 0.2) == pytest.approx(pitch_hz(WORDS[1]), rel=0.01)
    assert b"Wrote to standard output \xc2\xb7 0:03 \xc2\xb7 3 utterances" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full")
def test_standard_output_that_is_full_is_an_error_in_one_line(talk: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "voice_mcp", *("conversations", "export", "talk", "--output", "-")],
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment(talk),
            timeout=LONGEST_S,
            check=False,
        )
    assert done.returncode != 0
    assert b"Standard output could not be written: No space left on device." in done.stderr
    assert b"Traceback" not in done.stderr


def test_what_another_engine_said_of_an_utterance_follows_without_a_pause(talk: Path, tmp_path: Path) -> None:
    data = copied(talk, tmp_path)
    first, second, _ = (data / line["audio_file"] for line in exchanges(data))
    sound = recorded(first)
    second.unlink()
    rewrite(first, sound[:6_000])
    rewrite(second.with_name("0002_tts.wav"), sound[6_000:])
    (log,) = [file for _, file in DataRoot(data).exchange_files().days()]
    lines = log.read_text(encoding="utf-8").splitlines()
    log.write_text("\n".join([lines[0], lines[2]]) + "\n", encoding="utf-8")
    done = export(data, "--output", str(tmp_path / "whole.wav"))
    assert "2 utterances" in done.stdout
    expected = lengths_s(data)
    assert len(recorded(tmp_path / "whole.wav")) == pytest.approx((sum(expected) + PAUSE_S) * RATE_HZ, abs=3)


def test_raw_recordings_are_played_at_the_rate_that_fits_their_length(talk: Path, tmp_path: Path) -> None:
    data = copied(talk, tmp_path)
    (log,) = [file for _, file in DataRoot(data).exchange_files().days()]
    line = exchanges(data)[0]
    frames = round(22_050 * line["duration_ms"] / 1000)
    tone = 8_000 * numpy.sin(2 * numpy.pi * 700 * numpy.arange(frames) / 22_050)
    (data / line["audio_file"]).with_suffix(".pcm").write_bytes(tone.astype("<i2").tobytes())
    line["audio_file"] = line["audio_file"].replace(".wav", ".pcm")
    log.write_text(json.dumps(line) + "\n", encoding="utf-8")
    for path in (data / "audio").rglob("*.wav"):
        path.unlink()
    assert export(data, "--output", str(tmp_path / "whole.wav")).returncode == 0
    assert pitch_at(recorded(tmp_path / "whole.wav"), RATE_HZ, 0.1) == pytest.approx(700, abs=2)


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_a_picture_of_sensible_size_is_drawn(talk: Path, tmp_path: Path, ending: str) -> None:
    plot = tmp_path / f"plot.{ending}"
    done = export(talk, "--format", "md", "--output", str(tmp_path / "talk.md"), "--plot", str(plot))
    assert (done.returncode, done.stderr) == (0, "")
    assert str(plot) in done.stdout
    if ending == "svg":
        assert b"<svg" in plot.read_bytes()[:600]
        return
    with av.open(str(plot)) as container:
        picture = next(container.decode(video=0)).to_ndarray(format="rgb24")
    height, width, _ = picture.shape
    assert (1_500 <= width <= 2_500, 500 <= height <= 1_200) == (True, True)
    assert 0.02 < numpy.mean(picture < 200) < 0.5


def test_without_matplotlib_the_command_that_installs_it_is_named_and_nothing_is_written(
    talk: Path, tmp_path: Path
) -> None:
    target = tmp_path / "talk.md"
    arguments = ("conversations", "export", "talk", "--output", str(target), "--plot", str(tmp_path / "plot.png"))
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_MATPLOTLIB, *arguments],
        capture_output=True,
        env=environment(talk),
        cwd=tmp_path,
        timeout=LONGEST_S,
        check=False,
    )
    assert done.returncode == 1
    assert b'pip install "voice-mcp[plot]"' in done.stderr
    assert not target.exists()


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_of_a_link_the_file_behind_it_is_replaced(talk: Path, tmp_path: Path) -> None:
    real, link = tmp_path / "real.md", tmp_path / "link.md"
    real.write_text("old")
    link.symlink_to(real)
    assert export(talk, "--output", str(link), "--force").returncode == 0
    assert link.is_symlink()
    assert real.read_text(encoding="utf-8").startswith("# Conversation")


def test_a_record_that_leads_out_of_the_data_folder_is_not_followed(talk: Path, tmp_path: Path) -> None:
    data = copied(talk, tmp_path)
    rewrite(tmp_path / "secret.wav", recorded(data / exchanges(data)[0]["audio_file"]))
    later = datetime.now(UTC) + timedelta(seconds=1)
    said = {"version": 1, "timestamp": later.isoformat(), "conversation_id": "talk", "type": "tts", "text": "?"}
    DataRoot(data).exchange_files().append(later, {**said, "audio_file": "../secret.wav"})
    done = export(data, "--output", str(tmp_path / "whole.wav"))
    assert "leads out of the data folder" in done.stderr
    assert "3 utterances" in done.stdout
