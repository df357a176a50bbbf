"""A sound device in a real audio process that writes down what it played, and that a test can break.

It is a folder. What was heard lies in ``tape-0000``, ``tape-0001``, ... one file for each time it was opened. Like any
device it holds some sound that it took and has not played; what it holds when it is lost was never heard. A file in
the folder tells it how to be:

    gone           it is not there
    busy           somebody else holds it
    shape          a JSON list: the rate and the channels it takes, whatever is asked for
    lost-after     it is lost each time so many periods were heard
"""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path

LATENCY_S = 0.03
PERIOD_S = 0.01

_PROCESS = f"""
    import json, threading, time
    from collections import deque
    from pathlib import Path
    from voice_mcp.errors import DeviceBusy, DeviceUnavailable
    from voice_mcp.playback.process import run
    from voice_mcp.types import PcmFormat

    class Tapes:
        name = "null"

        def open(self, fmt, device, path, source):
            folder = Path(device)
            if (folder / "gone").exists():
                raise DeviceUnavailable("The tape is gone.", hint="Bring it back.")
            if (folder / "busy").exists():
                raise DeviceBusy("The tape is held.")
            if (folder / "shape").exists():
                fmt = PcmFormat(*json.loads((folder / "shape").read_text()))
            return Tape(folder, fmt, source)

        def devices(self):
            return ["tape"]

    class Tape:
        latency_s = {LATENCY_S}

        def __init__(self, folder, fmt, source):
            self.format = fmt
            self.period_frames = fmt.frames_in({PERIOD_S})
            self.folder, self.source = folder, source
            self.file = open(folder / f"tape-{{len(list(folder.glob('tape-*'))):04}}", "xb", buffering=0)
            self.held = deque()
            self.heard = 0
            self.closed = threading.Event()
            threading.Thread(target=self.play, daemon=True).start()

        def play(self):
            due = time.perf_counter()
            while not self.closed.wait(max(0.0, due - time.perf_counter())):
                due += {PERIOD_S}
                if self.is_lost():
                    self.source.lost("the tape was taken out")
                    return
                block = bytearray(self.period_frames * self.format.frame_bytes)
                self.source.render(memoryview(block))
                self.held.append(bytes(block))
                if len(self.held) > round({LATENCY_S / PERIOD_S}):
                    block = self.held.popleft()
                    self.heard += any(block)
                    self.file.write(block)

        def is_lost(self):
            limit = self.folder / "lost-after"
            return (self.folder / "gone").exists() or (limit.exists() and self.heard >= int(limit.read_text()))

        def close(self):
            self.closed.set()

    run(lambda name: Tapes())
"""

TAPE_PROCESS = (sys.executable, "-P", "-c", textwrap.dedent(_PROCESS))
"""The audio process; the backend ``null`` is such a device, whose name is the folder."""


class Tape:
    """The test's side of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def set(self, name: str, *, value: object = "") -> None:
        """Tell it to be like that."""
        (self.folder / name).write_text(json.dumps(value) if value != "" else "")

    def unset(self, name: str) -> None:
        """Tell it to be no longer like that."""
        (self.folder / name).unlink()

    def tapes(self) -> list[bytes]:
        """What was heard, each time it was opened."""
        return [path.read_bytes() for path in sorted(self.folder.glob("tape-*"))]

    def heard(self) -> bytes:
        """All of it."""
        return b"".join(self.tapes())
