"""The ducking process's door (``python -m voice_mcp.ducking_process BASE_DIR SHARE``): it joins ducking and record."""

from __future__ import annotations

import sys
from pathlib import Path

from voice_mcp.ducking.process import run
from voice_mcp.storage.lowered import LoweredFile
from voice_mcp.storage.paths import DataRoot

if __name__ == "__main__":
    run(LoweredFile(DataRoot(Path(sys.argv[1]))), float(sys.argv[2]))
