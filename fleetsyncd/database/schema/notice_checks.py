"""Doctor's check of the notices: whether the targets get what they are sent."""

from collections.abc import Iterator
from datetime import timedelta

from fleetsyncd.database import notices
from fleetsyncd.database.notices import TargetState
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.views.storage import DiskUnknown, storage
from fleetsyncd.findings import Finding, ok, warning
from fleetsyncd.text import age, counted, size
from fleetsyncd.times import utc_text

_WATCH = "let another program watch the free space on its disk"
_REMEDIES = {
    DiskUnknown.AWAY: f"{_WATCH}; or, if it is this machine's, connect by PostgreSQL's Unix socket",
    DiskUnknown.UNSEEN: _WATCH,
    DiskUnknown.CLUSTER: "let another program watch the free space on each node's disk",
}
LATE = timedelta(minutes=5)
"""A notice that waits for longer is late: a message goes out each minute."""


def check_notices(cursor: Cursor) -> Iterator[Finding]:
    """Say how each target does, what waits, and whether notices were given up within a week."""
    found = notices.targets(cursor)
    yield from map(_target, found)
    waits = notices.backlog(cursor)
    if waits.longest > LATE:
        text = f"{counted(waits.total, 'notice')} waiting, the oldest for {_age(waits.longest)}"
        yield warning("notices", text, "`fleetsyncd notify list` shows them; does a daemon run?")
    elif waits.total:
        yield ok("notices", f"{counted(waits.total, 'notice')} waiting for the next message")
    if given_up := notices.given_up(cursor):
        text = f"{counted(given_up, 'notice')} of this week could not be sent within a day"
        yield warning("notices", text, "`fleetsyncd notify list` shows them")


def check_disk(cursor: Cursor) -> Iterator[Finding]:
    """Say whether operators can be told that the disk will be full, and what to do if not."""
    free = storage(cursor).free
    if not isinstance(free, DiskUnknown):
        yield ok("notices", f"the database's disk is watched: {size(free)} are left")
        return
    text = f"nobody is told before the database's disk is full: {free.value}"
    cursor.execute("SELECT quote_ident(current_user)")
    grant = f"as a superuser: GRANT pg_read_all_settings TO {cursor.fetchall()[0][0]}"
    yield warning("notices", text, grant if free is DiskUnknown.HIDDEN else _REMEDIES[free])


def _target(target: TargetState) -> Finding:
    if target.failing_since is not None:
        since = utc_text(target.failing_since)
        text = f"{target.target} has taken no message since {since}: {target.last_error}"
        return warning("notices", text, "`fleetsyncd notify test` tries it again")
    last = "nothing was sent to it yet"
    if target.sent_at is not None:
        last = f"the last message was sent {utc_text(target.sent_at)}"
    failed = ""
    if target.failed_at is not None:
        failed = f"; failed last {utc_text(target.failed_at)}: {target.last_error}"
    return ok("notices", f"{target.target}: {last}{failed}")


def _age(length: timedelta) -> str:
    return age(length.total_seconds())
