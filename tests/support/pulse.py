"""A real sound card that can be read back: a private PulseAudio whose only sink writes into a pipe.

    process under test ─ PortAudio ─ ALSA ┐
                       └ miniaudio ───────┴▶ pulseaudio ─ pipe sink, timed by the system clock ▶ FIFO ▶ Capture

The sink takes frames at the pace of a real card whether or not there are any, so a late player leaves zeros behind.
Left alone it takes them by 4 KiB (85 ms of 24 kHz mono), and by less only while a client asks for less: a new client is
heard when the quantum that is under way is over. A listener on the sink's monitor therefore keeps the card's period
short, as a real card's is.

It has a microphone too, if asked for one: see ``tests/support/microphone.py``.
"""

from __future__ import annotations

import contextlib
import ctypes.util
import os
import re
import selectors
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.capture import Capture
from tests.support.microphone import VirtualMicrophone
from tests.support.waiting import eventually

START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 5.0
ORPHAN_S = 900
"""A daemon without clients ends by itself after this long, should the test process have been killed."""
FIFO_BYTES = 1 << 20
"""About 20 s of 24 kHz mono: the sink drops what does not fit, and the reader may be kept from running for a while."""

SOURCE_PERIOD_MS = 10

FIRST_SINK = "card"
"""The sink a card begins with, and its default."""

_PLUGIN = "libasound_module_pcm_pulse.so"
_ALSA_CONF = """\
pcm.!default { type pulse }
ctl.!default { type pulse }
"""


def missing_for_pulse() -> str | None:
    """What this machine lacks to play through a ``PulseCard``, or None."""
    for program in ("pulseaudio", "parec", "pactl"):
        if shutil.which(program) is None:
            return f"{program} is not installed (pulseaudio, pulseaudio-utils)"
    if ctypes.util.find_library("portaudio") is None:
        return "PortAudio is not installed (libportaudio2)"
    folders = (folder for root in ("/usr/lib", "/usr/lib64", "/usr/local/lib") for folder in _alsa_folders(Path(root)))
    if not any((folder / _PLUGIN).exists() for folder in folders):
        return "ALSA's PulseAudio plugin is not installed (libasound2-plugins)"
    return None


def _alsa_folders(root: Path) -> list[Path]:
    return [root / "alsa-lib", *root.glob("*/alsa-lib")]


