"""Errors of statements in one harmless line, with what an operator can do about them."""

import errno
import os
import re

import psycopg2

from fleetsyncd.database import cluster
from fleetsyncd.database.connect_errors import WANT_WRITABLE
from fleetsyncd.text import sanitise

READ_ONLY = f"the server or this role can only read: {WANT_WRITABLE}"
_WANT_UTF8 = "the database's encoding cannot hold it: move to a database WITH ENCODING 'UTF8'"
_DISK_FULL, _NO_MEMORY = "53100", "53200"
_HINT_BY_SQLSTATE = {
    "22021": _WANT_UTF8,
    "22P05": _WANT_UTF8,
    "25006": READ_ONLY,
    "42501": "run `fleetsyncd migrate` with its DB_APP_ROLE, as the tables' owner",
    _DISK_FULL: "free space on the database's disk; pulling then goes on by itself",
    _NO_MEMORY: "the database's host is short of memory",
    "57014": "the database is slow or blocked: look at its load and its locks",
    "58030": "look at the log of the server there, and at its disk",
}
# Of all that PostgreSQL says of it, the setting's name is in no language another.
_LOCK_SETTING = re.compile(r"max_\w*locks_per_\w+")
_NO_SPACE = os.strerror(errno.ENOSPC)
_MORE_LOCKS = (
    "the server's table of locks is full: raise {0} in its configuration and restart it;"
    " `SHOW {0}` tells its value"
)
_FREE_ON_NODE = "free space on the disk of the node whose log says so"


def first_line(error: BaseException) -> str:
    """Return the first line of what the server or its client library said, made harmless."""
    lines = str(error).strip().splitlines()
    return sanitise(lines[0], 300) if lines else type(error).__name__


def what_happened(error: BaseException) -> str:
    """Return an error's first line, with the node of a cluster that it came from."""
    line = first_line(error)
    node = cluster.node_of(error) if isinstance(error, psycopg2.Error) else None
    return line if node is None or node in line else f"{line} (on the node {node})"


def reason_and_hint(error: psycopg2.Error) -> tuple[str, str | None]:
    """Return what happened, and what to do about it where that is known."""
    if _is_full_node(error):
        return what_happened(error), _FREE_ON_NODE
    if cluster.lost_worker(error) is not None:
        return what_happened(error), "start that node, or look at the network to it"
    if error.pgcode == _NO_MEMORY and (full := _LOCK_SETTING.search(error.diag.message_hint or "")):
        return what_happened(error), _MORE_LOCKS.format(full[0])
    return what_happened(error), _HINT_BY_SQLSTATE.get(error.pgcode or "")


def is_disk_full(error: psycopg2.Error) -> bool:
    """Tell whether nothing more fits on the disk of the server, or of a node of its cluster."""
    return error.pgcode == _DISK_FULL or _is_full_node(error)


def _is_full_node(error: psycopg2.Error) -> bool:
    # While a coordinator copies rows to a node, it passes on what that says, and not its SQLSTATE.
    return error.pgcode == "XX000" and _NO_SPACE in first_line(error)
