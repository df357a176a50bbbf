"""The command line. Whoever imports this package pays for nothing: typer and rich load when a command is run."""

from __future__ import annotations


def run() -> None:
    """Run the command that was typed, and exit with its code."""
    try:
        from voice_mcp.cli.main import main

        main()
    except KeyboardInterrupt:  # while it was still loading
        raise SystemExit(130) from None
