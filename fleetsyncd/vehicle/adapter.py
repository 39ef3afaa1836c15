"""The kept connection to a vehicle, read in turns.

A green read that finds data waiting returns without letting anybody else run. A vehicle that pours
answers without end (`100 Continue`, chunks of one byte, empty gzip members) would so stop the whole
process, its own deadline included: reads from the network therefore give up their turn in between.
"""

import http.client
import io
import time
from socket import MSG_PEEK, socket
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection

YIELD_EVERY_SEC = 0.005
"""How long a connection may be read before the others have their turn."""
YIELD_PAUSE_SEC = 1e-6
"""Not zero: gevent resumes a sleeper of zero up to a thousand times before it looks at timers."""


class _YieldingReader(io.RawIOBase):
    """The raw stream of a socket; reading it lets the others run now and then."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw
        self._turn_ends = time.monotonic() + YIELD_EVERY_SEC

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if time.monotonic() > self._turn_ends:
            time.sleep(YIELD_PAUSE_SEC)
            self._turn_ends = time.monotonic() + YIELD_EVERY_SEC
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp = io.BufferedReader(_YieldingReader(self.fp.detach()))


class _Connection(HTTPConnection):
    response_class = _Response

    @property
    def is_connected(self) -> bool:
        """Whether the next answer on this connection will be to the next question.

        It will not if the vehicle has closed it, or has sent something nobody asked for. urllib3
        would poll the socket, which costs a green process a good part of a call; this looks.
        """
        return self.sock is not None and _has_nothing_to_read(self.sock)


def _has_nothing_to_read(sock: socket) -> bool:
    """Tell whether an open socket has nothing to read."""
    patience = sock.gettimeout()
    sock.settimeout(0)
    try:
        sock.recv(1, MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        sock.settimeout(patience)
    return False


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class VehicleAdapter(HTTPAdapter):
    """Sends requests to one vehicle over one kept connection, without a retry.

    Used without a session, whose cookies, redirects, proxies and netrc a vehicle has no use for:
    what requests does beyond sending costs a good part of a call, and a session most of a vehicle's
    memory.
    """

    def __init__(self, host: str, port: int, base: str) -> None:
        super().__init__(max_retries=0)
        self._base = base
        self._pool = _Pool(host, port, maxsize=1)

    def init_poolmanager(self, *_args: Any, **_options: Any) -> None:
        """Make no pools for other hosts: there are none."""

    def get_connection_with_tls_context(self, *_args: Any, **_options: Any) -> HTTPConnectionPool:
        """Return the vehicle's pool; looking it up by URL is spared each call."""
        return self._pool

    def request_url(self, request: requests.PreparedRequest, _proxies: Any) -> str:
        """Return what follows the vehicle's address in the URL."""
        return (request.url or "")[len(self._base) :]

    def close(self) -> None:
        """Close the kept connection."""
        self._pool.close()
