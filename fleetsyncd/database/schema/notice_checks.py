"""Doctor's check of the notices: whether the targets get what they are sent."""

from collections.abc import Iterator

from fleetsyncd.database import notices
from fleetsyncd.database.pool import Cursor
from fleetsyncd.findings import Finding, ok, warning
from fleetsyncd.text import counted
from fleetsyncd.times import utc_text


def check_notices(cursor: Cursor) -> Iterator[Finding]:
    """Say which targets fail, and whether notices were given up within a week."""
    found = notices.targets(cursor)
    for each in found:
        if each.failing_since is not None:
            since = utc_text(each.failing_since)
            text = f"{each.target} has taken no message since {since}: {each.last_error}"
            yield warning("notices", text, "`fleetsyncd notify test` tries it again")
    if given_up := notices.given_up(cursor):
        text = f"{counted(given_up, 'notice')} of this week could not be sent within a day"
        yield warning("notices", text, "`fleetsyncd notify list` shows them")
    elif found and not any(each.failing_since for each in found):
        yield ok("notices", f"sent to {counted(len(found), 'target')}")
