"""voice-mcp: gives AI agents a voice."""

__version__ = "0.1.0"
