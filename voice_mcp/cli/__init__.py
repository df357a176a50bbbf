"""The command line. Whoever imports this package pays for nothing: typer and rich load when a command is run."""

from __future__ import annotations

import sys


def run() -> None:
    """Run the command that was typed, and exit with its code."""
    try:
        if sys.argv[1:2] and sys.argv[1] in ("hush", "control", "status"):
            from voice_mcp.cli.keys import quick  # a key does not wait for typer and rich

            if (code := quick(sys.argv[1:])) is not None:
                sys.exit(code)
        from voice_mcp.cli.main import main

        main()
    except KeyboardInterrupt:  # while it was still loading
        raise SystemExit(130) from None
