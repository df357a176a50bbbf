"""Speech in a program of its own: ``python examples/say.py "Some text" speech.wav``; aloud where no file is named."""

from __future__ import annotations

import sys

from voice_mcp import TTS
from voice_mcp.errors import VoiceError

DIALOGUE = [(0, "Two speakers, one text."), (1, "Each in a voice of its own."), (0, "And in their turn.")]


def main(text: str | None = None, output: str | None = None) -> None:
    """Say a text, or a short dialogue."""
    with TTS(engine="espeak") as tts:
        with tts.generate_streaming(text or DIALOGUE) as chunks:
            print("chunks of", *(f"{len(chunk) / tts.sample_rate:.2f}" for chunk in chunks), "s")
        print(tts.say(text or DIALOGUE, output))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:3])
    except VoiceError as exc:
        sys.exit(exc.advice)
