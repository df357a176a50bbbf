"""Where an OpenAI-compatible server is, and what may be said to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from voice_mcp.offline import is_this_machine
from voice_mcp.settings import OPENAI_HOST


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One OpenAI-compatible server."""

    base_url: str
    api_key: str | None = None
    """Sent to this endpoint and to no other; never shown."""
    model: str = "tts-1"
    part: Literal["TTS", "STT"] = "TTS"
    """Whether it speaks or listens: which settings it comes from, for whoever has to correct them."""

    @property
    def host(self) -> str:
        """Host and port as a person would name it: ``api.openai.com``, ``127.0.0.1:8880``, ``[::1]:8880``."""
        parts = urlsplit(self.base_url)
        name = str(parts.hostname)
        name = f"[{name}]" if ":" in name else name
        return f"{name}:{parts.port}" if parts.port else name

    @property
    def is_local(self) -> bool:
        """Whether it is this machine."""
        return is_this_machine(urlsplit(self.base_url).hostname or "")

    @property
    def is_openai(self) -> bool:
        """Whether it is OpenAI's own, reached so that nobody in between can read along or pose as it."""
        parts = urlsplit(self.base_url)
        return parts.scheme == "https" and parts.hostname == OPENAI_HOST and parts.port in (None, 443)

    @property
    def is_secret(self) -> bool:
        """Whether what is sent there can be read by nobody in between."""
        return self.is_local or urlsplit(self.base_url).scheme == "https"

    @property
    def urls_setting(self) -> str:
        """The variable it comes from."""
        return f"VOICEMODE_{self.part}_BASE_URLS"

    @property
    def keys_setting(self) -> str:
        """The variable its key comes from."""
        return f"VOICEMODE_{self.part}_API_KEYS"

    def advice(self, template: str) -> str:
        """A hint, with ``{urls}`` and ``{keys}`` in it replaced by the settings that are meant."""
        return template.format(urls=self.urls_setting, keys=self.keys_setting)

    def __repr__(self) -> str:
        return f"Endpoint({self.base_url!r})"
