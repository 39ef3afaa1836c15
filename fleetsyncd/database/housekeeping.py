"""The journal of the housekeeping: what it has done last to what, one row for each."""

from dataclasses import dataclass
from enum import StrEnum

from fleetsyncd.database.pool import Cursor

_BEGIN = """
INSERT INTO fleetsync.housekeeping (task, subject, bytes_before)
VALUES (%(task)s, %(subject)s, %(bytes)s)
ON CONFLICT (task, subject)
DO UPDATE SET started_at = now(), bytes_before = excluded.bytes_before, error = NULL
"""
_FINISH = """
UPDATE fleetsync.housekeeping SET finished_at = now(), bytes_after = %(bytes)s, error = NULL
WHERE task = %(task)s AND subject = %(subject)s
"""
_FAIL = """
UPDATE fleetsync.housekeeping SET error = %(error)s
WHERE task = %(task)s AND subject = %(subject)s
"""
_WITHDRAW_FIRST = """
DELETE FROM fleetsync.housekeeping
WHERE task = %(task)s AND subject = %(subject)s AND finished_at IS NULL
"""
_WITHDRAW = """
UPDATE fleetsync.housekeeping SET started_at = finished_at
WHERE task = %(task)s AND subject = %(subject)s
"""
# A table of that name may be made anew, and what was done to another one says nothing of it.
_FORGET = "DELETE FROM fleetsync.housekeeping WHERE task = %s AND to_regclass(subject) IS NULL"


class Task(StrEnum):
    """What the housekeeping does, beside the removal of what has expired."""

    TIDY = "tidy"
    """The key of a closed month is written anew."""


@dataclass(frozen=True, slots=True)
class Work:
    """A task and the table that it is done to, as schema and name."""

    task: Task
    subject: str

    def begin(self, cursor: Cursor, bytes_before: int) -> None:
        """Note the beginning; what was done before stays known until the end."""
        cursor.execute(_BEGIN, self._values(bytes=bytes_before))

    def finish(self, cursor: Cursor, bytes_after: int) -> None:
        """Note that it is done."""
        cursor.execute(_FINISH, self._values(bytes=bytes_after))

    def fail(self, cursor: Cursor, error: str) -> None:
        """Note why it was not done."""
        cursor.execute(_FAIL, self._values(error=error))

    def withdraw(self, cursor: Cursor) -> None:
        """Take the beginning back: it was ended on purpose, and may begin again at once."""
        cursor.execute(_WITHDRAW_FIRST, self._values())
        cursor.execute(_WITHDRAW, self._values())

    def _values(self, **others: object) -> dict[str, object]:
        return {"task": self.task.value, "subject": self.subject, **others}


def forget_dropped(cursor: Cursor, task: Task) -> None:
    """Delete the rows of tables that are gone."""
    cursor.execute(_FORGET, (task.value,))