class PulseCard:
    """A sound card for tests and benchmarks. Use it as a context manager.

    Args:
        rate_hz: The card's rate; what is played at this rate and at full volume arrives bit by bit as it was sent.
        channels: The card's channels.
        period_ms: How often the card takes frames; None leaves it to PulseAudio.
    """

    def __init__(self, rate_hz: int = 24_000, channels: int = 1, period_ms: int | None = 10) -> None:
        self.rate_hz = rate_hz
        self.channels = channels
        self.period_ms = period_ms
        self.capture = Capture(2 * rate_hz * channels)
        self.fifo_bytes = FIFO_BYTES
        """What its pipe holds: with less it drops sound where the reader is kept from running for long."""
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._daemon: subprocess.Popen[bytes] | None = None
        self._listeners: list[subprocess.Popen[bytes]] = []
        self._readers: list[threading.Thread] = []
        self._microphones: list[VirtualMicrophone] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def env(self) -> dict[str, str]:
        """What to add to the environment of the process that is to play on this card."""
        return {
            "PULSE_SERVER": f"unix:{self._path('socket')}",
            # The user's own client settings could start another daemon or turn the volume down.
            "PULSE_CLIENTCONFIG": str(self._path("client.conf")),
            "PULSE_COOKIE": str(self._path("cookie")),
            "PULSE_RUNTIME_PATH": str(self._path("client")),
            # This file alone, instead of the system's: no other device can be found through ALSA.
            "ALSA_CONFIG_PATH": str(self._path("asound.conf")),
        }

    def start(self) -> None:
        """Start the daemon, wait until it answers, and begin to read.

        Raises:
            RuntimeError: It did not start; the message holds what it said.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="card-")
        try:
            for name in ("home", "client"):
                self._path(name).mkdir(mode=0o700)
            self._path("asound.conf").write_text(_ALSA_CONF)
            self._path("client.conf").write_text("autospawn = no\n")
            self._plug_in()
        except BaseException as exc:
            said = self.said()
            self.stop()
            if isinstance(exc, AssertionError | OSError):
                raise RuntimeError(f"pulseaudio did not start: {exc}\n{said}") from exc
            raise

    def _plug_in(self) -> None:
        self._daemon = self._launch()
        eventually(self._answers, START_TIMEOUT_S, "PulseAudio's first answer")
        self._tap(FIRST_SINK, self.capture)

    def _tap(self, sink: str, capture: Capture) -> None:
        """Begin to read a sink, and keep its period short."""
        listener = None
        if self.period_ms is not None:
            listener = self._listen(f"{sink}.monitor", self.period_ms, subprocess.PIPE)
            self._listeners.append(listener)
        arguments = self._open_fifo(sink), listener, capture
        reader = threading.Thread(target=self._read, args=arguments, name=f"card {sink}", daemon=True)
        self._readers.append(reader)
        reader.start()
        eventually(lambda: self._settled(capture), START_TIMEOUT_S, "the card's period")

    def stop(self) -> None:
        """End the daemon, its microphones and the reading thread; what was captured stays. May be called twice."""
        for microphone in self._microphones:
            microphone.stop()
        self._microphones.clear()
        self._let_go()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _let_go(self) -> None:
        for process in (*self._listeners, self._daemon):
            if process is not None:
                _end(process)
        self._daemon = None
        for reader in self._readers:
            # The pipe has lost its only writer, so the thread reads its end.
            reader.join(STOP_TIMEOUT_S)
            if reader.is_alive():
                raise RuntimeError("the card's reading thread did not end")
        self._readers.clear()
        for listener in self._listeners:
            if listener.stdout is not None:
                listener.stdout.close()
        self._listeners.clear()

    def unplug(self) -> None:
        """Kill the daemon, whatever it plays: to its clients, the card is gone. What it got is captured."""
        if self._daemon is None:
            raise RuntimeError("the card is not running")
        self._daemon.kill()
        self._daemon.wait(STOP_TIMEOUT_S)

    def replug(self) -> bytes:
        """Start another daemon at the same address: to its clients, the card is back. It is captured from nothing.

        Returns:
            Everything the one before it got.

        Raises:
            RuntimeError: The card has not been unplugged.
        """
        if self._daemon is None or self._daemon.poll() is None:
            raise RuntimeError("the card is not unplugged")
        self._let_go()
        before = self.captured()
        fifos = (f"fifo-{name}" for name in (FIRST_SINK, *(microphone.name for microphone in self._microphones)))
        for name in (*fifos, "socket"):  # what a daemon leaves behind that was killed
            self._path(name).unlink(missing_ok=True)
        self.capture = Capture(2 * self.rate_hz * self.channels)
        self._plug_in()
        for microphone in self._microphones:
            self._add_source(microphone)
        return before

    def microphone(
        self, rate_hz: int = 44_100, channels: int = 1, name: str = "microphone", noise: int = 0
    ) -> VirtualMicrophone:
        """Give the daemon a microphone, which is the default from now on. It ends with the card.

        Args:
            rate_hz: Its rate; what PortAudio takes for the rate of everything that PulseAudio has, by default.
            channels: Its channels.
            name: Of the source; a card may have several.
            noise: The highest magnitude of the noise between what is said, of 32767; 0 for digital silence.
        """
        microphone = VirtualMicrophone(name, rate_hz, channels, noise)
        self._add_source(microphone)
        self._microphones.append(microphone)
        return microphone

    def remove_microphone(self, microphone: VirtualMicrophone) -> None:
        """Take a microphone away, whatever listens to it."""
        self._microphones.remove(microphone)
        self._unload(f"source_name={microphone.name}")
        microphone.stop()

    def recorders(self) -> set[int]:
        """The processes that hold a recording stream open, but for the card's own listeners."""
        listed = self.control("list", "source-outputs")
        holders = set(map(int, re.findall(r'application\.process\.id = "(\d+)"', listed)))
        return holders - {listener.pid for listener in self._listeners}

    def add_sink(self, name: str) -> Capture:
        """Give the daemon another sink of the same shape, which is not the default.

        Returns:
            What it gets from now on.
        """
        self.control("load-module", "module-pipe-sink", *self._sink(name).split())
        capture = Capture(2 * self.rate_hz * self.channels)
        self._tap(name, capture)
        return capture

    def control(self, *command: str) -> str:
        """Tell the daemon something, in the words of ``pactl``; what it answered.

        Raises:
            CalledProcessError: It refused.
        """
        env = _system_env() | {"HOME": str(self._path("home"))} | self.env
        done = subprocess.run(
            ["pactl", *command], env=env, capture_output=True, text=True, check=True, timeout=START_TIMEOUT_S
        )
        return done.stdout

    def remove_sink(self, name: str) -> None:
        """Take a sink away, whatever it plays."""
        self._unload(f"sink_name={name}")

    def _unload(self, argument: str) -> None:
        """Unload the module that was loaded with this argument."""
        lines = self.control("list", "short", "modules").splitlines()
        (number,) = [line.split()[0] for line in lines if f"{argument} " in line.replace("\t", " ") + " "]
        self.control("unload-module", number)

    def _add_source(self, microphone: VirtualMicrophone) -> None:
        fifo = self._path(f"fifo-{microphone.name}")
        shape = f"format=s16le rate={microphone.rate_hz} channels={microphone.channels}"
        self.control(
            "load-module", "module-pipe-source", f"source_name={microphone.name}", f"file={fifo}", *shape.split()
        )
        self.control("set-default-source", microphone.name)
        # A source that nobody listens to does not read its pipe: what was said long ago would come all at once.
        self._listeners.append(self._listen(microphone.name, self.period_ms or SOURCE_PERIOD_MS, subprocess.DEVNULL))
        microphone.plug_in(fifo)
        eventually(lambda: self._is_running(microphone.name), START_TIMEOUT_S, "the microphone's first sample")

    def _is_running(self, source: str) -> bool:
        fields = (line.split() for line in self.control("list", "short", "sources").splitlines())
        return any(source in line and "RUNNING" in line for line in fields)

    def captured(self) -> bytes:
        """Everything the card got so far: signed 16-bit little-endian frames."""
        return self.capture.data()

    def wait_for(self, what: bytes | Callable[[bytes], bool], timeout_s: float) -> None:
        """Wait until the card got these bytes, or until the predicate is true of everything it got."""
        self.capture.wait_for(what, timeout_s)

    def wait_for_sound(self, timeout_s: float) -> float:
        """Wait for the first sample that is not zero; return when it came (``perf_counter`` seconds)."""
        return self.capture.wait_for_sound(timeout_s)

    def wait_for_silence(self, duration_s: float, timeout_s: float) -> None:
        """Wait until a sound was followed by ``duration_s`` seconds of silence."""
        self.capture.wait_for_silence(duration_s, timeout_s)

    def clear(self) -> None:
        """Forget what the card got so far."""
        self.capture.clear()

    def said(self) -> str:
        """What the daemon wrote to stderr."""
        log = self._path("stderr")
        return log.read_text(errors="replace") if log.exists() else ""

    def _path(self, name: str) -> Path:
        if self._folder is None:
            raise RuntimeError("the card is not running")
        return Path(self._folder.name) / name

    def _launch(self) -> subprocess.Popen[bytes]:
        arguments = [
            *("pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", "--disable-shm=yes"),
            *("--high-priority=no", "--realtime=no", "--no-cpu-limit=yes", f"--exit-idle-time={ORPHAN_S}"),
            *("--log-target=stderr", "--log-level=notice"),
            f"--load=module-pipe-sink {self._sink(FIRST_SINK)}",
            # Last, so that whoever can connect finds the sink.
            f"--load=module-native-protocol-unix auth-anonymous=1 auth-cookie-enabled=0 socket={self._path('socket')}",
        ]
        home = str(self._path("home"))
        own = ("HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "PULSE_RUNTIME_PATH", "PULSE_STATE_PATH")
        with self._path("stderr").open("wb") as log:
            return subprocess.Popen(
                arguments,
                env=_system_env() | dict.fromkeys(own, home),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    def _sink(self, name: str) -> str:
        shape = f"format=s16le rate={self.rate_hz} channels={self.channels}"
        return f"sink_name={name} use_system_clock_for_timing=yes file={self._path(f'fifo-{name}')} {shape}"

    def _listen(self, source: str, period_ms: int, output: int) -> subprocess.Popen[bytes]:
        # It writes to this process, so it ends with it; without clients the daemon then ends as well.
        with self._path("stderr").open("ab") as log:
            return subprocess.Popen(
                [
                    *("parec", "--raw", f"--device={source}", f"--latency-msec={period_ms}"),
                    *("--format=s16le", "--rate=8000", "--channels=1"),
                ],
                env=_system_env() | {"HOME": str(self._path("home"))} | self.env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=log,
            )

    def _settled(self, capture: Capture) -> bool:
        """The last few blocks were as short as they are to be."""
        if self.period_ms is None:
            return True
        most = 2 * 2 * self.channels * self.rate_hz * self.period_ms // 1000
        starts = [start for _, start in capture.blocks()][-4:]
        return len(starts) == 4 and all(b - a <= most for a, b in zip(starts, starts[1:], strict=False))

    def _answers(self) -> bool:
        if self._daemon is None or self._daemon.poll() is not None:
            raise ConnectionError("it ended at once")
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1.0)
            return probe.connect_ex(str(self._path("socket"))) == 0

    def _open_fifo(self, sink: str) -> int:
        import fcntl  # not on Windows, where this module is imported only to be skipped

        # Without waiting: a daemon that died meanwhile would leave nobody to open the other end.
        fifo = os.open(self._path(f"fifo-{sink}"), os.O_RDONLY | os.O_NONBLOCK)
        os.set_blocking(fifo, True)
        resize = getattr(fcntl, "F_SETPIPE_SZ", None)
        if resize is not None:
            # An unprivileged user may have used up what pipes may hold; the default size then has to do.
            with contextlib.suppress(PermissionError):
                fcntl.fcntl(fifo, resize, FIFO_BYTES)
            self.fifo_bytes = min(self.fifo_bytes, fcntl.fcntl(fifo, fcntl.F_GETPIPE_SZ))
        return fifo

    def _read(self, fifo: int, listener: subprocess.Popen[bytes] | None, capture: Capture) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(fifo, selectors.EVENT_READ)
            if listener is not None and listener.stdout is not None:
                selector.register(listener.stdout, selectors.EVENT_READ)
            try:
                while fifo in selector.get_map():
                    for key, _ in selector.select():
                        data = os.read(key.fd, 1 << 16)
                        if not data:
                            selector.unregister(key.fileobj)
                        elif key.fd == fifo:
                            capture.append(data, time.perf_counter())
            finally:
                os.close(fifo)
                capture.end()


def _system_env() -> dict[str, str]:
    # No session bus: PulseAudio would look for one, and start one if it could.
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "DBUS_SESSION_BUS_ADDRESS": "disabled:"}


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process that was started here, politely first."""
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_TIMEOUT_S)
