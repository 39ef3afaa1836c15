"""Errors of PostgreSQL in one harmless line, with what an operator can do about them."""

import errno
import re
import socket

import psycopg2

from fleetsyncd.errors import RAISE_FILE_LIMIT, TOO_MANY_OPEN_FILES
from fleetsyncd.text import sanitise

CHECK_CONNECTION = "check DB_HOST and DB_PORT, that PostgreSQL runs, and the firewall between"
_HINT_BY_SQLSTATE = {
    "42501": "run `fleetsyncd migrate` with its DB_APP_ROLE",
    "53100": "free space on the database's disk; pulling then goes on by itself",
    "53200": "the database's host is short of memory",
    "57014": "the database is slow or blocked: look at its load and its locks",
}
# An error that refuses a connection comes without a SQLSTATE.
_HINT_BY_TEXT = (
    (r"too many (clients|connections)|connection slots",
     "raise max_connections there, or lower DB_POOL_SIZE"),
    (r"password authentication failed|no password supplied", "check DB_USER and DB_PASSWORD"),
    (r"role .* does not exist",
     "check DB_USER, or CREATE ROLE ... LOGIN PASSWORD '...' NOSUPERUSER"),
    (r"database .* does not exist",
     "check DB_NAME, or CREATE DATABASE ... OWNER ..., then `fleetsyncd migrate`"),
    (r"no pg_hba\.conf entry", "allow this host in pg_hba.conf on the database's server"),
    (r"not support SSL|SSL off|require.* SSL|certificate",
     "check sslmode in DATABASE_URL against what the server offers"),
    (r"not known|resolution|could not translate",
     "check DB_HOST: the name cannot be looked up"),
)  # fmt: skip


def first_line(error: BaseException) -> str:
    """Return the first line of what the server or its client library said, made harmless."""
    lines = str(error).strip().splitlines()
    return sanitise(lines[0], 300) if lines else type(error).__name__


def reason_and_hint(error: BaseException) -> tuple[str, str | None]:
    """Return what happened, and what to do about it where that is known."""
    reason = first_line(error)
    if isinstance(error, psycopg2.Error) and error.pgcode is not None:
        return reason, _HINT_BY_SQLSTATE.get(error.pgcode)
    if _has_too_many_open_files(error):
        return TOO_MANY_OPEN_FILES, RAISE_FILE_LIMIT
    hints = (hint for text, hint in _HINT_BY_TEXT if re.search(text, reason, re.IGNORECASE))
    return reason, next(hints, None)


def _has_too_many_open_files(error: BaseException) -> bool:
    """Tell whether no more files can be opened; libpq then gives no text at all."""
    if str(error).strip():
        return isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)
    try:
        socket.socket().close()
    except OSError as refusal:
        return refusal.errno in (errno.EMFILE, errno.ENFILE)
    return False
