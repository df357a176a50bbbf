"""What `voice-mcp doctor` looks at. Every check really does the thing, and every wait is bounded."""

from __future__ import annotations

import asyncio
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from voice_mcp import __version__
from voice_mcp.app import App, all_endpoints
from voice_mcp.audio.wav import wav_header
from voice_mcp.cli.house import house
from voice_mcp.codecs.detect import choose_decoder
from voice_mcp.errors import CodecError, EngineError, EngineRefused, PlaybackError, StorageError, VoiceError
from voice_mcp.openai_client import Endpoint
from voice_mcp.playback.link import DEVICE_BACKENDS
from voice_mcp.protocols import SpeechEngine
from voice_mcp.settings import OPENAI_HOST, LoadedSettings, Settings
from voice_mcp.storage.paths import DataRoot
from voice_mcp.tts.openai import OpenAIEngine
from voice_mcp.types import PcmFormat, PlaybackEvent, SpeechRequest

SOUND_S = 10.0
"""Longest a device may take to play 50 ms of silence."""
ENGINE_S = 10.0
"""Longest an engine may take to say one word."""
SILENCE_S = 0.05
WORD = "Ready."
FORMAT = PcmFormat(24_000, 1)


class State(StrEnum):
    """How it is with one thing."""

    OK = "ok"
    WARNING = "warning"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Check:
    """What was found of one thing."""

    name: str
    state: State
    detail: str
    hint: str = ""
    """The command or the setting that mends it."""


@dataclass(frozen=True, slots=True)
class Report:
    """All that was found."""

    checks: tuple[Check, ...]
    problem: str | None
    """Why speaking cannot work; None when it can."""

    @property
    def can_speak(self) -> bool:
        """Whether something can speak and its sound can go somewhere."""
        return self.problem is None

    @property
    def verdict(self) -> str:
        """All of it in one sentence."""
        return "Speaking works." if self.problem is None else f"Speaking cannot work: {self.problem}"
