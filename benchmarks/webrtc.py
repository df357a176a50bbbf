"""The peer's ear: ``webrtcvad`` with the settings voice-mode gives it, in an environment of its own.

It records at 24 kHz and resamples each 30 ms by itself; aggressiveness 3; a turn begins with the first frame that is
speech, and is over after 1,000 ms without, but not before 2 s (the default of its ``listen_duration_min``). The first
frames after its start are speech to it whatever they are: it is forgiven those.
"""

from __future__ import annotations

import struct
import subprocess
import time

import numpy as np
from scipy.signal import resample, resample_poly

from benchmarks.cache import environment
from benchmarks.hearing import Outcome
from tests.support.corpus import Listening

PACKAGE = "webrtcvad-wheels"
FRAME_S = 0.03
SILENCE_S = 1.0
LEAST_S = 2.0
FORGIVEN_FRAMES = 3

_RECORDED_HZ = 24_000
_FRAME_RECORDED = round(FRAME_S * _RECORDED_HZ)
_FRAME_JUDGED = round(FRAME_S * 16_000)
_CHILD = """
import struct, sys, time, webrtcvad
read, write = sys.stdin.buffer.read, sys.stdout.buffer.write
while True:
    size, = struct.unpack("<I", read(4))
    if not size:
        break
    pcm, vad, began = read(size), webrtcvad.Vad(3), time.process_time()
    flags = bytes(vad.is_speech(pcm[at:at + 960], 16000) for at in range(0, size, 960))
    write(struct.pack("<d", time.process_time() - began) + flags)
    sys.stdout.flush()
"""


class WebRtcEar:
    """Listens as the peer does; ``close`` it.

    Raises:
        OSError, subprocess.SubprocessError: It cannot be installed or started here.
    """

    def __init__(self) -> None:
        self._child = subprocess.Popen(
            [environment(PACKAGE), "-c", _CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.cpu_s = 0.0

    def meet(self) -> None:
        """It knows no speakers."""

    def listen(self, sound: Listening) -> Outcome:
        """Follow one turn."""
        flags = self._judge(self._as_recorded(sound.pcm))
        if True not in flags:
            return Outcome()
        silent_s, begin_s = 0.0, flags.index(True) * FRAME_S
        for number in range(flags.index(True), len(flags)):
            silent_s = 0.0 if flags[number] else silent_s + FRAME_S
            now_s = (number + 1) * FRAME_S
            if silent_s >= SILENCE_S - 1e-6 and now_s >= LEAST_S:
                return Outcome(begin_s + FRAME_S, 0.0, now_s)  # it keeps everything from the beginning
        return Outcome(begin_s + FRAME_S, 0.0)

    def close(self) -> None:
        """Let go of the process."""
        if self._child.stdin is not None:
            self._child.stdin.write(struct.pack("<I", 0))
            self._child.stdin.close()
        self._child.wait(timeout=10.0)
        if self._child.stdout is not None:
            self._child.stdout.close()

    def _as_recorded(self, pcm: bytes) -> list[np.ndarray]:
        recorded = resample_poly(np.frombuffer(pcm, "<i2").astype(float), 3, 2)
        whole = len(recorded) // _FRAME_RECORDED * _FRAME_RECORDED
        return list(np.rint(recorded[:whole]).reshape(-1, _FRAME_RECORDED))

    def _judge(self, frames: list[np.ndarray]) -> list[bool]:
        began_s = time.process_time()
        judged = [np.clip(resample(frame, _FRAME_JUDGED), -32768, 32767).astype("<i2").tobytes() for frame in frames]
        self.cpu_s += time.process_time() - began_s
        if self._child.stdin is None or self._child.stdout is None:
            raise OSError("the child has no pipes")
        data = b"".join(judged)
        self._child.stdin.write(struct.pack("<I", len(data)) + data)
        self._child.stdin.flush()
        (spent_s,) = struct.unpack("<d", self._child.stdout.read(8))
        self.cpu_s += spent_s
        flags = self._child.stdout.read(len(judged))
        return [bool(flag) and number >= FORGIVEN_FRAMES for number, flag in enumerate(flags)]
