"""Print the figures: ``python -m benchmarks`` for all, or with names, ``python -m benchmarks startup first_sound``."""

from __future__ import annotations

import asyncio
import os
import platform
import sys
from importlib import import_module

from benchmarks.figures import Figure, table

ALL = ("startup", "first_sound", "speaking", "codecs", "device", "install", "long_utterance")


def main() -> None:
    """Measure one after the other and print one table."""
    names = sys.argv[1:] or ALL
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # a server without its bytecode cache measures the compiler
    figures: list[Figure] = []
    for name in names:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        figures += asyncio.run(import_module(f"benchmarks.{name}").measure())
    print(f"Python {platform.python_version()}, {platform.system()}, {os.cpu_count()} cores\n")
    print(table(figures))
    sys.exit(any(figure.verdict == "MISSED" for figure in figures))


if __name__ == "__main__":
    main()
