"""The settings: where a value comes from, what is refused, and what is never shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from voice_mcp.errors import SettingsError
from voice_mcp.settings import LoadedSettings, Settings, load_settings, project_path, setting_names

SECRET = "sk-this-is-never-shown"


class Sources:
    """The three places a value may come from, all empty at first."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.project = folder / ".env"
        self.home = folder / "home.env"
        self._monkeypatch = monkeypatch

    def env(self, **values: str) -> None:
        """Set variables of the environment, named without the prefix."""
        for name, value in values.items():
            self._monkeypatch.setenv(f"VOICEMODE_{name}", value)

    def load(self) -> LoadedSettings:
        return load_settings(self.project, self.home)

    def settings(self) -> Settings:
        return self.load().settings

    def origin(self, name: str) -> tuple[str, str]:
        """The value as text and where it came from."""
        return next((o.value, o.source) for o in self.load().origins if o.name == f"VOICEMODE_{name}")


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sources:
    return Sources(tmp_path, monkeypatch)


# --- where a value comes from ------------------------------------------------------------------------------------


def test_without_anything_the_defaults_hold(sources: Sources) -> None:
    settings = sources.settings()

    assert settings.tts_base_urls == ("http://127.0.0.1:8880/v1", "https://api.openai.com/v1")
    assert (settings.tts_audio_format, settings.tts_engine, settings.audio_output) == ("pcm", "auto", "auto")
    assert (settings.stream_chunk_size, settings.stream_buffer_ms) == (4096, 150)
    assert (settings.stream_max_buffer, settings.stream_stall_timeout) == (2.0, 3.0)
    assert (settings.retention_days, settings.call_limit_s) == (30, 50)
    assert {origin.source for origin in sources.load().origins} == {"default"}
    assert sources.load().warnings == ()


def test_the_environment_wins_over_the_project_over_the_home_file(sources: Sources) -> None:
    sources.home.write_text("VOICEMODE_TTS_SPEED=1.1\nVOICEMODE_RETENTION_DAYS=1\nVOICEMODE_STREAM_BUFFER_MS=10\n")
    sources.project.write_text("VOICEMODE_TTS_SPEED=1.2\nVOICEMODE_RETENTION_DAYS=2\n")
    sources.env(TTS_SPEED="1.3")
    settings = sources.settings()

    assert (settings.tts_speed, settings.retention_days, settings.stream_buffer_ms) == (1.3, 2, 10)
    assert sources.origin("TTS_SPEED") == ("1.3", "environment")
    assert sources.origin("RETENTION_DAYS") == ("2", str(sources.project))
    assert sources.origin("STREAM_BUFFER_MS") == ("10.0", str(sources.home))
    assert sources.origin("STREAM_MAX_BUFFER") == ("2.0", "default")


