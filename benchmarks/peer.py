"""The peer: ``voice-mode`` from the package index, in an environment of its own outside this tree, kept between runs.

``python -m benchmarks.peer`` installs it ahead of a measurement. It compiles a part of itself and needs, on Debian:
``apt-get install gcc python3-dev libasound2-dev libportaudio2 ffmpeg``.
"""

from __future__ import annotations

import ctypes.util
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.cache import cache_folder

PACKAGE = "voice-mode"
VERSION = "9.0"
INSTALL_LIMIT_S = 600.0
QUERY_LIMIT_S = 30.0

_VERSION = f"from importlib.metadata import version; print(version({PACKAGE!r}))"


class PeerUnavailable(Exception):
    """It cannot be installed or started here; the message says why."""


class Peer:
    """An installed peer.

    Raises:
        PeerUnavailable: It cannot be installed, or lacks what it needs.
    """

    def __init__(self) -> None:
        self._folder = cache_folder() / f"{PACKAGE}-{VERSION}"
        if shutil.which("ffmpeg") is None:
            raise PeerUnavailable("ffmpeg is not installed, without which it does not speak")
        if ctypes.util.find_library("portaudio") is None:
            raise PeerUnavailable("PortAudio is not installed (libportaudio2), without which it does not start")
        self.version = self._installed_version() or self._install()

    @property
    def name(self) -> str:
        """As it is shown."""
        return f"{PACKAGE} {self.version}"

    @property
    def python(self) -> Path:
        """The interpreter of its environment."""
        return self._folder / "bin" / "python"

    def _installed_version(self) -> str | None:
        # pip installs a package after what it depends on, so where it is everything else is too.
        if not self.python.exists():
            return None
        done = _run([str(self.python), "-c", _VERSION], QUERY_LIMIT_S)
        return done.stdout.strip() if done.returncode == 0 else None

    def _install(self) -> str:
        print(f"installing {PACKAGE} {VERSION} below {self._folder} ...", file=sys.stderr, flush=True)
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        pip = [str(self.python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(self._folder)],
            [*pip, f"{PACKAGE}=={VERSION}.*"],
        ):
            done = _run(command, INSTALL_LIMIT_S)
            if done.returncode:
                errors = [line for line in done.stderr.splitlines() if "error" in line.lower()]
                raise PeerUnavailable(errors[-1].strip() if errors else f"{command[0]} failed")
        version = self._installed_version()
        if version is None:
            raise PeerUnavailable("it was installed and is not there")
        return version


def _run(command: list[str], limit_s: float) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False)
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise PeerUnavailable(f"{command[0]}: {exc}") from exc


if __name__ == "__main__":
    print(Peer().name)
