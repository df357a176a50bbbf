from __future__ import annotations

import pytest

from voice_mcp.core.plain_words import is_plain
from voice_mcp.core.speakable import speakable


@pytest.mark.parametrize(
    "text",
    [
        "Done.",
        "Tests pass.",
        "All tests pass, and the build is green!",
        "I'm on it…",
        "Yes — that's right.",
        "Shall I go on?",
        "Re-running the read-only tests.",
        "What I see, I say, and I mean it.",
        "(Nothing changed.)",
        "“Ready,” she said.",
        "Fertig, alle Tests sind grün.",
        "C'est terminé.",
        "¿Seguimos?",
        "Готово.",
        "完了しました。",
        "हो गया।",
        "The API is up.",
    ],
)
def test_what_people_say_all_day_is_plain(text: str) -> None:
    assert is_plain(text)


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-AbCdEfGhIjKlMnOpQrSt",
        "Use AKIAIOSFODNNEXAMPLE for it.",
        "Card 4111 1111 1111 1111.",
        "The password is correct horse",
        "The passphrase is correct horse",
        "Your code is swordfish.",
        "Passwords: swordfish",
        "My pin is easy.",
        "It is 7f3e1c9a-52d4-4c1b-9a77-0d3f5e6b8c21.",
        "It is abcdefab-cdef-abcd-efab-cdefabcdefab.",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmN",
        "dGhlIHBhc3N3b3Jk",
        "It is aGVsbG.",
        "It is hunter2.",
        "correct-horse-battery-staple",
        "zqxvbnmk",
        "It is h u n t e r.",
        "It is swordfishswordfishswordfish.",
        "Ask me@example.org.",
        "See https://example.org/reset.",
        "Edit ~/.ssh/id.",
        "Call +44.",
        "It is ｈｕｎｔｅｒ２.",
        "It is ①②③.",
        "𝓹assword: swordfish",
        "user:swordfish",
        "swordfish!!!!!!",
    ],
)
def test_what_could_hold_a_secret_is_not(secret: str) -> None:
    assert not is_plain(secret)


@pytest.mark.parametrize("code", ["aBcDefGhiJklMnop", "sk_live_aBcDeFgHi", "d0ntTellAnybody", "dGhlIHBhc3N3b3Jk"])
def test_a_secret_in_code_marks_is_not_plain_either_once_it_is_made_speakable(code: str) -> None:
    assert not is_plain(speakable(f"It is `{code}`.").text)


@pytest.mark.parametrize("text", ["", "  ", "...", "?!", "—", "\n"])
def test_nothing_is_not_plain(text: str) -> None:
    assert not is_plain(text)


def test_only_what_is_short_is_plain() -> None:
    assert is_plain(" ".join(["word"] * 12))
    assert not is_plain(" ".join(["word"] * 13))
    assert is_plain(" ".join(["abcdefghi"] * 8))
    assert not is_plain(" ".join(["abcdefghi"] * 8) + " a")
