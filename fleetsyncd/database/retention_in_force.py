"""Which settings of retention are in force: those whose day of waiting is over.

Until then a setting has deleted nothing and may be a mistake that is taken back; so what it would
delete is still pulled and stored.
"""

import time
from collections.abc import Callable, Set

from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.retention_kinds import Kind, RetentionPolicy
from fleetsyncd.errors import DatabaseError

READ_EVERY_SEC = 60.0
_IN_FORCE = """
SELECT kind, keep FROM fleetsync.retention
WHERE since <= now() - interval '1 day' AND (due_at IS NULL OR due_at <= now())
"""


class RetentionInForce:
    """Answers for one policy; reads the database once a minute at most."""

    def __init__(
        self,
        database: Database,
        policy: RetentionPolicy,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._policy = policy
        self._clock = clock
        self._kinds: Set[Kind] = frozenset()
        self._read_at: float | None = None

    def __call__(self, kind: Kind) -> bool:
        """Tell whether what this kind's setting deletes may be gone already.

        While the database does not answer, the last answer counts; at first that is False.
        """
        if self._read_at is None or self._clock() >= self._read_at + READ_EVERY_SEC:
            try:
                self._kinds = self._database.run(self._read)
            except DatabaseError:
                return kind in self._kinds
            self._read_at = self._clock()
        return kind in self._kinds

    def _read(self, cursor: Cursor) -> Set[Kind]:
        cursor.execute(_IN_FORCE)
        found = [(Kind(kind), keep) for kind, keep in cursor.fetchall()]
        return frozenset(kind for kind, keep in found if keep == self._policy.keep(kind))
