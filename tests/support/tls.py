"""Certificates of an authority that exists for one test, and a port whose owner has never heard of TLS."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

from tests.support.ports import LOOPBACK

ANSWER_S = 10.0
DAY = timedelta(days=1)


class Authority:
    """Signs certificates; who trusts it is told by ``file``, the value of ``SSL_CERT_FILE``."""

    def __init__(self, folder: Path) -> None:
        self._authority = trustme.CA()
        self._folder = folder
        self.file = folder / "authority.pem"
        self._authority.cert_pem.write_to_path(self.file)

    def server(self, name: str = LOOPBACK, *, expired: bool = False) -> ssl.SSLContext:
        """What a server needs that is called ``name``."""
        now = datetime.now(UTC)
        until = now - DAY if expired else now + DAY
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._authority.issue_cert(name, not_before=now - 2 * DAY, not_after=until).configure_cert(context)
        return context

    def signed_by_itself(self) -> ssl.SSLContext:
        """A server that shows the authority's own certificate, which nobody else has signed."""
        path = self._folder / "itself.pem"
        path.write_bytes(self._authority.cert_pem.bytes() + self._authority.private_key_pem.bytes())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


@contextmanager
def blunt_port(answer: bytes) -> Iterator[int]:
    """A TCP port that gives one connection this answer, whatever comes first, and closes it."""
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        listener.listen(1)
        listener.settimeout(ANSWER_S)
        thread = threading.Thread(target=_answer, args=(listener, answer), daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(ANSWER_S)


def _answer(listener: socket.socket, answer: bytes) -> None:
    with contextlib.suppress(OSError):  # nobody came, or who came has left
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(ANSWER_S)
            connection.recv(1 << 16)
            connection.sendall(answer)
