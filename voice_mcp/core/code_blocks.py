"""What is said in place of a block of code."""

from __future__ import annotations

_LANGUAGES = {
    "bash": "shell",
    "c++": "C++",
    "cpp": "C++",
    "cs": "C#",
    "css": "CSS",
    "csharp": "C#",
    "html": "HTML",
    "javascript": "JavaScript",
    "js": "JavaScript",
    "json": "JSON",
    "jsx": "JavaScript",
    "md": "Markdown",
    "php": "PHP",
    "ps1": "PowerShell",
    "py": "Python",
    "rb": "Ruby",
    "rs": "Rust",
    "sh": "shell",
    "sql": "SQL",
    "toml": "TOML",
    "ts": "TypeScript",
    "tsx": "TypeScript",
    "typescript": "TypeScript",
    "xml": "XML",
    "yaml": "YAML",
    "yml": "YAML",
    "zsh": "shell",
}
_NO_LANGUAGE = frozenset({"text", "txt", "plain", "plaintext", "none", "output", "console"})


def announcement(code: str, info: str) -> str:
    """``Code block, Python, 12 lines.``; empty for a block without code."""
    count = len(code.strip("\n").splitlines())
    if not count or not code.strip():
        return ""
    word = info.split(maxsplit=1)[0].strip("{}.").lower() if info.strip() else ""
    known = _LANGUAGES.get(word, word.capitalize())
    named = f", {known}" if word.replace("+", "").replace("-", "").isalnum() and word not in _NO_LANGUAGE else ""
    return f"Code block{named}, {count} line{'s' if count > 1 else ''}."
