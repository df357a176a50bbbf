"""`voice-mcp doctor`: what it finds, and when it says that speaking cannot work."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import voice_mcp, voice_mcp_after, voice_mcp_without
from tests.support.behaviour import Behaviour
from tests.support.endpoint import SpeechEndpoint
from tests.support.ggml import write_tone_model
from tests.support.pulse import PulseCard

KEY = "sk-planted-0123456789abcdef"
DEAF = "Listening does not: there is no microphone that hears, and nobody can turn speech into words."


def examined(base_dir: Path, *, exit_code: int, **settings: str) -> dict[str, Any]:
    done = voice_mcp(base_dir, "doctor", "--json", **settings)
    assert done.returncode == exit_code, done.stdout + done.stderr
    assert KEY not in done.stdout + done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def check(report: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(entry for entry in report["checks"] if entry["name"] == name)
    return found


def test_a_healthy_machine_passes(tmp_path: Path) -> None:
    report = examined(tmp_path / "data", exit_code=0, VOICEMODE_TTS_ENGINE="espeak", VOICEMODE_AUDIO_OUTPUT="null")
    assert report.keys() == {"can_speak", "verdict", "checks"}
    assert report["can_speak"] is True
    names = [entry["name"] for entry in report["checks"]]
    assert names == [
        *("voice-mcp", "settings", "data folder", "sound out", "PortAudio", "miniaudio", "codecs", "espeak"),
        *("endpoints", "sound in", "recogniser", "recogniser", "recogniser"),
    ]
    assert all(entry.keys() == {"name", "state", "detail", "hint"} for entry in report["checks"])
    assert {entry["state"] for entry in report["checks"]} <= {"ok", "warning"}
    assert "speaks" in check(report, "espeak")["detail"]


def test_looking_leaves_nothing_behind(tmp_path: Path) -> None:
    examined(tmp_path / "data", exit_code=0)
    assert not (tmp_path / "data").exists()


def test_every_thing_is_one_line_in_a_pipe(tmp_path: Path) -> None:
    done = voice_mcp(tmp_path / "data", "doctor")
    *checks, verdict = done.stdout.splitlines()
    assert all(line.split()[0] in ("ok", "warning", "broken") for line in checks)
    assert verdict == f"Speaking works. {DEAF}"


def test_without_any_engine_speaking_cannot_work(tmp_path: Path, dead_endpoint: str) -> None:
    settings = {"VOICEMODE_TTS_ENGINE": "openai", "VOICEMODE_TTS_BASE_URLS": dead_endpoint}
    report = examined(tmp_path / "data", exit_code=1, **settings)
    assert report["can_speak"] is False
    assert "no engine can speak" in report["verdict"]
    endpoint = check(report, "endpoint")
    assert endpoint["state"] == "broken"
    assert "VOICEMODE_TTS_BASE_URLS" in endpoint["hint"]


def test_an_endpoint_that_is_away_is_a_warning_while_another_voice_is_there(tmp_path: Path, dead_endpoint: str) -> None:
    report = examined(
        tmp_path / "data", exit_code=0, VOICEMODE_TTS_ENGINE="auto", VOICEMODE_TTS_BASE_URLS=dead_endpoint
    )
    assert check(report, "endpoint")["state"] == "warning"


def test_without_device_and_folder_sound_can_go_nowhere(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    report = examined(tmp_path / "data", exit_code=1, VOICEMODE_BASE_DIR=str(in_the_way / "data"))
    assert check(report, "data folder")["state"] == "broken"
    assert "VOICEMODE_BASE_DIR" in check(report, "data folder")["hint"]
    assert "nowhere" in report["verdict"]


@pytest.mark.pulse
def test_a_sound_card_is_opened_and_hears_only_silence(tmp_path: Path, pulse_card: PulseCard) -> None:
    settings = {**pulse_card.env, "VOICEMODE_AUDIO_OUTPUT": "auto"}
    report = examined(tmp_path / "data", exit_code=0, **settings)
    sound = check(report, "sound out")
    assert (sound["state"], sound["detail"].split(",")[0]) == ("ok", "sounddevice")
    assert not any(pulse_card.captured())


@pytest.mark.pulse
def test_a_microphone_that_hears_is_well_with_its_level(tmp_path: Path, pulse_card: PulseCard) -> None:
    pulse_card.microphone(noise=500)
    report = examined(tmp_path / "data", exit_code=0, **pulse_card.env, VOICEMODE_AUDIO_INPUT="auto")
    microphone = check(report, "sound in")
    assert microphone["state"] == "ok"
    assert re.fullmatch(r"sounddevice, default device, level -4\d dB", microphone["detail"])
    assert pulse_card.recorders() == set()


@pytest.mark.pulse
def test_a_microphone_that_gives_only_zeros_is_a_warning_that_says_why(tmp_path: Path, pulse_card: PulseCard) -> None:
    pulse_card.microphone()
    report = examined(tmp_path / "data", exit_code=0, **pulse_card.env, VOICEMODE_AUDIO_INPUT="miniaudio")
    microphone = check(report, "sound in")
    assert microphone["state"] == "warning"
    assert "nothing but zeros" in microphone["detail"]
    assert "nmute it" in microphone["hint"]


def test_without_a_microphone_speaking_works_all_the_same(tmp_path: Path) -> None:
    settings = {"VOICEMODE_AUDIO_INPUT": "file", "VOICEMODE_INPUT_DEVICE": str(tmp_path / "none.wav")}
    report = examined(tmp_path / "data", exit_code=0, **settings)
    assert report["verdict"] == f"Speaking works. {DEAF}"
    microphone = check(report, "sound in")
    assert microphone["state"] == "warning"
    assert "none.wav" in microphone["detail"]
    assert "VOICEMODE_INPUT_DEVICE" in microphone["hint"]


@pytest.mark.parametrize(("choice", "state"), [("none", "ok"), ("null", "warning")])
def test_what_hears_nothing_on_purpose_is_named(tmp_path: Path, choice: str, state: str) -> None:
    report = examined(tmp_path / "data", exit_code=0, VOICEMODE_AUDIO_INPUT=choice)
    assert check(report, "sound in")["state"] == state
    assert choice in check(report, "sound in")["detail"]


def test_an_endpoint_that_answers_is_well(tmp_path: Path, speech_endpoint: SpeechEndpoint) -> None:
    settings = {"VOICEMODE_TTS_ENGINE": "openai", "VOICEMODE_TTS_BASE_URLS": speech_endpoint.base_url}
    report = examined(tmp_path / "data", exit_code=0, **settings)
    assert check(report, "endpoint")["state"] == "ok"
    assert "has none" in check(report, "keys")["detail"]


def test_a_key_that_is_refused_is_broken_and_never_shown(tmp_path: Path) -> None:
    with SpeechEndpoint(api_key="another") as endpoint:
        settings = {
            "VOICEMODE_TTS_ENGINE": "auto",
            "VOICEMODE_TTS_BASE_URLS": endpoint.base_url,
            "VOICEMODE_TTS_API_KEYS": KEY,
        }
        report = examined(tmp_path / "data", exit_code=0, **settings)
    assert check(report, "endpoint")["state"] == "broken"
    assert "VOICEMODE_TTS_API_KEYS" in check(report, "endpoint")["hint"]
    assert "has one" in check(report, "keys")["detail"]


def test_openai_is_not_asked_without_a_key_or_offline(tmp_path: Path) -> None:
    settings = {"VOICEMODE_TTS_ENGINE": "auto", "VOICEMODE_TTS_BASE_URLS": "https://api.openai.com/v1"}
    without_key = check(examined(tmp_path / "data", exit_code=0, **settings), "endpoint")
    assert (without_key["state"], without_key["hint"]) == ("warning", "Set OPENAI_API_KEY.")
    offline = {**settings, "OPENAI_API_KEY": KEY, "VOICEMODE_OFFLINE": "true"}
    assert "OFFLINE" in check(examined(tmp_path / "data", exit_code=0, **offline), "endpoint")["detail"]


def recognisers(base_dir: Path, **settings: str) -> list[dict[str, Any]]:
    """What is found of those who listen; speaking works whatever it is."""
    report = examined(base_dir, exit_code=0, **settings)
    found = [entry for entry in report["checks"] if entry["name"] == "recogniser"]
    assert "broken" not in [entry["state"] for entry in found]
    return found


def test_every_recogniser_has_a_line_that_tells_of_its_key(tmp_path: Path, dead_endpoint: str) -> None:
    with SpeechEndpoint(api_key=KEY) as endpoint:
        urls = f"{endpoint.base_url},{dead_endpoint},https://api.openai.com/v1"
        settings = {"VOICEMODE_STT_BASE_URLS": urls, "VOICEMODE_STT_API_KEYS": KEY}
        listening, dead, openai, _ = recognisers(tmp_path / "data", **settings)
        assert endpoint.transcriptions == []
    assert (listening["state"], listening["detail"]) == ("ok", f"{endpoint.host} answers, with a key")
    assert (dead["state"], "VOICEMODE_STT_BASE_URLS" in dead["hint"]) == ("warning", True)
    assert (openai["state"], openai["hint"]) == ("warning", "Set OPENAI_API_KEY.")


def test_a_recogniser_that_refuses_the_key_is_a_warning_that_names_its_setting(tmp_path: Path) -> None:
    with SpeechEndpoint(api_key="another") as endpoint:
        settings = {"VOICEMODE_STT_BASE_URLS": endpoint.base_url, "VOICEMODE_STT_API_KEYS": KEY}
        found, _ = recognisers(tmp_path / "data", **settings)
    assert found["state"] == "warning"
    assert "VOICEMODE_STT_API_KEYS" in found["hint"]


def test_a_recogniser_that_lists_no_models_is_fine(tmp_path: Path) -> None:
    with SpeechEndpoint(listing=Behaviour.web_page(404)) as endpoint:
        found, _ = recognisers(tmp_path / "data", VOICEMODE_STT_BASE_URLS=endpoint.base_url)
    assert (found["state"], "/v1" in found["hint"]) == ("ok", True)


def test_where_nobody_can_listen_it_is_said_and_where_nobody_is_to_it_is_fine(tmp_path: Path) -> None:
    openai = {
        "VOICEMODE_STT_BASE_URLS": "https://api.openai.com/v1",
        "OPENAI_API_KEY": KEY,
        "VOICEMODE_OFFLINE": "true",
    }
    left_alone, _, nobody = recognisers(tmp_path / "data", **openai)
    assert "OFFLINE" in left_alone["detail"]
    assert (nobody["state"], nobody["detail"]) == ("warning", "Nobody can turn speech into words.")
    unwanted, _ = recognisers(tmp_path / "data", VOICEMODE_STT_ENGINE="none")
    assert (unwanted["state"], "VOICEMODE_STT_ENGINE=none" in unwanted["detail"]) == ("ok", True)


def test_recognisers_of_this_machine_are_one_line_that_warns_only_those_who_ask_for_them(tmp_path: Path) -> None:
    _, quiet = recognisers(tmp_path / "data", VOICEMODE_STT_ENGINE="none")
    assert quiet["state"] == "ok"
    assert quiet["detail"].startswith("on this machine: whisper ")
    _, asked = recognisers(tmp_path / "data", VOICEMODE_STT_ENGINE="whisper")
    assert (asked["state"], "install" in asked["hint"]) == ("warning", True)


def test_a_recogniser_that_is_not_there_is_a_warning_while_nobody_else_listens(
    tmp_path: Path, dead_endpoint: str
) -> None:
    with SpeechEndpoint() as endpoint:
        *_, spare = recognisers(tmp_path / "data", VOICEMODE_STT_BASE_URLS=endpoint.base_url)
    *_, needed = recognisers(tmp_path / "data", VOICEMODE_STT_BASE_URLS=dead_endpoint)
    assert spare["detail"] == needed["detail"]
    assert (spare["state"], needed["state"]) == ("ok", "warning")


def test_an_unknown_model_is_told_also_where_nothing_is_installed(tmp_path: Path) -> None:
    *_, found = recognisers(tmp_path / "data", VOICEMODE_WHISPER_MODEL="bass")
    assert "VOICEMODE_WHISPER_MODEL=bass is neither a model nor a file" in found["detail"]
    assert found["hint"] == "Did you mean base?"


@pytest.mark.pulse
def test_the_verdict_says_whether_listening_works_and_why_not(tmp_path: Path, pulse_card: PulseCard) -> None:
    pulse_card.microphone(noise=300)
    with SpeechEndpoint() as endpoint:
        heard = {**pulse_card.env, "VOICEMODE_AUDIO_INPUT": "auto", "VOICEMODE_STT_BASE_URLS": endpoint.base_url}
        works = examined(tmp_path / "data", exit_code=0, **heard)
        off = examined(tmp_path / "data", exit_code=0, **heard | {"VOICEMODE_STT_ENGINE": "none"})
        mute = examined(tmp_path / "data", exit_code=0, **heard | {"VOICEMODE_AUDIO_INPUT": "none"})
    assert works["verdict"] == "Speaking works. Listening works."
    assert off["verdict"] == "Speaking works. Listening does not: VOICEMODE_STT_ENGINE is none."
    assert mute["verdict"] == "Speaking works. Listening does not: VOICEMODE_AUDIO_INPUT is none."


def test_whisper_on_this_machine_is_told_when_it_is_there(tmp_path: Path) -> None:
    pytest.importorskip("_pywhispercpp", reason="pywhispercpp has no wheel here")
    weights = write_tone_model(tmp_path / "tones.bin")
    settings = {"VOICEMODE_STT_ENGINE": "whisper", "VOICEMODE_WHISPER_MODEL": str(weights)}
    _, found = recognisers(tmp_path / "data", **settings)
    assert (found["state"], "whisper (tones.bin) is installed" in found["detail"]) == ("ok", True)


def test_a_format_recordings_cannot_be_written_in_is_broken_and_the_rest_is_looked_at(tmp_path: Path) -> None:
    settings = {"VOICEMODE_AUDIO_SAVE_FORMAT": "ogg"}
    done = voice_mcp_without("soundfile", tmp_path / "data", "doctor", "--json", **settings)
    report = json.loads(done.stdout)
    assert (done.returncode, report["can_speak"]) == (1, False)
    codecs = check(report, "codecs")
    assert (codecs["state"], "VOICEMODE_AUDIO_SAVE_FORMAT=ogg" in codecs["detail"]) == ("broken", True)
    assert 'pip install "voice-mcp[ogg]"' in codecs["hint"]
    assert check(report, "sound out")["state"] == "ok"


def test_without_the_library_of_ogg_all_is_well_as_long_as_nobody_wants_ogg(tmp_path: Path) -> None:
    done = voice_mcp_without("soundfile", tmp_path / "data", "doctor", "--json")
    codecs = check(json.loads(done.stdout), "codecs")
    assert (done.returncode, codecs["state"], "voice-mcp[ogg]" in codecs["detail"]) == (0, "ok", True)


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX systems")
@pytest.mark.parametrize("folder", ["here", "to_come"])
def test_a_folder_without_room_cannot_be_written(tmp_path: Path, folder: str) -> None:
    (tmp_path / "here").mkdir()
    no_room = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))"
    done = voice_mcp_after(no_room, tmp_path / folder, "doctor", "--json", VOICEMODE_AUDIO_OUTPUT="null")
    found = check(json.loads(done.stdout), "data folder")
    assert (found["state"], "Make room" in found["hint"]) == ("broken", True)


def test_a_bad_setting_is_what_is_broken(tmp_path: Path) -> None:
    report = examined(tmp_path / "data", exit_code=1, VOICEMODE_TTS_SPEED="9")
    (broken,) = [entry for entry in report["checks"] if entry["state"] == "broken"]
    assert (broken["name"], broken["state"]) == ("settings", "broken")
    assert "VOICEMODE_TTS_SPEED" in broken["detail"]
    assert "VOICEMODE_TTS_SPEED" in report["verdict"]


def test_what_is_well_is_looked_at_beside_bad_settings_and_contradictions(tmp_path: Path) -> None:
    looked_at = {"data folder", "codecs", "sound in"}
    bad = examined(tmp_path / "data", exit_code=1, VOICEMODE_TTS_SPEED="9", VOICEMODE_PAN="left")
    states = [entry["state"] for entry in bad["checks"] if entry["name"] == "settings"]
    assert states == ["broken", "broken"]
    assert looked_at | {"sound out", "tone"} <= {entry["name"] for entry in bad["checks"]}

    open_key = {"VOICEMODE_STT_BASE_URLS": "http://one.example/v1", "VOICEMODE_STT_API_KEYS": KEY}
    contradiction = examined(tmp_path / "data", exit_code=1, **open_key)
    assert looked_at <= {entry["name"] for entry in contradiction["checks"]}
    assert "VOICEMODE_STT_API_KEYS" in contradiction["verdict"]


def test_keys_that_nobody_gets_are_a_warning(tmp_path: Path) -> None:
    keys = {"VOICEMODE_TTS_BASE_URLS": "https://one.example/v1", "VOICEMODE_TTS_API_KEYS": f"{KEY},{KEY}"}
    found = check(examined(tmp_path / "data", exit_code=0, **keys), "settings")
    assert (found["state"], "VOICEMODE_TTS_API_KEYS (environment) has 2 keys" in found["detail"]) == ("warning", True)


def test_a_misspelt_setting_is_a_warning(tmp_path: Path) -> None:
    report = examined(tmp_path / "data", exit_code=0, VOICEMODE_TTS_SPED="2")
    assert check(report, "settings")["state"] == "warning"
    assert "VOICEMODE_TTS_SPEED" in check(report, "settings")["detail"]


# --- interruption ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("choice", "detail"), [("headphones", "headphones"), ("on", "open loudspeakers")])
def test_where_the_agent_can_be_interrupted_a_line_says_so(tmp_path: Path, choice: str, detail: str) -> None:
    report = examined(tmp_path / "data", exit_code=0, VOICEMODE_BARGE_IN=choice)
    assert check(report, "interruption")["state"] == "ok"
    assert detail in check(report, "interruption")["detail"]


def test_open_loudspeakers_without_echo_cancellation_are_a_warning_with_the_command_that_mends_it(
    tmp_path: Path,
) -> None:
    done = voice_mcp_without("pywebrtc_audio", tmp_path / "data", "doctor", "--json", VOICEMODE_BARGE_IN="on")
    assert done.returncode == 0, done.stdout + done.stderr
    found = check(json.loads(done.stdout), "interruption")
    assert found["state"] == "warning"
    assert 'pip install "voice-mcp[aec]"' in found["hint"]
    assert "VOICEMODE_BARGE_IN=headphones" in found["hint"]


# --- what somebody may ask for besides -----------------------------------------------------------------------------


def test_a_turn_model_that_is_not_installed_is_a_warning_with_the_command_that_mends_it(tmp_path: Path) -> None:
    report = examined(tmp_path / "data", exit_code=0, VOICEMODE_TURN_MODEL="smart_turn")
    found = check(report, "turn model")
    assert (found["state"], "install" in found["hint"]) == ("warning", True)
    assert "something it was to use is missing" in report["verdict"]


def test_ducking_without_a_sound_server_is_a_warning(tmp_path: Path) -> None:
    nowhere = {"PULSE_SERVER": f"unix:{tmp_path}/none", "XDG_RUNTIME_DIR": str(tmp_path)}
    asked_for = {"VOICEMODE_AUDIO_OUTPUT": "auto", "VOICEMODE_DUCKING": "0.3"}
    found = check(examined(tmp_path / "data", exit_code=0, **nowhere, **asked_for), "ducking")
    assert (found["state"], "VOICEMODE_DUCKING=off" in found["hint"]) == ("warning", True)
    assert "lower other programs" in found["detail"]


@pytest.mark.pulse
def test_ducking_with_a_sound_server_is_well(tmp_path: Path, pulse_card: PulseCard) -> None:
    asked_for = {"VOICEMODE_AUDIO_OUTPUT": "auto", "VOICEMODE_DUCKING": "0.3"}
    found = check(examined(tmp_path / "data", exit_code=0, **pulse_card.env, **asked_for), "ducking")
    assert (found["state"], "30%" in found["detail"]) == ("ok", True), found
