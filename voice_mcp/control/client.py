"""Speaking to doors: to all of them at once, so that a process that hangs holds up nobody."""

from __future__ import annotations

import json
import selectors
import socket
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from voice_mcp.control.address import Address, reach
from voice_mcp.control.peer import is_own
from voice_mcp.control.words import MOST_ANSWER_BYTES, Word

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ANSWER_S = 1.0
"""How long an answer is waited for; a living process takes a millisecond, or some hundred while it loads a library."""
KNOCK_EVERY_S = 0.005
"""How often to knock again where too many do."""


class Reply(NamedTuple):
    """What came of asking at one door."""

    address: Address
    answer: dict[str, Any] | None
    """None when there was none in time, or none that can be read."""

    @property
    def obeyed(self) -> bool:
        """Whether it did what it was asked."""
        return self.answer is not None and self.answer.get("obeyed") is True


def ask(
    addresses: Sequence[Address],
    word: Word,
    *,
    timeout_s: float = ANSWER_S,
    enough: Callable[[Reply], bool] = lambda reply: False,
) -> list[Reply]:
    """Say ``word`` at every door, and wait for all answers together.

    Doors of processes that are gone are cleared away, and give no reply.

    Args:
        addresses: Where.
        word: What.
        timeout_s: How long to wait for answers.
        enough: Whether no more replies are needed after this one.
    """
    with selectors.DefaultSelector() as selector:
        asking = _Asking(selector, word)
        asking.knock(addresses)
        deadline_s = time.monotonic() + timeout_s
        while asking.goes_on and not any(map(enough, asking.replies)):
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                break
            asking.take(min(left_s, KNOCK_EVERY_S) if asking.outside else left_s)
        return asking.give_up()


class _Exchange:
    """One request and its answer, as far as they have come."""

    def __init__(self, address: Address, word: Word, connection: socket.socket) -> None:
        request = {"word": str(word), "token": address.token} if address.token else {"word": str(word)}
        self.address = address
        self.connection = connection
        self.unsent = json.dumps(request).encode() + b"\n"
        self.answer = b""

    def send(self) -> None:
        self.unsent = self.unsent[self.connection.send(self.unsent) :]

    def receive(self) -> bool:
        """Take what has come; whether that is all."""
        block = self.connection.recv(1 << 16)
        self.answer += block
        return not block or self.answer.endswith(b"\n") or len(self.answer) > MOST_ANSWER_BYTES

    def reply(self) -> Reply:
        try:
            answer = json.loads(self.answer)
        except ValueError:
            answer = None
        return Reply(self.address, answer if isinstance(answer, dict) else None)


class _Asking:
    """All exchanges together."""

    def __init__(self, selector: selectors.BaseSelector, word: Word) -> None:
        self._selector = selector
        self._word = word
        self.outside: list[Address] = []
        """Where too many knock."""
        self.replies: list[Reply] = []

    @property
    def goes_on(self) -> bool:
        return bool(self.outside or self._selector.get_map())

    def knock(self, addresses: Sequence[Address]) -> None:
        self.outside = []
        for address in addresses:
            try:
                connection = reach(address)
            except BlockingIOError:
                self.outside.append(address)
            except OSError:
                self._clear(address)
            else:
                self._begin(_Exchange(address, self._word, connection))

    def take(self, timeout_s: float) -> None:
        """Wait for what comes next."""
        for key, _ in self._selector.select(timeout_s):
            exchange: _Exchange = key.data
            try:
                self._go_on(exchange)
            except BlockingIOError:
                continue
            except OSError:
                self._end(exchange)
                if exchange.unsent:
                    self._clear(exchange.address)
                else:
                    self.replies.append(exchange.reply())
        if self.outside:
            self.knock(self.outside)

    def give_up(self) -> list[Reply]:
        """Whoever has not answered by now does not count."""
        late = [key.data for key in list(self._selector.get_map().values())]
        for exchange in late:
            self._end(exchange)
        silent = [exchange.address for exchange in late] + self.outside
        return self.replies + [Reply(address, None) for address in silent]

    def _begin(self, exchange: _Exchange) -> None:
        if not exchange.address.port and not is_own(exchange.connection):
            exchange.connection.close()  # somebody else has put a socket there
            return
        self._selector.register(exchange.connection, selectors.EVENT_WRITE, exchange)
        if not exchange.address.port:
            self._send_now(exchange)

    def _send_now(self, exchange: _Exchange) -> None:
        """It is connected: not even a turn of the loop is to pass before the word is said."""
        try:
            self._go_on(exchange)
        except OSError:
            return  # the loop will see it

    def _go_on(self, exchange: _Exchange) -> None:
        if exchange.unsent:
            exchange.send()
            if not exchange.unsent:
                self._selector.modify(exchange.connection, selectors.EVENT_READ, exchange)
        elif exchange.receive():
            self._end(exchange)
            self.replies.append(exchange.reply())

    def _end(self, exchange: _Exchange) -> None:
        self._selector.unregister(exchange.connection)
        exchange.connection.close()

    def _clear(self, address: Address) -> None:
        if address.is_gone():
            address.remove()
