"""Print the figures: ``python -m benchmarks`` for all, or with names, ``python -m benchmarks startup first_sound``.

``--quick`` shortens what takes minutes and has a shorter form (``network``, ``floor``, ``long_life``).
"""

from __future__ import annotations

import asyncio
import os
import platform
import sys
from importlib import import_module

from benchmarks.figures import Figure, table

ALL = (
    "startup",
    "first_sound",
    "speaking",
    "keys",
    "codecs",
    "device",
    "install",
    "endpointing",
    "uploads",
    "listening",
    "round_trip",
    "echo",
    "recognisers",
    "watermark",
    "engines",
    "floor",
    "network",
    "library",
    "long_utterance",
    "long_life",
)
QUICK = "--quick"
HAVE_QUICK = ("network", "floor", "long_life")


def main() -> None:
    """Measure one after the other and print one table."""
    names = [name for name in sys.argv[1:] if name != QUICK] or ALL
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # a server without its bytecode cache measures the compiler
    figures: list[Figure] = []
    for name in names:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        options = {"quick": True} if QUICK in sys.argv and name in HAVE_QUICK else {}
        figures += asyncio.run(import_module(f"benchmarks.{name}").measure(**options))
    print(f"Python {platform.python_version()}, {platform.system()}, {os.cpu_count()} cores\n")
    print(table(figures))
    sys.exit(any(figure.verdict == "MISSED" for figure in figures))


if __name__ == "__main__":
    main()
