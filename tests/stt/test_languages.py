"""What servers call languages."""

from __future__ import annotations

import pytest

from voice_mcp.stt._languages import language_code


@pytest.mark.parametrize(
    ("said", "code"),
    [
        *(("english", "en"), ("German", "de"), (" FRENCH ", "fr"), ("mandarin", "zh"), ("hawaiian", "haw")),
        *(("en", "en"), ("EN-us", "en"), ("pt_BR", "pt"), ("yue", "yue")),
        *(("", None), ("Elvish tongue", None), ("x", None), ("123", None)),
    ],
)
def test_a_language_is_known_by_name_and_by_code(said: str, code: str | None) -> None:
    assert language_code(said) == code
