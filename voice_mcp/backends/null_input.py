"""No microphone: digital silence at the pace of one."""

from __future__ import annotations

from voice_mcp.backends._paced_input import PacedInput
from voice_mcp.protocols import FrameSink, InputStream
from voice_mcp.types import PcmFormat

FORMAT = PcmFormat(48_000, 1)


class NullInput:
    """What a muted microphone gives, for machines without one and for tests."""

    name = "null"

    def open(self, device: str | None, sink: FrameSink) -> InputStream:
        return PacedInput(FORMAT, lambda frames: b"", sink)

    def devices(self) -> list[str]:
        return ["null"]
