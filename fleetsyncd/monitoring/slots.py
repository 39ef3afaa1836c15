"""Room for so many connections, in which none that only waits keeps another one out."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from threading import Condition


class ConnectionSlots:
    """Counts open connections, and knows which of them wait for a request."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open = 0
        self._waiting: dict[socket.socket, None] = {}
        """The longest first."""
        self._changed = Condition()

    def take(self) -> None:
        """Take a slot; while there is none, close connections that wait, one after the other."""
        with self._changed:
            while self._open >= self._most:
                for longest_waiting in islice(self._waiting, 1):
                    with suppress(OSError):
                        longest_waiting.shutdown(socket.SHUT_RDWR)
                self._changed.wait()
            self._open += 1

    def give_back(self) -> None:
        """Give a slot back."""
        with self._changed:
            self._open -= 1
            self._changed.notify()

    @contextmanager
    def waiting(self, connection: socket.socket) -> Iterator[None]:
        """Let `take` close the connection while the body runs."""
        with self._changed:
            self._waiting[connection] = None
            self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                del self._waiting[connection]
