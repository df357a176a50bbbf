"""How single words are said: addresses, paths, names from programs, hashes, arrows, emoji.

Numbers, versions, dates, units and currencies are left alone: speech engines read them well. So is everything that a
rule here does not know; plain words pass unchanged.
"""

from __future__ import annotations

import re

from voice_mcp.core.tracing import TracedText

_OPENERS = "([{\"'“‘«‹¿¡"
_CLOSERS = ")]}\"'”’»›.,;:!?…"
_ATTACHED = ".,;:!?)…"
"""What stands without a space behind what comes before it."""
_BULLETS = ("|", "•", "‣")
_HOST_ENDINGS = frozenset({"com", "org", "net", "io", "dev", "ai", "app", "edu", "gov"})

# Pictures by block: no need for a table of every emoji, which the `emoji` package takes 33 ms and 8 MB to load.
# What is a letter, a digit or a common sign inside these blocks (U+2300 ⌀, ❶, ♯, ...) is left out.
_PICTURE = (
    "[\u2139\u2190-\u21ff\u2301-\u2307\u230c-\u2317\u2319-\u2323\u2326-\u23ff\u2500-\u266c\u2670-\u2775\u2794-\u27bf"
    "\u2800-\u28ff\u2900-\u297f\u2b00-\u2bff\u3030\u303d\U0001f000-\U0001faff\U000f0000-\U0010ffff]"
)
_PICTURES = f"{_PICTURE}[\u200d\u2640\u2642\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]*+"
_SELECTOR = "[\ufe0e\ufe0f\u20e3]"

_KEYS = {"⌘": "Command ", "⌥": "Option ", "⌃": "Control ", "⇧": "Shift ", "⏎": "Enter", "⌫": "Backspace"}
_DIRECTIONS = {"↑": "up", "↓": "down", "⬆": "up", "⬇": "down"}
_UNICODE_ARROWS = "←→↔⇐⇒⇔⟵⟶⟸⟹⟺➔➙➛➜➝➞➡⬅↦"
_ARROW = rf"<[-=]{{1,3}}>|(?<![-=<])[-=]{{1,5}}>|(?<!\S)<-{{1,3}}(?!\S)|[{_UNICODE_ARROWS}]"

_HASH_SHOWN = 7
_UUID_SHOWN = 4
_SHORTEST_HASH = 8
_SHORTEST_SECRET = 24
_LONGEST_CODE = 120

_OPERATORS = {
    "=": "equals",
    "==": "equals",
    "===": "equals",
    "!=": "is not",
    "!==": "is not",
    "<": "is less than",
    ">": "is greater than",
    "<=": "is at most",
    ">=": "is at least",
    "&&": "and",
    "||": "or",
    "+": "plus",
    "|": "pipe",
    "->": "arrow",
    "=>": "arrow",
}


def say(line: TracedText, out: TracedText) -> None:
    """Append to ``out`` how ``line`` is said; both have the same origin."""
    text = str(line)
    kept = 0
    for match in re.finditer(r"\S++", text):
        start, end = match.span()
        word = match[0]
        said = _said(word, text, start, end)
        if said == word:
            continue
        out.copy(line, kept, start)
        kept = end
        if not said or (said[0] in _ATTACHED and said[0] != word[0]):
            out.strip_end()
        _put(said, word, line, start, out)
        if not said and out.last in ("", "\n"):
            kept = _after_spaces(text, end)
    out.copy(line, kept)


def say_code(code: TracedText, out: TracedText) -> None:
    """Append how a piece of code inside a sentence is said; the code itself where nothing sayable would be left."""
    text = str(code)
    if len(text) > _LONGEST_CODE:
        out.add("a long piece of code", code.start_of(0), code.reached)
        return
    any_said = False
    for match in re.finditer(r"\S++", text):
        said = _code_word(match[0])
        if said:
            out.insert(" " if any_said else "")
            _put(said, match[0], code, match.start(), out)
            any_said = True
    if not any_said:
        out.copy(code)


def _put(said: str, word: str, line: TracedText, start: int, out: TracedText) -> None:
    """Append ``said`` for the ``word`` at ``start``, keeping the way back exact for the ends that are the same."""
    end = start + len(word)
    inside = word.find(said)
    if inside >= 0:
        out.copy(line, start + inside, start + inside + len(said))
        out.close(line.end_of(end))
        return
    head = _common_start(said, word)
    tail = _common_start(said[head:][::-1], word[head:][::-1])
    out.copy(line, start, start + head)
    out.add(said[head : len(said) - tail], line.start_of(start + head), line.end_of(end - tail))
    out.copy(line, end - tail, end)


def _common_start(one: str, other: str) -> int:
    """How many characters two texts begin with alike."""
    return next(
        (at for at, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), min(len(one), len(other))
    )


