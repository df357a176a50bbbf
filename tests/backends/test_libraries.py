"""Libraries that are missing or broken, each in a Python of its own: what is loaded here must stay out of pytest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

WAIT_S = 30.0
TRY = """
import json, sys
from voice_mcp.audio_process import load_backend
from voice_mcp.errors import DeviceUnavailable
try:
    load_backend(sys.argv[1])
except DeviceUnavailable as exc:
    print(json.dumps({"message": exc.message, "hint": exc.hint}))
else:
    print(json.dumps({"numpy": any(name.partition(".")[0] == "numpy" for name in sys.modules)}))
"""


def load(name: str, **environment: str) -> dict[str, Any]:
    """Load one backend; what became of it."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", TRY, name],
        env={**os.environ, **environment},
        capture_output=True,
        timeout=WAIT_S,
        check=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.skipif(sys.platform != "linux", reason="hides PortAudio in the way of the Linux loader")
def test_without_portaudio_there_is_a_hint_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "libportaudio.so.2").write_bytes(b"not a library")
    answer = load("sounddevice", LD_LIBRARY_PATH=str(tmp_path))

    assert "PortAudio" in answer["message"]
    assert "libportaudio2" in answer["hint"]


@pytest.mark.parametrize("name", ["sounddevice", "miniaudio"])
@pytest.mark.parametrize("failure", ["ImportError", "OSError"])
def test_a_library_that_cannot_be_loaded_is_a_device_that_is_not_there(tmp_path: Path, name: str, failure: str) -> None:
    (tmp_path / f"{name}.py").write_text(f"raise {failure}('broken')\n")
    answer = load(name, PYTHONPATH=str(tmp_path))

    assert answer["message"]
    assert "VOICEMODE_AUDIO_OUTPUT" in answer["hint"]


def test_miniaudio_keeps_numpy_out_of_the_audio_process() -> None:
    assert load("miniaudio") == {"numpy": False}


def test_numpy_can_still_be_imported_after_miniaudio() -> None:
    source = (
        "import voice_mcp.backends.miniaudio as m; m.MiniaudioBackend(); import numpy; print(numpy.arange(3).sum())"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, timeout=WAIT_S, check=True)

    assert done.stdout.strip() == b"3"


def test_the_audio_process_imports_no_more_than_it_needs() -> None:
    source = "import sys, voice_mcp.audio_process, voice_mcp.playback.process; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-P", "-c", source], capture_output=True, timeout=WAIT_S, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.decode().split()}

    assert not loaded & {"mcp", "openai", "httpx2", "numpy", "pydantic", "asyncio", "sounddevice", "miniaudio"}
