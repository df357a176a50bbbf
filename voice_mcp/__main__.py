"""The door: no arguments is the MCP server on stdio, anything else is the command line."""

from __future__ import annotations

import sys

BY_HAND = (
    "voice-mcp: This is an MCP server; an MCP host starts it and talks to it. `voice-mcp --help` shows commands.\n"
)
SWITCH_S = 0.001
"""How long a thread may keep the interpreter while others wait: with Python's 5 ms, three busy threads of an engine or
a library hold up the sound for tenths of a second."""


def main() -> None:
    """Run the server or a command."""
    if len(sys.argv) > 1:
        from voice_mcp.cli import run

        run()
        return
    _serve()


def _serve() -> None:
    """The fast path: it pays for nothing but the server."""
    import logging  # the command line of a key does without

    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="voice-mcp: %(message)s")
    sys.setswitchinterval(SWITCH_S)
    from voice_mcp.stdio import output_diverted

    with output_diverted():
        import anyio

        from voice_mcp.app import log_everything, serve
        from voice_mcp.errors import VoiceError
        from voice_mcp.last_resort import ended_in_any_case
        from voice_mcp.offline import refuse_the_network
        from voice_mcp.settings import load_settings

    if sys.stdin is not None and sys.stdin.isatty():
        sys.stderr.write(BY_HAND)
    try:
        loaded = load_settings()
        for warning in loaded.warnings:
            logging.getLogger("voice_mcp").warning("%s", warning)
        if loaded.settings.debug:
            log_everything()
        if loaded.settings.offline:
            refuse_the_network()
        with ended_in_any_case():
            anyio.run(serve, loaded.settings)
    except VoiceError as exc:
        sys.exit(f"voice-mcp: {exc.advice}")


if __name__ == "__main__":
    main()