def test_the_files_are_looked_for_in_the_working_folder_and_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, project = tmp_path / "somebody", tmp_path / "project"
    (home / ".voicemode").mkdir(parents=True)
    project.mkdir()
    (home / ".voicemode" / "voicemode.env").write_text("VOICEMODE_TTS_SPEED=1.1\nVOICEMODE_RETENTION_DAYS=1\n")
    (project / ".env").write_text("VOICEMODE_TTS_SPEED=1.2\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.chdir(project)
    settings = load_settings().settings

    assert (settings.tts_speed, settings.retention_days) == (1.2, 1)


def test_ducking_is_a_share_or_off(sources: Sources) -> None:
    sources.env(DUCKING="off")
    assert sources.settings().ducking == 0
    sources.env(DUCKING="0.3")
    assert sources.settings().ducking == 0.3


def test_an_empty_value_is_no_value(sources: Sources) -> None:
    sources.project.write_text("VOICEMODE_TTS_SPEED=1.2\n")
    sources.env(TTS_SPEED="")

    assert sources.settings().tts_speed == 1.2
    assert sources.origin("TTS_SPEED") == ("1.2", str(sources.project))


def test_the_other_name_of_a_setting_works_too(sources: Sources) -> None:
    sources.env(VOICES="nova, alloy")

    assert sources.settings().tts_voices == ("nova", "alloy")
    assert sources.origin("TTS_VOICES") == ("nova,alloy", "environment")
    assert sources.load().warnings == ()


def test_where_a_value_comes_from_is_told_right_under_either_name(sources: Sources) -> None:
    sources.project.write_text("VOICEMODE_TTS_VOICES=nova\n")
    sources.env(VOICES="alloy")

    assert sources.origin("TTS_VOICES") == ("alloy", "environment")


def test_the_documented_name_wins_where_both_are_given(sources: Sources) -> None:
    sources.env(VOICES="alloy", TTS_VOICES="nova")

    assert sources.settings().tts_voices == ("nova",)


def test_other_peoples_variables_are_none_of_our_business(sources: Sources) -> None:
    sources.project.write_text("DATABASE_URL=postgres://\nTTS_SPEED=9\n")

    assert sources.load().warnings == ()
    assert sources.settings().tts_speed == 1.0


@pytest.mark.parametrize("content", [b"NAME=\xff\xfe\n", b"\xff\xfe\x00"])
def test_a_file_that_cannot_be_read_is_named(sources: Sources, content: bytes) -> None:
    sources.project.write_bytes(content)

    with pytest.raises(SettingsError, match=re.escape(str(sources.project))):
        sources.load()


# --- lists and folders -------------------------------------------------------------------------------------------


def test_a_list_is_written_with_commas(sources: Sources) -> None:
    sources.env(TTS_BASE_URLS="http://one/v1/, https://two:8080/v1", TTS_MODELS="tts-1,,kokoro,")
    settings = sources.settings()

    assert settings.tts_base_urls == ("http://one/v1", "https://two:8080/v1")
    assert settings.tts_models == ("tts-1", "kokoro")


def test_keys_keep_their_places_and_may_be_empty(sources: Sources) -> None:
    sources.env(TTS_API_KEYS="first,,third")

    assert [key.get_secret_value() for key in sources.settings().tts_api_keys] == ["first", "", "third"]


@pytest.mark.parametrize(
    ("given_language", "language"), [("auto", None), ("AUTO", None), ("de", "de"), ("EN-us", "en"), ("haw", "haw")]
)
def test_a_language_is_a_code_without_a_region(sources: Sources, given_language: str, language: str | None) -> None:
    sources.env(STT_LANGUAGE=given_language)

    assert sources.settings().stt_language == language


def test_an_address_with_a_password_names_the_setting_for_keys(sources: Sources) -> None:
    sources.env(STT_BASE_URLS=f"https://me:{SECRET}@one.example/v1")
    with pytest.raises(SettingsError, match="VOICEMODE_STT_API_KEYS") as refused:
        sources.load()

    assert SECRET not in refused.value.advice


def test_a_tilde_is_the_home_folder(sources: Sources) -> None:
    sources.env(BASE_DIR="~/voices", EVENT_LOG_DIR="~/events")
    settings = sources.settings()

    assert settings.base_dir == Path("~/voices").expanduser()
    assert settings.event_log_dir == Path("~/events").expanduser()


@pytest.mark.parametrize(
    ("name", "keeps"),
    [
        ("SAVE_AUDIO", (True, False)),
        ("SAVE_TRANSCRIPTIONS", (False, True)),
        ("SAVE_ALL", (True, True)),
        ("DEBUG", (True, True)),
        ("OFFLINE", (False, False)),
    ],
)
def test_what_is_kept_follows_from_what_is_asked_for(sources: Sources, name: str, keeps: tuple[bool, bool]) -> None:
    sources.env(**{name: "true"})
    settings = sources.settings()

    assert (settings.keeps_audio, settings.keeps_transcripts) == keeps


def test_the_project_is_the_hosts_or_the_working_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert project_path() == str(tmp_path)
    monkeypatch.setenv("CLAUDE_PROJECT_DIR", "/somewhere/else")

    assert project_path() == "/somewhere/else"


def test_settings_cannot_be_changed_once_read(sources: Sources) -> None:
    with pytest.raises(ValidationError):
        sources.settings().tts_speed = 2.0  # type: ignore[misc]


# --- bad values --------------------------------------------------------------------------------------------------

BAD = [
    ("AUDIO_SAVE_FORMAT", "wma", "one of wav, flac, mp3, aac, opus, ogg, pcm"),
    ("STREAMING_ENABLED", "perhaps", "true or false"),
    ("TTS_SPEED", "0.2", "a number from 0.25 up to 4.0"),
    ("TTS_SPEED", "4.1", "a number from 0.25 up to 4.0"),
    ("TTS_SPEED", "nan", "a number from 0.25 up to 4.0"),
    ("TTS_SPEED", "fast", "a number from 0.25 up to 4.0"),
    ("RETENTION_DAYS", "-1", "a whole number from 0 up to 36500"),
    ("RETENTION_DAYS", "1.5", "a whole number from 0 up to 36500"),
    ("CALL_LIMIT_S", "0", "a number above 0 up to 3600"),
    ("CALL_LIMIT_S", "inf", "a number above 0 up to 3600"),
    ("CONTROL_ENABLED", "perhaps", "true or false"),
    ("PAUSE_LIMIT_S", "0", "a number above 0 up to 86400"),
    ("STREAM_CHUNK_SIZE", "1", "a whole number from 2 up to 1048576"),
    ("STREAM_BUFFER_MS", "5001", "a number from 0 up to 5000"),
    ("STREAM_MAX_BUFFER", "0.01", "a number from 0.1 up to 60"),
    ("STREAM_STALL_TIMEOUT", "0", "a number above 0 up to 120"),
    ("DEBUG", "maybe", "true or false"),
    ("SAVE_AUDIO", "maybe", "true or false"),
    ("SAVE_TRANSCRIPTIONS", "maybe", "true or false"),
    ("SAVE_ALL", "maybe", "true or false"),
    ("EVENT_LOG_ENABLED", "maybe", "true or false"),
    ("CONVERSATION_LOG_ENABLED", "maybe", "true or false"),
    ("OFFLINE", "maybe", "true or false"),
    ("ALLOW_INSECURE_KEYS", "maybe", "true or false"),
    ("TTS_AUDIO_FORMAT", "mp4", "pcm"),
    ("TTS_ENGINE", "hal", "auto, openai, espeak, kokoro, pocket, piper, csm, tone"),
    ("CSM_DEVICE", "gpu", "auto, cuda, mps, cpu"),
    ("CSM_DTYPE", "int8", "auto, bfloat16, float16, float32"),
    ("CSM_VOICES", "~nobody-of-that-name/voices", "home folder of nobody"),
    ("POCKET_MODEL", "~nobody-of-that-name/pocket", "home folder of nobody"),
    ("TTS_CACHE_MB", "-1", "a number from 0 up to 10000"),
    ("OUTPUT_CHANNELS", "9", "a whole number from 1 up to 8"),
    ("PAN", "1.5", "neither auto nor a number from -1 up to 1"),
    ("PAN", "left", "neither auto nor a number from -1 up to 1"),
    ("DEVICE_WAIT_S", "-1", "a number from 0 up to 600"),
    ("DEVICE_WAKE_MS", "5001", "a number from 0 up to 5000"),
    ("TURN_MODEL", "livekit", "auto, none, smart_turn"),
    ("TURN_EAGERNESS", "hasty", "careful, balanced, quick"),
    ("WAIT_S", "0", "a number from 1 up to 600"),
    ("BARGE_IN", "yes", "one of off, headphones, on"),
    ("AUDIO_OUTPUT", "speaker", "auto, sounddevice, miniaudio, file, null"),
    ("DEFAULT_LISTEN_DURATION", "0", "a number above 0 up to 3600"),
    ("SILENCE_THRESHOLD_MS", "100", "a number from 200 up to 30000"),
    ("NO_SPEECH_TIMEOUT_S", "0.5", "a number from 1 up to 3600"),
    ("AUDIO_FEEDBACK", "maybe", "true or false"),
    ("AUDIO_INPUT", "ear", "auto, sounddevice, miniaudio, file, null, none"),
    ("TTS_BASE_URLS", "localhost:8880", "an http:// or https:// address"),
    ("TTS_BASE_URLS", "http://", "an http:// or https:// address"),
    ("TTS_BASE_URLS", "http://[half", "an http:// or https:// address"),
    ("TTS_BASE_URLS", "http://host:99999/v1", "an http:// or https:// address"),
    ("STT_BASE_URLS", "localhost:2022", "an http:// or https:// address"),
    ("STT_ENGINE", "hal", "auto, openai, whisper, sphinx, none"),
    ("STT_LANGUAGE", "Klingon!", "neither auto nor the code of a language"),
    ("WHENEVER_S", "0", "a number above 0 up to 3600"),
    ("DUCKING", "1.5", "a number from 0 below 1"),
    ("DUCKING", "quiet", "a number from 0 below 1"),
    ("BASE_DIR", "~nobody-of-that-name/voices", "home folder of nobody"),
]


@pytest.mark.parametrize(("name", "value", "allowed"), BAD)
def test_a_bad_value_is_an_error_that_names_variable_value_and_what_is_allowed(
    sources: Sources, name: str, value: str, allowed: str
) -> None:
    sources.env(**{name: value})
    with pytest.raises(SettingsError) as refused:
        sources.load()

    assert refused.value.message.startswith(f"VOICEMODE_{name}")
    assert repr(value) in refused.value.message
    assert allowed in refused.value.message
    assert refused.value.message.endswith(".")


def test_a_bad_value_in_a_file_is_an_error_too(sources: Sources) -> None:
    sources.home.write_text("VOICEMODE_TTS_SPEED=9\n")

    with pytest.raises(SettingsError, match=r"VOICEMODE_TTS_SPEED is '9'"):
        sources.load()


def test_a_bad_value_in_a_file_is_told_with_the_file(sources: Sources) -> None:
    sources.home.write_text("VOICEMODE_TTS_SPEED=1.5\n")
    sources.project.write_text("VOICEMODE_TTS_SPEED=fast\n")
    with pytest.raises(SettingsError, match=re.escape(f"VOICEMODE_TTS_SPEED is 'fast' in {sources.project}, but")):
        sources.load()

    sources.project.write_text("VOICEMODE_PAN=2\n")
    with pytest.raises(SettingsError, match=re.escape(f"VOICEMODE_PAN in {sources.project}: '2' is neither")):
        sources.load()


def test_whoever_wants_to_see_them_all_sees_the_bad_ones_marked(sources: Sources) -> None:
    sources.home.write_text("VOICEMODE_RETENTION_DAYS=7\nVOICEMODE_TTS_SPEED=fast\n")
    sources.env(WHISPER_LANGUAGE="Klingon!", TTS_BASE_URLS=f"https://me:{SECRET}@one.example/v1")
    loaded = load_settings(sources.project, sources.home, tolerant=True)

    marked = {origin.name: origin.value for origin in loaded.origins if origin.problem is not None}
    assert marked == {
        "VOICEMODE_TTS_SPEED": "fast",
        "VOICEMODE_STT_LANGUAGE": "Klingon!",
        "VOICEMODE_TTS_BASE_URLS": "",
    }
    assert len(loaded.problems) == 3
    assert SECRET not in repr(loaded)
    settings = loaded.settings
    assert (settings.tts_speed, settings.stt_language, settings.retention_days) == (1.0, None, 7)


def test_a_wish_to_stay_offline_is_one_however_it_is_written(sources: Sources) -> None:
    sources.env(OFFLINE="yes please")

    assert load_settings(sources.project, sources.home, tolerant=True).settings.offline


@pytest.mark.parametrize("line", ["this is no setting at all", "VOICEMODE_DEBUG", "= 3"])
def test_a_line_that_is_no_setting_is_told_once_with_its_place_and_without_its_words(
    sources: Sources, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    sources.project.write_text(f"# a remark\n\nexport VOICEMODE_TTS_SPEED=1.2\n{line}\n")

    (warning,) = sources.load().warnings
    assert warning.startswith(f"{sources.project}, line 4, is not a setting")
    assert line not in warning
    assert sources.settings().tts_speed == 1.2
    assert caplog.records == []


def test_every_setting_that_can_be_wrong_is_among_the_bad_values() -> None:
    takes_anything = {"event_log_dir", "tts_api_keys", "tts_voices", "tts_models", "output_device", "agent_voices"}
    takes_anything |= {"openai_api_key", "speech_server_token", "stt_api_keys", "stt_model", "stt_prompt"}
    takes_anything |= {"whisper_model", "watermark_key", "csm_model"}
    takes_anything |= {"whisper_model", "kokoro_model", "piper_voice"}
    takes_anything |= {"event_log_dir", "tts_api_keys", "tts_voices", "tts_models", "output_device", "input_device"}
    takes_anything |= {"openai_api_key", "speech_server_token"}
    takes_anything |= {"end_word", "wait_phrases", "repeat_phrases"}
    tried = {name.lower() for name, _, _ in BAD}

    assert set(Settings.model_fields) - takes_anything == tried


# --- names -------------------------------------------------------------------------------------------------------


def test_a_misspelt_name_is_reported_with_where_it_stands_and_the_nearest_known_one(sources: Sources) -> None:
    sources.project.write_text("VOICEMODE_TTS_SPED=1.2\n")
    sources.env(OFLINE="true")

    assert sources.load().warnings == (
        "VOICEMODE_OFLINE (environment) is not a setting; did you mean VOICEMODE_OFFLINE?",
        f"VOICEMODE_TTS_SPED ({sources.project}) is not a setting; did you mean VOICEMODE_TTS_SPEED?",
    )


@pytest.mark.parametrize("name", ["QQQQQQQQQQQQQQQQQQQQQQQ", "WHATEVER_FOO", "VOLUME", "COUNTRY", "TTS"])
def test_a_name_like_no_other_is_reported_without_a_guess(sources: Sources, name: str) -> None:
    sources.env(**{name: "1"})

    assert "`voice-mcp settings` lists" in sources.load().warnings[0]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("VOICE", "VOICEMODE_VOICES"),
        ("SAVEAUDIO", "VOICEMODE_SAVE_AUDIO"),
        ("TTS_BASE_URL", "VOICEMODE_TTS_BASE_URLS"),
        ("STREAM_BUFFER", "VOICEMODE_STREAM_BUFFER_MS"),
        ("OFLINE", "VOICEMODE_OFFLINE"),
        ("LANGUAGE", "VOICEMODE_STT_LANGUAGE"),
        ("OPENAI_API_KEY", "OPENAI_API_KEY"),
    ],
)
def test_a_name_that_is_nearly_right_is_found(sources: Sources, name: str, meant: str) -> None:
    sources.env(**{name: "1"})

    assert sources.load().warnings[0].endswith(f"did you mean {meant}?")


