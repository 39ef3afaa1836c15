"""Why no connection could be made: every server's own complaint, and what to do about it.

Such an error has no SQLSTATE, and the server words it in its own language. What kind of failure it
is shows in its form; English words only make the advice more precise.
"""

import errno
import re
import socket
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fleetsyncd.errors import RAISE_FILE_LIMIT, TOO_MANY_OPEN_FILES
from fleetsyncd.text import sanitise

CHECK_CONNECTION = "check DB_HOST and DB_PORT, that PostgreSQL runs, and the firewall between"
CHECK_NAME = "check DB_HOST: the name cannot be looked up"
WANT_WRITABLE = (
    "DB_HOST must name the primary, or one of several hosts in DATABASE_URL; and"
    " default_transaction_read_only must be off for this role and database"
)
CHECK_LOGIN = (
    "the server answers and refuses: its words say why, and its log says more; it may be DB_USER,"
    " DB_PASSWORD or DB_NAME"
)


class Complaint(NamedTuple):
    """What came of an attempt: where it went, and what was said."""

    where: str
    text: str


SHOWN = 4
"""Complaints that are shown before the others are counted."""
COMPLAINT_CHARACTERS = 200
_ATTEMPT = re.compile(
    r'^connection to server (?:at "(?P<host>[^"]*)"(?: \((?P<address>[^)]*)\))?, port (?P<port>\S+)'
    r'|on socket "(?P<socket>[^"]*)") failed: (?P<complaint>.*)$'
)
_SAID_BY_SERVER = re.compile(r"^\w+:  ")
"""A severity in the server's language, and two blanks."""
_SERVER_HINTS = (
    (r"too many connections for role", "ALTER ROLE ... CONNECTION LIMIT, or lower DB_POOL_SIZE"),
    (r"cannot connect to server|server login|pgbouncer cannot",
     "a pooler answers, and cannot reach PostgreSQL: look at both, and at their logs"),
    (r"query_wait_timeout|statement pooling",
     "a pooler answers: it needs pool_mode = session and a larger pool_size"),
    (r"too many (clients|connections)|connection slots|no more connections",
     "raise max_connections there, or lower DB_POOL_SIZE"),
    (r"password authentication failed|no password supplied|SASL", "check DB_USER and DB_PASSWORD"),
    (r"role .* does not exist|no such user",
     "check DB_USER, or CREATE ROLE ... LOGIN PASSWORD '...' NOSUPERUSER"),
    (r"database .* does not exist|no such database",
     "check DB_NAME, or CREATE DATABASE ... OWNER ..., then `fleetsyncd migrate`"),
    (r"no pg_hba\.conf entry", "allow this host in pg_hba.conf on the database's server"),
    (r"starting up|shutting down|recovery", "wait until the server has started"),
    (r"unsupported startup parameter",
     "a pooler refuses it: take `options` out of DATABASE_URL and PGOPTIONS"),
)  # fmt: skip
_CLIENT_HINTS = (
    (r"session is read-only|server is in hot standby mode", WANT_WRITABLE),
    (r"root certificate",
     "this sslmode needs the certificate of the server's authority: sslrootcert=FILE, or"
     " sslrootcert=system, in DATABASE_URL"),
    (r"private key|client certificate|could not load certificate|could not read certificate",
     "check sslcert and sslkey in DATABASE_URL: both readable, and of one pair"),
    (r"\bSSL\b|\bTLS\b|certificate",
     "check sslmode in DATABASE_URL against what the server offers"),
    (r"no password supplied", "set DB_PASSWORD"),
    (r"authentication method|SASL|SCRAM", "check DB_USER and DB_PASSWORD, and pg_hba.conf there"),
    (r"closed the connection|expected authentication request|invalid response",
     "what answers there may be no PostgreSQL: check DB_HOST and DB_PORT"),
    (r"not known|resolution|could not translate|No address associated", CHECK_NAME),
    (r"no answer|refused|unreachable|No route|timed out|timeout|No such file", CHECK_CONNECTION),
)  # fmt: skip


def complaints(error: BaseException, parameters: Mapping[str, str]) -> list[Complaint]:
    """Return what an attempt with these parameters of libpq came to; equal lines once.

    There are two if it was tried with encryption and without.
    """
    if _has_too_many_open_files(error):
        return [Complaint("", TOO_MANY_OPEN_FILES)]
    if isinstance(error, OSError):
        return [Complaint(_address(parameters), error.strerror or str(error))]
    found: dict[Complaint, None] = {}
    for line in filter(str.strip, str(error).splitlines()):
        if made := _ATTEMPT.match(line):
            where = made["socket"] or f"{made['address'] or made['host']} port {made['port']}"
            found[Complaint(where, made["complaint"])] = None
        elif not found:  # libpq does not always name the first address
            found[Complaint(_address(parameters), line.strip())] = None
    return list(found) or [Complaint(_address(parameters), type(error).__name__)]


def reason_and_hint(made: Sequence[Complaint]) -> tuple[str, str | None]:
    """Return what every address answered, in one harmless line, and what to do about it."""
    made = list(dict.fromkeys(made))
    hints = [hint for each in made if (hint := _hint(each.text)) is not None]
    # Where somebody answered, that is worth more than the silence of another address.
    best = [hint for hint in hints if hint not in (CHECK_CONNECTION, CHECK_NAME)] or hints
    return _listed(made), best[0] if best else None


def _address(parameters: Mapping[str, str]) -> str:
    """Return the first address of libpq's parameters."""
    host, name, port = (
        parameters.get(key, "").split(",")[0] for key in ("hostaddr", "host", "port")
    )
    return name if name.startswith("/") else f"{host or name} port {port}"


def _listed(made: Sequence[Complaint]) -> str:
    shown = [
        sanitise(f"{each.where}: {each.text}" if len(made) > 1 else each.text, COMPLAINT_CHARACTERS)
        for each in made[:SHOWN]
    ]
    more = len(made) - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more else "")


def _hint(complaint: str) -> str | None:
    if complaint == TOO_MANY_OPEN_FILES:
        return RAISE_FILE_LIMIT
    if _SAID_BY_SERVER.match(complaint):
        return _first(_SERVER_HINTS, complaint) or CHECK_LOGIN
    return _first(_CLIENT_HINTS, complaint)


def _first(hints: tuple[tuple[str, str], ...], text: str) -> str | None:
    return next((hint for words, hint in hints if re.search(words, text, re.IGNORECASE)), None)


def _has_too_many_open_files(error: BaseException) -> bool:
    """Tell whether no more files can be opened; libpq then gives no text at all."""
    if str(error).strip():
        return isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)
    try:
        socket.socket().close()
    except OSError as refusal:
        return refusal.errno in (errno.EMFILE, errno.ENFILE)
    return False
