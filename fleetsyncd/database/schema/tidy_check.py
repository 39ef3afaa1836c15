"""Doctor's check of closed months: whether they are tidied, and what interrupted ones have left."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from fleetsyncd.database.closed_months import ClosedMonth, due_months, is_unsafe
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.schema.grants import MAINTAIN_SINCE
from fleetsyncd.findings import Finding, ok, warning
from fleetsyncd.text import counted, listed, size

CHECK = "tidying"
TIDY = "`fleetsyncd migrate --tidy` as the tables' owner"
OFF = "TIDY_AFTER_DAYS=0: closed months stay as they are"
_BROKEN = "SELECT of_table::text, index_name, bytes FROM fleetsync.broken_indexes() ORDER BY 1, 2"


def check_tidying(
    now: datetime, after: timedelta | None, keep_months: int | None, cursor: Cursor
) -> Iterator[Finding]:
    """Yield what an interrupted tidying has left, and why months are not tidied."""
    findings = list(_broken(cursor))
    if after is not None and is_unsafe(cursor):
        text = "no month is tidied: PostgreSQL 14 before 14.4 may leave rows out of the new index"
        findings.append(warning(CHECK, text, "upgrade the server to the newest minor version"))
    elif after is not None:
        months = due_months(cursor, now, after, keep_months)
        findings += _forbidden([month for month in months if not month.may_tidy], cursor)
        findings += [_failed(month, month.error) for month in months if month.error]
        waiting = [month for month in months if month.may_tidy and not month.error]
        if waiting and not findings:
            text = (
                f"{counted(len(waiting), 'closed month')} to be tidied: a daemon does one an hour"
            )
            findings.append(ok(CHECK, text))
    nothing = "no closed month takes more than it needs"
    yield from findings or [ok(CHECK, OFF if after is None else nothing)]


def _broken(cursor: Cursor) -> Iterator[Finding]:
    cursor.execute(_BROKEN)
    for table, index, taken in cursor.fetchall():
        text = f"an interrupted tidying of {table} has left the index {index}, {size(taken)}"
        yield warning(CHECK, text, f"a daemon drops it within an hour; or run {TIDY}")


def _forbidden(months: Sequence[ClosedMonth], cursor: Cursor) -> Iterator[Finding]:
    if not months:
        return
    saved = size(sum(month.saves_bytes for month in months))
    text = (
        f"{counted(len(months), 'closed month')} could take about {saved} less, and this role may"
        f" not tidy them: {listed([month.name for month in months])}"
    )
    if cursor.connection.server_version >= MAINTAIN_SINCE:
        remedy = f"run `fleetsyncd migrate` with DB_APP_ROLE, which grants it that right, or {TIDY}"
    else:
        remedy = f"run {TIDY}: before PostgreSQL 17 nobody else may"
    yield warning(CHECK, text, remedy)


def _failed(month: ClosedMonth, error: str) -> Finding:
    text = f"{month.name} could not be tidied: {error}"
    return warning(CHECK, text, f"it is tried again every six hours; or run {TIDY} at a quiet time")