def test_every_setting_has_a_name_and_a_sentence_that_explains_it(sources: Sources) -> None:
    origins = sources.load().origins

    assert len(origins) == len(Settings.model_fields) == len({origin.name for origin in origins})
    for origin in origins:
        assert re.fullmatch(r"VOICEMODE_[A-Z_]+|OPENAI_API_KEY", origin.name)
        assert origin.description.endswith(".")


def test_every_name_that_is_listed_is_one_that_is_read(sources: Sources) -> None:
    for key, field in Settings.model_fields.items():
        for name in setting_names(key, field):
            sources.project.write_text(f"{name}=\n")
            assert sources.load().warnings == ()


# --- keys and the URLs they belong to ----------------------------------------------------------------------------

EVIL = "https://evil.example/v1"


def given(sources: Sources, name: str, place: str, value: str) -> None:
    """Set a variable in one of the three places."""
    if place == "environment":
        sources.env(**{name: value})
    elif place != "default":
        file = sources.project if place == "project" else sources.home
        file.write_text((file.read_text() if file.exists() else "") + f"VOICEMODE_{name}={value}\n")


@pytest.mark.parametrize(
    ("urls", "keys"), [("project", "home"), ("project", "environment"), ("home", "project"), ("environment", "project")]
)
@pytest.mark.parametrize("part", ["TTS", "STT"])
def test_keys_from_elsewhere_are_not_paired_with_a_projects_urls(
    sources: Sources, part: str, urls: str, keys: str
) -> None:
    given(sources, f"{part}_BASE_URLS", urls, EVIL)
    given(sources, f"{part}_API_KEYS", keys, SECRET)
    loaded = sources.load()
    places = {"project": str(sources.project), "home": str(sources.home), "environment": "environment"}

    assert getattr(loaded.settings, f"{part.lower()}_base_urls") == (EVIL,)
    assert getattr(loaded.settings, f"{part.lower()}_api_keys") == ()
    (warning,) = loaded.warnings
    assert f"VOICEMODE_{part}_API_KEYS ({places[keys]})" in warning
    assert f"VOICEMODE_{part}_BASE_URLS ({places[urls]})" in warning
    assert SECRET not in warning
    assert sources.origin(f"{part}_API_KEYS") == ("(set)", places[keys])


