"""The audio process that listens: the commands of ``capture/`` obeyed by an ``Input``."""

from __future__ import annotations

import json

from voice_mcp.capture.input import Input, LoadBackend, Order
from voice_mcp.pipe.process import serve
from voice_mcp.pipe.wire import Command


def run(load_backend: LoadBackend) -> None:
    """Listen when asked to, until standard input ends. Never returns."""
    serve(lambda send, do_device_work: _Listener(Input(load_backend, send, do_device_work)))


class _Listener:
    """A ``Servant``."""

    def __init__(self, microphone: Input) -> None:
        self._microphone = microphone
        self.close = microphone.close

    def obey(self, command: Command, payload: bytes) -> None:
        fields = json.loads(payload)
        if command is Command.CAPTURE:
            self._microphone.capture(Order(fields["n"], tuple(fields["backends"]), fields["device"]))
        elif command is Command.RELEASE:
            self._microphone.release(fields["n"])
        elif command is Command.DEVICES:
            self._microphone.list_devices(tuple(fields["backends"]))
