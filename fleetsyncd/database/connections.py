"""Open connections to PostgreSQL: the one place where the program makes them."""

import os
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg2
from psycopg2 import extensions

from fleetsyncd.database import connect_errors
from fleetsyncd.database.connect_errors import Complaint
from fleetsyncd.errors import DatabaseLost
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.time_limits import Deadline, no_deadline

Parameters = dict[str, str]

CONNECT_SEC = 10.0
# tcp_user_timeout: keepalives do not notice a peer that vanished while data were in flight.
_DEFAULTS = {
    "keepalives": "1",
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "8000",
    "connect_timeout": "10",
}
# Names and units of vehicles are in any language. A pooler accepts this, but no `options`.
_RELIED_ON = {"client_encoding": "UTF8"}
DEFAULT_PORT = "5432"
LIBPQ_CHOOSES = ("load_balance_hosts", "service")
"""With these, libpq decides in which order hosts are tried."""


class Connection(extensions.connection):
    """A connection to the configured server."""

    on_cluster: bool | None = None
    """Whether its database is one of a Citus cluster; None until that is asked."""
    parts: int = 0
    """How many months or chunks measurements had when that was last asked for."""


class _Mute(Exception):
    """An address gave no answer in its time."""


@dataclass(frozen=True, slots=True)
class Connector:
    """Makes connections to the configured server."""

    settings: DatabaseSettings
    application: str = "fleetsyncd"
    deadline: Deadline = no_deadline

    def connect(self) -> Connection:
        """Open a connection within CONNECT_SEC, DNS look-up included; raise DatabaseLost.

        Each address has a share of that time, so that a mute one does not keep the others from
        being tried. The connection has no transaction of its own: they are begun and committed by
        hand.
        """
        ends = time.monotonic() + CONNECT_SEC
        given = self._given()
        attempts, complaints = self._look_up(given)
        for number, address in enumerate(attempts):
            share = (ends - time.monotonic()) / (len(attempts) - number)
            try:
                return self._try({**given, **address}, max(share, 0.0))
            except (psycopg2.Error, OSError, _Mute) as error:
                complaints += connect_errors.complaints(error, {**given, **address})
        reason, hint = connect_errors.reason_and_hint(complaints)
        raise DatabaseLost(f"no connection to {self.settings.where}: {reason}", hint)

    def _try(self, parameters: Parameters, seconds: float) -> Connection:
        mute = _Mute(f"no answer within {round(seconds, 1):g} s")
        with self.deadline(seconds, lambda: mute):
            connection = psycopg2.connect(
                extensions.make_dsn(**parameters), connection_factory=Connection
            )
            connection.autocommit = True
            return connection

    def _given(self) -> Parameters:
        given = {
            **_DEFAULTS,
            "application_name": self.application,
            **self.settings.parameters,
            **_RELIED_ON,
        }
        several = "," in given.get("host", "") or "," in given.get("hostaddr", "")
        if several and not os.environ.get("PGTARGETSESSIONATTRS"):
            # Of several servers one can be written, and after a failover another one.
            given.setdefault("target_session_attrs", "read-write")
        return given

    def _look_up(self, given: Parameters) -> tuple[list[Parameters], list[Complaint]]:
        """Return the addresses to be tried, and the complaints of names that cannot be looked up.

        libpq's own look-up would block every greenlet.
        """
        timed_out = OSError(f"the look-up of names took {CONNECT_SEC:g} s")
        try:
            with self.deadline(CONNECT_SEC, lambda: timed_out):
                attempts, complaints = _addresses(given)
        except OSError as error:
            return [], connect_errors.complaints(error, given)
        asked = given.get("target_session_attrs", os.environ.get("PGTARGETSESSIONATTRS"))
        if attempts and (asked == "prefer-standby" or any(name in given for name in LIBPQ_CHOOSES)):
            attempts = [_joined(attempts)]
        return attempts, complaints


def _addresses(given: Parameters) -> tuple[list[Parameters], list[Complaint]]:
    hosts = given.get("host", "").split(",")
    known = given.get("hostaddr", "").split(",")
    count = max(len(hosts), len(known))
    ports = given.get("port", DEFAULT_PORT).split(",")
    attempts: list[Parameters] = []
    complaints: list[Complaint] = []
    for number in range(count):
        host, address = _at(hosts, number), _at(known, number)
        port = _at(ports, number) or ports[0] or DEFAULT_PORT
        try:
            found = [address] if address or _is_final(host) else _resolved(host, port)
        except OSError as error:
            complaints += connect_errors.complaints(error, {"host": host, "port": port})
        else:
            attempts += [{"host": host, "hostaddr": each, "port": port} for each in found]
    return attempts, complaints


def _at(values: Sequence[str], number: int) -> str:
    return values[number] if number < len(values) else ""


def _joined(attempts: Sequence[Parameters]) -> Parameters:
    return {name: ",".join(each[name] for each in attempts) for name in attempts[0]}


def _is_final(host: str) -> bool:
    """Tell whether there is nothing to look up: a folder with a socket."""
    return not host or host.startswith(("/", "@"))


def _resolved(host: str, port: str) -> list[str]:
    results: Any = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(result[4][0]) for result in results))