def test_keys_for_speaking_are_kept_where_those_for_listening_are_not(sources: Sources) -> None:
    sources.env(TTS_API_KEYS=SECRET, STT_API_KEYS=SECRET)
    given(sources, "STT_BASE_URLS", "project", EVIL)
    settings = sources.settings()

    assert [key.get_secret_value() for key in settings.tts_api_keys] == [SECRET]
    assert settings.stt_api_keys == ()


@pytest.mark.parametrize(
    ("urls", "keys"),
    [
        *(("project", "project"), ("home", "home"), ("environment", "environment")),
        *(("home", "environment"), ("environment", "home")),
        *(("default", "home"), ("default", "environment"), ("default", "project")),
    ],
)
def test_keys_that_were_meant_for_the_urls_are_paired_with_them(sources: Sources, urls: str, keys: str) -> None:
    given(sources, "TTS_BASE_URLS", urls, EVIL)
    given(sources, "TTS_API_KEYS", keys, SECRET)

    assert [key.get_secret_value() for key in sources.settings().tts_api_keys] == [SECRET]
    assert sources.load().warnings == ()


@pytest.mark.parametrize("part", ["TTS", "STT"])
def test_keys_that_no_endpoint_gets_are_told_of(sources: Sources, part: str) -> None:
    sources.env(**{f"{part}_BASE_URLS": EVIL, f"{part}_API_KEYS": f"one,{SECRET}"})

    (warning,) = sources.load().warnings
    assert warning.startswith(
        f"VOICEMODE_{part}_API_KEYS (environment) has 2 keys, but VOICEMODE_{part}_BASE_URLS has 1"
    )
    assert SECRET not in warning


