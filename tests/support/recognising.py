"""A real recogniser for tests: what was said is told by pocketsphinx, which hears it as anybody would.

A test names the phrases that may be said; telling a handful apart is what pocketsphinx does well, also from espeak-ng.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from voice_mcp.stt._sphinx_grammar import grammar_of
from voice_mcp.stt.sphinx import SphinxRecognizer
from voice_mcp.types import RecognitionHints

LONGEST_S = 60.0


def recognizer_of(phrases: Iterable[str]) -> SphinxRecognizer:
    """A recogniser that knows these phrases; the test is skipped where pocketsphinx has no wheel."""
    pytest.importorskip("pocketsphinx", reason="pocketsphinx has no wheel here")
    return SphinxRecognizer(grammar_of(phrases))


async def understand(frames: bytes, phrases: Iterable[str]) -> str:
    """Which of ``phrases`` is said in ``frames`` (``LISTENING_FORMAT``); empty when it is none of them."""
    recognizer = recognizer_of(phrases)
    try:
        async with asyncio.timeout(LONGEST_S):
            return (await recognizer.transcribe(frames, RecognitionHints("en"))).text
    finally:
        await recognizer.aclose()
