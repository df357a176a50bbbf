"""ALSA configurations of devices that refuse, and a process that meets them.

Nothing here is a double: ALSA's own plugins refuse what a card would refuse, and PortAudio says so in its own words.
"""

from __future__ import annotations

import ctypes.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WAIT_S = 60.0
FRESH_S = 5.0

SILENT = "pcm.!default { type null }\nctl.!default { type hw card 0 }\n"
"""A device that takes everything and never asks for a frame: it can only be opened."""
UNPLUGGED = "pcm.!default { type hw card 0 }\nctl.!default { type hw card 0 }\n"
"""A device whose card is gone; on a machine that has a card of that number, another one."""
PULSE = "pcm.!default { type pulse }\nctl.!default { type pulse }\n"


def bound_to(channels: int) -> str:
    """A device that has so many channels, no more and no less."""
    bindings = "".join(f"bindings.{n} {{ slave a channel {n} }} " for n in range(channels))
    return f"pcm.!default {{ type multi slaves.a {{ pcm {{ type null }} channels {channels} }} {bindings} }}\n"


SPDIF = "pcm.silicon { type pulse }\npcm.!default { type a52 rate 48000 channels 2 slavepcm silicon }\n"
"""A digital output: 48 kHz and two channels, nothing else; what it sends can be decoded again (IEC 61937, AC-3)."""


def held(terminal: str) -> str:
    """A device whose opening fails with EBUSY, because the terminal behind it is held exclusively."""
    return f'pcm.!default {{ type oss device "{terminal}" }}\nctl.!default {{ type oss device "{terminal}" }}\n'


def missing_for_portaudio() -> str | None:
    """What this machine lacks for PortAudio on ALSA, or None."""
    if sys.platform != "linux":
        return "ALSA is Linux's"
    if ctypes.util.find_library("portaudio") is None:
        return "PortAudio is not installed (libportaudio2)"
    return None


def has_plugin(name: str) -> bool:
    """Whether an ALSA plugin that comes separately is installed (libasound2-plugins)."""
    roots = (Path("/usr/lib"), Path("/usr/lib64"), Path("/usr/local/lib"))
    return any(any(root.glob(f"**/alsa-lib/libasound_module_pcm_{name}.so")) for root in roots if root.is_dir())


@dataclass
class Script:
    """Steps for ``devices_at_work``, and the answers.

    Args:
        folder: Where ALSA's configuration is kept.
        config: The one to begin with.
        env: What else the process gets.
    """

    folder: Path
    config: str
    env: Mapping[str, str] = field(default_factory=dict)
    fresh_s: float = FRESH_S
    prefix: tuple[str, ...] = ()
    stderr: str = ""

    def run(self, *steps: tuple[str, dict[str, Any]]) -> list[Any]:
        """Do the steps; return their answers."""
        path = self.folder / "asound.conf"
        path.write_text(self.config)
        done = subprocess.run(
            [*self.prefix, sys.executable, "-m", "tests.backends.devices_at_work", json.dumps([self.fresh_s, *steps])],
            env={**os.environ, **self.env, "ALSA_CONFIG_PATH": str(path)},
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
        )
        self.stderr = done.stderr
        assert done.returncode == 0, done.stderr
        answers: list[Any] = json.loads(done.stdout)
        return answers


def as_an_ordinary_user() -> tuple[str, ...]:
    """What to put before a command so that it may not open what somebody else holds: root may."""
    setpriv = shutil.which("setpriv")
    return (setpriv, "--bounding-set", "-sys_admin") if setpriv is not None and os.geteuid() == 0 else ()


@contextmanager
def held_terminal() -> Iterator[str]:
    """The path of a terminal that nobody else can open."""
    import fcntl
    import termios

    ours, theirs = os.openpty()
    try:
        fcntl.ioctl(theirs, termios.TIOCEXCL)
        yield os.ttyname(theirs)
    finally:
        os.close(theirs)
        os.close(ours)
