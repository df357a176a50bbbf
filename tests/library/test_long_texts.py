"""A text of ten minutes: whoever takes it in chunks holds a chunk, not the text's sound."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

KEPT_SHARE = 0.15
"""Of the sound that is made from minute to minute; whoever kept a sixth of it would be seen."""


@pytest.mark.skipif(sys.platform != "linux", reason="counts what a process holds in /proc")
def test_memory_does_not_grow_with_the_text(tmp_path: Path) -> None:
    script = textwrap.dedent("""
        from pathlib import Path
        from voice_mcp import TTS

        text = "This sentence is one of many that are said in a row, and it is no different from the others. " * 130
        made, seen = 0, {}
        with TTS(engine="espeak") as tts:
            for chunk in tts.generate_streaming(text):
                made += len(chunk)
                seen[made // (60 * 24_000)] = int(Path("/proc/self/statm").read_text().split()[1]) * 4096
        print(max(seen), seen[1], seen[max(seen) - 1])
        """)
    env = {"HOME": str(tmp_path), "PATH": os.defpath}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, timeout=120)
    assert done.stderr == ""
    minutes, early_bytes, late_bytes = map(int, done.stdout.split())
    assert minutes >= 9
    sound_bytes = (minutes - 2) * 60 * 24_000 * 4
    assert late_bytes - early_bytes < KEPT_SHARE * sound_bytes