def test_an_empty_place_at_the_end_of_the_keys_is_no_key(sources: Sources) -> None:
    sources.env(TTS_BASE_URLS=EVIL, TTS_API_KEYS=f"{SECRET},")

    assert sources.load().warnings == ()


def test_a_projects_urls_without_keys_are_nothing_to_warn_of(sources: Sources) -> None:
    given(sources, "TTS_BASE_URLS", "project", EVIL)

    assert sources.load().warnings == ()


# --- secrets -----------------------------------------------------------------------------------------------------


@pytest.fixture
def with_keys(sources: Sources, monkeypatch: pytest.MonkeyPatch) -> Sources:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    sources.env(TTS_API_KEYS=f"{SECRET},,{SECRET}")
    return sources


def test_keys_are_masked_wherever_settings_are_shown(with_keys: Sources) -> None:
    loaded = with_keys.load()

    assert SECRET not in repr(loaded)
    assert SECRET not in str(loaded.settings)
    assert with_keys.origin("TTS_API_KEYS") == ("(set),,(set)", "environment")
    assert next(o.value for o in loaded.origins if o.name == "OPENAI_API_KEY") == "(set)"
    assert loaded.settings.openai_api_key is not None
    assert loaded.settings.openai_api_key.get_secret_value() == SECRET


@pytest.mark.parametrize(("name", "value", "allowed"), BAD)
def test_a_key_is_in_no_error(with_keys: Sources, name: str, value: str, allowed: str) -> None:
    with_keys.env(**{name: value})
    with pytest.raises(SettingsError) as refused:
        with_keys.load()

    error: BaseException | None = refused.value
    while error is not None:
        assert SECRET not in f"{error!s} {error!r}"
        error = error.__cause__ or error.__context__


def test_a_key_of_the_wrong_shape_is_not_shown_either(with_keys: Sources) -> None:
    with_keys.env(TTS_API_KEY=SECRET)

    assert SECRET not in "".join(with_keys.load().warnings)
