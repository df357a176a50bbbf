"""What an installation brings along: packages and their size, counted in a fresh environment."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from benchmarks.figures import Figure

PROJECT = Path(__file__).parent.parent


async def measure() -> list[Figure]:
    """Install into a fresh environment, wheels only."""
    return await asyncio.to_thread(_install)


def _install() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder) / ("Scripts" if sys.platform == "win32" else "bin") / "python")
        before_mb, before = _size_mb(folder), _packages(python)
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--only-binary=:all:", "--disable-pip-version-check", PROJECT],
            check=True,
        )
        added = sorted(set(_packages(python)) - set(before))
        added_mb = _size_mb(folder) - before_mb
    return [
        Figure("packages installed, itself included", len(added), "", None, ", ".join(added)),
        Figure("size of the installation", added_mb, "MB", None, "wheels only, without pip"),
    ]


def _packages(python: str) -> list[str]:
    listed = subprocess.run([python, "-m", "pip", "list", "--format=json"], capture_output=True, check=True, text=True)
    return [package["name"] for package in json.loads(listed.stdout)]


def _size_mb(folder: str) -> float:
    files = (path for path in Path(folder).rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in files if "__pycache__" not in path.parts) / (1 << 20)
