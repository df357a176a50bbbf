"""A network that the kernel itself makes bad: a namespace, a pair of virtual interfaces, queueing disciplines on both.

    this process ─ client's end ══ veth ══ server's end ─ [namespace] ─ a listening socket of this process

The namespace belongs to a child that does nothing but hold it and ends with its input. When this process ends, however
it ends, so does the child, and the kernel takes the namespace and both interfaces away: nothing has a name that could
be left behind. Needs Linux and root, and for delay and loss a kernel with ``sch_netem``.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from tests.support.waiting import eventually
from tests.support.weather import Profile

COMMAND_TIMEOUT_S = 10.0
START_TIMEOUT_S = 10.0
CLONE_NEWNET = 0x40000000
PARTS = 1 << 14
"""198.18.0.0/15 is set aside for measurements (RFC 2544), so nobody is cut off; four addresses each."""


def missing_for_namespaces() -> str | None:
    """What this machine lacks for a ``Namespace``, or None."""
    if sys.platform != "linux":
        return "network namespaces are Linux's"
    for program in ("ip", "tc", "unshare", "nsenter"):
        if shutil.which(program) is None:
            return f"{program} is not installed (iproute2, util-linux)"
    if os.geteuid() != 0:
        return "only root may make network interfaces"
    return _refusal(["unshare", "--net", "ip", "link", "add", "name", "a", "type", "veth", "peer", "name", "b"])


def missing_for_qdisc(*words: str) -> str | None:
    """Why this kernel cannot do ``tc qdisc add ... root <words>``, or None."""
    return missing_for_namespaces() or _refusal(
        ["unshare", "--net", "tc", "qdisc", "add", "dev", "lo", "root", *words], "the kernel says: "
    )


class Namespace:
    """Use it as a context manager.

    Args:
        client: The queueing discipline of what goes to the server, as ``tc`` takes it; empty: none.
        server: That of what comes back.
    """

    def __init__(self, *, client: Sequence[str] = (), server: Sequence[str] = ()) -> None:
        part = secrets.randbelow(PARTS)
        third, fourth = divmod(part * 4, 256)
        self.client_host = f"198.18.{third}.{fourth + 1}"
        self.server_host = f"198.18.{third}.{fourth + 2}"
        self._names = f"vm{part}c", f"vm{part}s"
        self._client = tuple(client)
        self._server = tuple(server)
        self._holder: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._holder = subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        try:
            eventually(self._is_apart, START_TIMEOUT_S, "the namespace")
            self._build()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    @property
    def pid(self) -> int:
        """The process that holds the namespace."""
        if self._holder is None:
            raise RuntimeError("there is no namespace")
        return self._holder.pid

    def listen(self) -> socket.socket:
        """A listening socket on the far side; whoever takes it closes it."""
        made: list[socket.socket] = []
        failures: list[OSError] = []

        def make() -> None:
            try:
                _enter(self.pid)
                made.append(socket.create_server((self.server_host, 0)))
            except OSError as exc:
                failures.append(exc)

        # A socket stays where it was made, and a thread is free to go elsewhere: this one goes there and ends.
        thread = threading.Thread(target=make, name="namespace")
        thread.start()
        thread.join()
        if failures:
            raise failures[0]
        return made[0]

    def _is_apart(self) -> bool:
        return os.stat(f"/proc/{self.pid}/ns/net").st_ino != os.stat("/proc/self/ns/net").st_ino

    def _build(self) -> None:
        client, server = self._names
        inside = ("nsenter", "--net", f"--target={self.pid}")
        _run("ip", "link", "add", "name", client, "type", "veth", "peer", "name", server, "netns", str(self.pid))
        for prefix, name, host, qdisc in (
            ((), client, self.client_host, self._client),
            (inside, server, self.server_host, self._server),
        ):
            _run(*prefix, "ip", "address", "add", f"{host}/30", "dev", name)
            _run(*prefix, "ip", "link", "set", name, "up")
            if qdisc:
                _run(*prefix, "tc", "qdisc", "add", "dev", name, "root", *qdisc)

    def _end(self) -> None:
        # Sockets hold the namespace as well, so the interfaces are taken away first; one end takes the other along.
        _call("ip", "link", "delete", self._names[0])
        if self._holder is not None and self._holder.stdin is not None:
            self._holder.stdin.close()
            try:
                self._holder.wait(COMMAND_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._holder.kill()
                self._holder.wait(COMMAND_TIMEOUT_S)


def netem(profile: Profile) -> tuple[list[str], list[str]]:
    """The kernel's words for a profile: for what goes to the server, and for what comes back.

    A stall is a loss here, and what TCP makes of it is the kernel's: so is how long it takes.
    """
    half = ["netem", "delay", f"{profile.rtt_s * 500:.3f}ms"]
    back = list(half)
    if profile.jitter_s:
        back += [f"{profile.jitter_s * 1000:.3f}ms", "50%"]
    if profile.stall_every_s is not None:
        # Of the 960-byte packets of speech at twice real time, a hundred a second, one in so many begins a loss.
        back += ["loss", f"{100 / (100 * profile.stall_every_s):.3f}%", "50%"]
    if profile.rate_bytes_per_s is not None:
        back += ["rate", f"{profile.rate_bytes_per_s * 8:.0f}bit"]
    return half, back


def bucket(profile: Profile) -> list[str]:
    """The kernel's token bucket at a profile's rate."""
    if profile.rate_bytes_per_s is None:
        raise ValueError(f"{profile.name} has no rate")
    rate = f"{profile.rate_bytes_per_s * 8:.0f}bit"
    # The virtual interfaces hand over segments of up to 64 KiB at once, and a bucket passes none larger than itself.
    return ["tbf", "rate", rate, "burst", "66000", "latency", "400ms"]


def _enter(pid: int) -> None:
    """Put this thread into the namespace of a process."""
    libc = ctypes.CDLL(None, use_errno=True)
    where = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        if libc.setns(where, CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(where)


def _refusal(command: Sequence[str], before: str = "") -> str | None:
    """What is said when it does not work."""
    done = _call(*command)
    said = done.stderr.strip().splitlines()
    return None if done.returncode == 0 else before + (said[-1] if said else f"{command[0]} failed")


def _run(*command: str) -> None:
    done = _call(*command)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")


def _call(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False)