def _after_spaces(text: str, at: int) -> int:
    while at < len(text) and text[at] == " ":
        at += 1
    return at


def _said(word: str, text: str, start: int, end: int) -> str:
    """How the word at ``start`` to ``end`` of ``text`` is said."""
    if word.isalpha() or (word[:-1].isalpha() and word[-1] in _ATTACHED):
        return word
    plain = _without_pictures(word)
    if re.fullmatch(_ARROW, plain):
        return _arrow(text, start, end)
    if plain in _BULLETS:
        return _pause(text, start, end)
    if plain.startswith("[!") and plain.endswith("]"):
        return f"{plain[2:-1].capitalize()}:"
    plain = re.sub(r"\[\^[^\]\s]{1,40}\]", "", plain)
    plain = _unfolded(plain)
    if not plain:
        return plain
    if "://" in plain:
        return _with_hosts(plain)
    lead, core, trail = _peeled(plain)
    return f"{lead}{_core(core)}{trail}" if core else plain


def _core(core: str) -> str:
    """A word without the punctuation around it."""
    for rule in (_address, _hash, _path, _approximation):
        said = rule(core)
        if said is not None:
            return said
    core = re.sub(_ARROW, " to ", core)
    return _separate_underscores(core)


def _peeled(word: str) -> tuple[str, str, str]:
    """A word as the punctuation before it, itself, and the punctuation after it."""
    core = word.lstrip(_OPENERS)
    lead = word[: len(word) - len(core)]
    bare = core.rstrip(_CLOSERS)
    return lead, bare, core[len(bare) :]


def _without_pictures(word: str) -> str:
    if word.isascii():
        return word
    for sign, name in (_KEYS | _DIRECTIONS).items():
        word = word.replace(sign, name)
    word = re.sub(_SELECTOR, "", word)
    return re.sub(rf"(?![{_UNICODE_ARROWS}]){_PICTURES}", "", word).strip()


def _unfolded(word: str) -> str:
    """A word without ornament: drawn rules, repeated exclamation marks, markup that was never closed."""
    word = re.sub(r"([!?])\1+", r"\1", word)
    word = re.sub(r"\.{4,}", "...", word)
    word = _bare(_bare(word)[::-1])[::-1]
    return re.sub(r"(?<!-)-{3,}+(?!>)", "—", word)


def _bare(word: str) -> str:
    """A word without the drawn rule, or the Markdown mark, that it begins with."""
    rest = word.lstrip(word[:1]) if word[:1] in tuple("-=_*~#+^") else word
    if len(word) - len(rest) >= 3 and not rest.startswith(">"):
        return rest
    rest = word.lstrip("*_~`")
    marks = word[: len(word) - len(rest)]
    return rest if len(marks) > 1 or marks == "`" else word


def _pause(text: str, start: int, end: int) -> str:
    """A comma where something stands on both sides on the same line, else nothing."""
    before, after = _around(text, start, end)
    return "," if before.strip(_CLOSERS) and after else ""


def _arrow(text: str, start: int, end: int) -> str:
    """Between numbers an arrow says "to"; elsewhere it is a short pause, as in "Settings → Audio"."""
    before, after = _around(text, start, end)
    numbers = before[-1:].isdigit() or before[-1:] in tuple("%€£")
    return "to" if numbers and after[:1] in tuple("0123456789$€£~") else _pause(text, start, end)


def _around(text: str, start: int, end: int) -> tuple[str, str]:
    """The neighbouring characters on the same line, without the space between."""
    before = text[max(start - 2, 0) : start].rpartition("\n")[2]
    return before.strip(), text[end : end + 2].partition("\n")[0].strip()


def _with_hosts(word: str) -> str:
    """Every URL in ``word`` as its host. A word can hold several, and text around them where no spaces are written."""
    said: list[str] = []
    kept = 0
    while (colon := word.find("://", kept)) >= 0:
        start = colon
        while start > kept and colon - start < 32 and (word[start - 1].isascii() and word[start - 1].isalnum()):
            start -= 1
        end = _url_end(word, colon)
        said += word[kept:start], _host(word[start:colon], word[colon + 3 : end])
        kept = end
    return "".join([*said, word[kept:]])


def _url_end(word: str, at: int) -> int:
    # Wide characters are text that follows a URL in languages without spaces.
    match = re.compile(r"[^\s<>\"'`{}|\\^\u3000-\u30ff\u3400-\u9fff\uac00-\ud7af\uff00-\uffef]*+").match(word, at)
    end = match.end() if match else len(word)
    url = word[at:end]
    bare = url.rstrip(_CLOSERS if "(" not in url else _CLOSERS.replace(")", ""))
    return max(at + len(bare), at + 3)


def _host(scheme: str, rest: str) -> str:
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2].removeprefix("www.")
    if not authority and scheme == "file":
        return _path(rest) or "a file"
    return authority or "a link"


