"""What an operator can do about faults of PostgreSQL that nobody else can mend."""

import errno
import socket

import psycopg2

from fleetsyncd.errors import TOO_MANY_OPEN_FILES
from fleetsyncd.text import sanitise

_HINT_BY_SQLSTATE = {
    "42501": "run `fleetsyncd migrate` with its DB_APP_ROLE",
    "53100": "make room on the database's disk, pulling then goes on by itself",
    "53200": "the database's host is short of memory",
    "57014": "something holds the database up: look at its load and its locks",
}
# What refuses a connection comes without a code.
_HINT_BY_TEXT = {
    "too many c": "raise max_connections there, or lower DB_POOL_SIZE",  # connections or clients
    "remaining connection slots": "raise max_connections there, or lower DB_POOL_SIZE",
    "password authentication failed": "check DB_USER and DB_PASSWORD",
    "no pg_hba.conf entry": "let this host in through pg_hba.conf",
    "does not exist": "check DB_NAME and DB_USER",
}


def first_line(fault: BaseException) -> str:
    """Return the first line of what the server or its client library said, made harmless."""
    lines = str(fault).strip().splitlines()
    return sanitise(lines[0], 300) if lines else type(fault).__name__


def with_hint(fault: BaseException) -> str:
    """Return the same, with what to do about it where that is known."""
    said = first_line(fault)
    if isinstance(fault, psycopg2.Error) and fault.pgcode is not None:
        remedy = _HINT_BY_SQLSTATE.get(fault.pgcode)
    elif _has_too_many_open_files(fault):
        return TOO_MANY_OPEN_FILES
    else:
        remedy = next((what for part, what in _HINT_BY_TEXT.items() if part in said), None)
    return said if remedy is None else f"{said}: {remedy}"


def _has_too_many_open_files(fault: BaseException) -> bool:
    """Tell whether no more files can be opened, of which libpq says nothing at all."""
    if str(fault).strip():
        return isinstance(fault, OSError) and fault.errno in (errno.EMFILE, errno.ENFILE)
    try:
        socket.socket().close()
    except OSError as found:
        return found.errno in (errno.EMFILE, errno.ENFILE)
    return False
