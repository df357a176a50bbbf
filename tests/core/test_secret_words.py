"""What is taken for a secret, and what is ordinary speech."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
import string
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_mcp.core.secret_words import OVERLAP_CHARS, WINDOW_CHARS, find_secrets, may_hold_a_secret

ROOT = Path(__file__).parents[2]
DICE = random.Random(20)
LETTERS = string.ascii_letters + string.digits


def drawn(count: int, of: str = LETTERS) -> str:
    return "".join(DICE.choice(of) for _ in range(count))


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


SECRETS = {
    # Put together here, so that nothing in this file looks like one.
    "github": "ghp" + "_" + drawn(36),
    "github, fine": "github" + "_pat_" + drawn(22) + "_" + drawn(59),
    "gitlab": "glpat" + "-" + drawn(20),
    "openai": "sk" + "-" + drawn(20) + "T3Blbk" + "FJ" + drawn(20),
    "anthropic": "sk" + "-ant-api03-" + drawn(93) + "AA",
    "aws, name": "AK" + "IA" + drawn(16, string.ascii_uppercase + "234567"),
    "aws, key": drawn(38, LETTERS) + "/+",
    "slack": "xox" + "b-" + drawn(12, string.digits) + "-" + drawn(24),
    "stripe": "sk" + "_live_" + drawn(24),
    "sendgrid": "SG" + "." + drawn(22) + "." + drawn(43),
    "google": "AI" + "za" + drawn(35),
    "pypi": "pypi" + "-AgEIcHlwaS5vcmc" + drawn(120),
    "npm": "npm" + "_" + drawn(36),
    "telegram": drawn(9, "123456789") + ":" + "AA" + drawn(33),
    "jwt": ".".join((part({"alg": "HS256", "typ": "JWT"}), part({"sub": "somebody"}), drawn(43))),
    "card": "4111 1111 1111 1111",
    "base64": base64.b64encode(DICE.randbytes(32)).decode(),
}
ORDINARY = [
    "The password is wrong.",
    "Your password has expired, and the password field is case-sensitive.",
    "Password: required. Secret: none.",
    "password=None means no password; api_key=your_key is only an example.",
    "No key is set for api.openai.com, so set OPENAI_API_KEY in the environment.",
    "The password is in config.py, or in $DB_PASSWORD, or in {{ vault.password }}.",
    "The secret is patience. The key is under the mat.",
    "The token count is 128000, the build took 1,234,567 milliseconds.",
    f"Commit {hashlib.sha1(b'1').hexdigest()} is on main, and {hashlib.sha1(b'2').hexdigest()[:8]} is not.",
    f"The digest is sha256:{hashlib.sha256(b'1').hexdigest()}.",
    f"The record {uuid.UUID(int=DICE.getrandbits(128))} is gone.",
    "conv_20261120_111722_4e087b said utt_47eac2beea at 2026-11-20T11:17:22.693802+00:00.",
    "I renamed getUserAuthenticationTokenFromRequestHeader in AbstractSingletonProxyFactoryBean.",
    "Look at src/components/authentication/TokenRefreshMiddleware.spec.ts line 42.",
    "The endpoint is https://api.example.com/v1/users?id=42&sort=asc on 192.168.1.20:8080.",
    "Call +49 170 1234567, or (555) 123-4567. Mail jane.doe@example.com.",
    "Donaudampfschifffahrtsgesellschaftskapitän ist ein langes Wort.",
]


def found(text: str) -> list[str]:
    return [text[start:end] for start, end in find_secrets(text)]


@pytest.mark.parametrize("kind", SECRETS)
@pytest.mark.parametrize("sentence", ["It is {} now.", "Use `{}`.", "**{}**", "export X={}\nand go on"])
def test_a_key_is_found_wherever_it_stands(kind: str, sentence: str) -> None:
    text = sentence.format(SECRETS[kind])
    (secret,) = found(text)
    assert SECRETS[kind] in secret
    assert len(secret) <= len(SECRETS[kind]) + 2
    assert may_hold_a_secret(text)


@pytest.mark.parametrize("password", ["hunter2", "Tr0ub4dor&3", "S3cr3t!99"])
@pytest.mark.parametrize(
    "sentence",
    [
        "The password is {} by the way.",
        "The admin password is `{}`.",
        "Password: {}.",
        "I set DB_PASSWORD={} in the file.",
        "I changed the password to {}, as you asked.",
        "First password: {}, then nothing.",
    ],
)
def test_what_is_called_a_password_and_is_no_word_is_found(sentence: str, password: str) -> None:
    (secret,) = found(sentence.format(password))
    assert secret == password


def test_several_in_one_line_are_all_found() -> None:
    text = f"Password: hunter2 and password: hunter3, then {SECRETS['github']} and {SECRETS['card']}."
    assert found(text) == ["hunter2", "hunter3", SECRETS["github"], SECRETS["card"]]


def test_a_password_in_an_address_is_found() -> None:
    (secret,) = found("Connect to postgres://admin:x9-plum@db.example.com/orders now.")
    assert "x9-plum" in secret


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_speech_holds_none(text: str) -> None:
    assert found(text) == []


def test_what_this_project_writes_about_itself_holds_none() -> None:
    papers = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
    mistaken = {path.name: found(path.read_text(encoding="utf-8")) for path in papers}
    assert {name: words for name, words in mistaken.items() if words} == {}


def test_plain_words_are_not_even_looked_at() -> None:
    assert not may_hold_a_secret("All tests pass, and the documentation is up to date. Shall I go on?")


@given(st.text(max_size=200))
def test_whoever_does_not_look_misses_nothing(text: str) -> None:
    if not may_hold_a_secret(text):
        assert find_secrets(text) == ()


@given(st.text(st.sampled_from("pasword: =is`\"'x1A-_/.\n"), max_size=120))
def test_what_is_found_is_in_order_apart_and_in_the_text(text: str) -> None:
    spans = find_secrets(text)
    edges = [edge for span in spans for edge in span]
    assert edges == sorted(edges)
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert all(one[1] < other[0] for one, other in zip(spans, spans[1:], strict=False))


@pytest.mark.parametrize("before", [0, WINDOW_CHARS - 20, WINDOW_CHARS - OVERLAP_CHARS, 3 * WINDOW_CHARS])
def test_a_key_is_found_anywhere_in_a_long_line(before: int) -> None:
    secret = SECRETS["github"]
    assert found(f"{'word ' * (before // 5)}{secret} and more words")[0] == secret


@pytest.mark.parametrize(
    "text", ["password" * 12_000, "a" * 100_000, "-" * 100_000, "1 " * 50_000, 'password="' * 9_000]
)
def test_no_text_takes_for_ever(text: str) -> None:
    """A pattern that took time with the square of a text this long would take minutes."""
    assert isinstance(find_secrets(text), tuple)


def test_nothing_but_patterns_is_used_of_the_detectors() -> None:
    """Some of them can ask a service whether a key is good; that must never happen."""
    source = (ROOT / "voice_mcp" / "core" / "secret_words.py").read_text(encoding="utf-8")
    assert not re.search(r"verify|analyze_line|scan_", source)