def _address(core: str) -> str | None:
    """Mail addresses stay; web addresses without a scheme are said like those with one."""
    if core.startswith("mailto:"):
        return core.removeprefix("mailto:")
    local, at, host = core.rpartition("@")
    if at and local and "." in host and "/" not in core:
        return core
    host = core.partition("/")[0]
    if core.startswith("www.") or ("/" in core and host.rpartition(".")[2] in _HOST_ENDINGS):
        return host.removeprefix("www.")
    return None


def _hash(core: str) -> str | None:
    """UUIDs, commit hashes, digests and random tokens, cut to what a person would say of them."""
    if len(core) < _SHORTEST_HASH:
        return None
    name, _, digits = core.rpartition(":")
    if re.fullmatch(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", digits):
        return f"{name} {digits[:_UUID_SHOWN]}".lstrip()
    if re.fullmatch(r"(?:0x)?[0-9a-fA-F]{8,}+", digits) and not digits.isdigit() and not digits.isalpha():
        return f"{name} {digits[:_HASH_SHOWN]}".lstrip()
    return "a hash" if looks_random(core) else None


def looks_random(core: str) -> bool:
    """Whether a word mixes capitals, small letters and digits as no name does (base64, keys)."""
    if len(core) < _SHORTEST_SECRET or not re.fullmatch(r"[\w+/=.-]+", core, re.ASCII):
        return False
    kinds = ["d" if c.isdigit() else "u" if c.isupper() else "l" if c.islower() else "" for c in core]
    changes = sum(1 for one, other in zip(kinds, kinds[1:], strict=False) if one and other and one != other)
    return {"d", "u", "l"} <= set(kinds) and changes * 3 > len(core)


def _path(core: str) -> str | None:
    """The last segment of a file's path; None for what only looks like one, as "and/or" and "24/7"."""
    if core in ("~", "~/"):
        return "home folder"
    body, line = _without_line_number(core)
    parts = [part for part in re.split(r"[/\\]", body) if part]
    if ("/" not in body and "\\" not in body) or not parts or body.replace("/", "").isdigit():
        return None
    if not _is_path(body, parts):
        return None
    last = parts[-1] if parts[-1] not in (".", "..", "~") else body
    return _separate_underscores(last) + (f" line {line}" if line else "")


def _is_path(body: str, parts: list[str]) -> bool:
    file = _has_suffix(parts[-1])
    if body.startswith(("~/", "./", "../")) or re.match(r"[A-Za-z]:[\\/]", body):
        return True
    if body.startswith(("/", "\\\\")):
        return file or len(parts) >= 2
    if file:
        return len(parts) > 2 or not _has_suffix(parts[0])
    return len(parts) > 3 or (len(parts) > 1 and body.endswith("/"))


def _has_suffix(name: str) -> bool:
    _, dot, suffix = name.rpartition(".")
    return bool(dot) and suffix.isalnum() and suffix[0].isalpha() and len(suffix) <= 8


def _without_line_number(core: str) -> tuple[str, str]:
    """A path and the line after it, as in ``main.py:42`` or ``main.py:42:7``."""
    body, _, number = core.rpartition(":")
    if not number.isdigit():
        return core, ""
    shorter, _, line = body.rpartition(":")
    return (shorter, line) if line.isdigit() else (body, number)


def _approximation(core: str) -> str | None:
    return f"about {core[1:]}" if core[0] == "~" and core[1:2].isdigit() else None


def _separate_underscores(name: str) -> str:
    if "_" not in name or not any(map(str.isalnum, name)):
        return name
    return name.strip("_").replace("_", " ")


def _code_word(word: str) -> str:
    if word in _OPERATORS:
        return _OPERATORS[word]
    lead, core, trail = _peeled(word)
    if "://" in core:
        return _with_hosts(core)
    said = _address(core) or _hash(core) or _path(core) if core else None
    if said is not None:
        return _split_capitals(said)
    return _code_name(f"{lead}{core}{trail}")


def _code_name(word: str) -> str:
    """A name, a flag or an expression, without its brackets and with its words apart."""
    flag = re.fullmatch(r"(--?)([^\W\d].*)", word)
    if flag:
        word = flag[2] if flag[1] == "--" else f"dash {flag[2]}"
    word = re.sub(r"(?<=[\w\])])(?:==?|:=)(?=\S)", " equals " if not flag else " ", word)
    word = re.sub(_ARROW, " ", word)
    word = re.sub(r"[(){}\[\]<>;$`\"'*|\\]+", " ", word)
    word = _split_capitals(_separate_underscores(word))
    return " ".join(word.split()).rstrip(" :;")


def _split_capitals(name: str) -> str:
    """``getUserName`` as "get User Name", ``HTTPServer`` as "HTTP Server"; plurals like ``URLs`` stay."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z]{2})", " ", name)
