"""The audio process that plays: the commands of ``playback/`` obeyed by an ``Output``."""

from __future__ import annotations

import json
from typing import Any

from voice_mcp.pipe.process import serve
from voice_mcp.pipe.wire import Command
from voice_mcp.playback.device import LoadBackend
from voice_mcp.playback.output import Output, Utterance
from voice_mcp.playback.player import BufferPolicy
from voice_mcp.types import PcmFormat


def run(load_backend: LoadBackend) -> None:
    """Play until standard input ends. Never returns."""
    serve(lambda send, do_device_work: _Player(Output(load_backend, send, do_device_work)))


class _Player:
    """A ``Servant``."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self.close = output.close

    def obey(self, command: Command, payload: bytes) -> None:
        output = self._output
        if command is Command.AUDIO:
            output.push(payload)
            return
        fields = json.loads(payload)
        if command is Command.BEGIN:
            output.begin(_utterance(fields))
        elif command is Command.FINISH:
            output.finish(fields["n"])
        elif command is Command.REST:
            output.rest(fields["n"])
        elif command is Command.RENEW:
            output.renew(fields["n"])
        elif command is Command.STOP:
            output.stop(fields["n"])
        elif command is Command.DEVICES:
            output.list_devices(tuple(fields["backends"]))


def _utterance(fields: dict[str, Any]) -> Utterance:
    return Utterance(
        number=fields["n"],
        fmt=PcmFormat(fields["rate_hz"], fields["channels"]),
        backends=tuple(fields["backends"]),
        device=fields["device"],
        path=fields["path"],
        policy=BufferPolicy(fields["start_s"], fields["rebuffer_s"], fields["most_s"]),
        wake_s=fields["wake_s"],
    )
