"""The kept connection to a vehicle, read in turns.

A green read that finds data waiting returns without letting anybody else run. A vehicle that pours
answers without end (`100 Continue`, chunks of one byte, empty gzip members) would so stop the whole
process, its own deadline included: every read from the network therefore gives up its turn.
"""

import http.client
import io
import time
from socket import socket
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection

TURN = 2_048
"""Bytes to work through before the others have theirs; larger reads pass the buffer by."""


class _Turns(io.RawIOBase):
    """The raw stream of a socket; each read lets the others run."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        time.sleep(0)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp = io.BufferedReader(_Turns(self.fp.detach()), TURN)


class _Connection(HTTPConnection):
    response_class = _Response


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


def session() -> requests.Session:
    """Return a session of one kept connection that knows no proxy, no netrc and no retry."""
    kept = requests.Session()
    kept.trust_env = False
    adapter = HTTPAdapter(pool_connections=1, pool_maxsize=1, max_retries=0)
    adapter.poolmanager.pool_classes_by_scheme = {"http": _Pool}
    kept.mount("http://", adapter)
    return kept
