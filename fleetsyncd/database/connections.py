"""Open connections to PostgreSQL: the one place where the program makes them."""

import os
import socket
from dataclasses import dataclass
from typing import Any

import psycopg2
from psycopg2 import extensions

from fleetsyncd.database import connect_errors
from fleetsyncd.errors import DatabaseLost
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.time_limits import Deadline, no_deadline

Connection = extensions.connection

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


@dataclass(frozen=True, slots=True)
class Connector:
    """Makes connections to the configured server."""

    settings: DatabaseSettings
    application: str = "fleetsyncd"
    deadline: Deadline = no_deadline

    def connect(self) -> Connection:
        """Open a connection within CONNECT_SEC, DNS look-up included; raise DatabaseLost.

        It has no transaction of its own: transactions are begun and committed by hand.
        """
        unknown: list[str] = []
        parameters: dict[str, Any] = {}
        try:
            with self.deadline(CONNECT_SEC, self._timed_out):
                parameters = self._parameters(unknown)
                connection = psycopg2.connect(extensions.make_dsn(**parameters))
                connection.autocommit = True
                return connection
        except (psycopg2.Error, OSError) as error:
            first = connect_errors.address(parameters)
            reason, hint = connect_errors.reason_and_hint(error, unknown, first)
            text = f"no connection to {self.settings.where}: {reason}"
            raise DatabaseLost(text, hint) from error

    def _timed_out(self) -> DatabaseLost:
        text = f"{self.settings.where} did not answer within {CONNECT_SEC:g} s"
        return DatabaseLost(text, connect_errors.CHECK_CONNECTION)

    def _default_target(self) -> dict[str, str]:
        """Of several servers want the one that can be written; after a failover it is another."""
        several = "," in self.settings.parameters.get("host", "")
        chosen = os.environ.get("PGTARGETSESSIONATTRS")
        return {"target_session_attrs": "read-write"} if several and not chosen else {}

    def _parameters(self, unknown: list[str]) -> dict[str, Any]:
        given = {
            **_DEFAULTS,
            "application_name": self.application,
            **self._default_target(),
            **self.settings.parameters,
            **_RELIED_ON,
        }
        return {**given, **_look_up(given, unknown)}


def _look_up(parameters: dict[str, Any], unknown: list[str]) -> dict[str, str]:
    """Look the hosts up cooperatively: libpq's own look-up would block every greenlet.

    libpq then tries every address, one after the other. A host that has none is left out, and told
    in `unknown`; if no host has any, the OSError is raised.
    """
    hosts = str(parameters.get("host", "")).split(",")
    if "hostaddr" in parameters or all(map(_is_final, hosts)):
        return {}
    ports = str(parameters.get("port", DEFAULT_PORT)).split(",")
    found: list[tuple[str, str, str]] = []
    failures: list[OSError] = []
    for number, host in enumerate(hosts):
        port = (ports[number] if len(ports) == len(hosts) else ports[0]) or DEFAULT_PORT
        try:
            found += [(host, address, port) for address in _addresses(host, port)]
        except OSError as failure:
            failures.append(failure)
            unknown.append(connect_errors.attempt(host, port, failure))
    if not found:
        raise failures[0]
    names = ("host", "hostaddr", "port")
    return dict(zip(names, map(",".join, zip(*found, strict=True)), strict=True))


def _is_final(host: str) -> bool:
    """Tell whether there is nothing to look up: a folder with a socket."""
    return not host or host.startswith(("/", "@"))


def _addresses(host: str, port: str) -> list[str]:
    if _is_final(host):
        return [""]
    results = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(result[4][0]) for result in results))
