"""What benchmarks fetch or make once, outside this tree: environments of others' packages, weights, voices."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

INSTALL_LIMIT_S = 300.0

_PIP = ("-m", "pip", "--disable-pip-version-check", "--quiet")


def cache_folder() -> Path:
    """Where it is kept; not made yet."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "voice-mcp" / "benchmarks"


def environment(package: str) -> Path:
    """The interpreter of an environment that has ``package``; made when it is not there.

    Raises:
        OSError, subprocess.SubprocessError: It cannot be made here.
    """
    folder = cache_folder() / package
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (folder / "complete").exists():
        print(f"installing {package} below {folder} ...", file=sys.stderr, flush=True)
        _run(sys.executable, "-m", "venv", "--clear", str(folder))
        _run(str(python), *_PIP, "install", "--only-binary=:all:", package)
        (folder / "complete").touch()
    return python


def wheel(package: str, folder: Path) -> Path:
    """The wheel of ``package`` alone, fetched into ``folder``.

    Raises:
        OSError, subprocess.SubprocessError: It cannot be fetched here.
    """
    print(f"fetching {package} ...", file=sys.stderr, flush=True)
    _run(sys.executable, *_PIP, "download", "--no-deps", "--only-binary=:all:", "--dest", str(folder), package)
    return next(folder.glob("*.whl"))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, timeout=INSTALL_LIMIT_S, stdout=subprocess.DEVNULL)
