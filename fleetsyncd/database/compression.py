"""Compress the chunks of a hypertable that are old enough, one a transaction.

The daemon's role does not own them: a function of the owner's chooses and compresses. Without a
hypertable it does nothing. One daemon at a time is at it.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.errors import DatabaseError, DatabaseUnavailable
from fleetsyncd.text import size

log = logging.getLogger("sync.compression")

LONGEST_SEC = 3600.0
"""For one chunk, which may be a month of rows; late rows of its time wait meanwhile."""
_COMPRESS = """
SELECT chunk, bytes_before, bytes_after, locked, failed FROM fleetsync.compress_chunk(%s)
"""


@dataclass(frozen=True, slots=True)
class Compressed:
    """What one call did: no `chunk` if there was none.

    It has passed over those that are `locked`, and those that `failed`, with the reasons.
    """

    chunk: str | None
    bytes_before: int | None
    bytes_after: int | None
    locked: str | None
    failed: str | None


class Compression:
    """Compresses chunks whose time ended `after_days` ago; the database has a long time limit."""

    def __init__(
        self,
        database: Database,
        after_days: int,
        *,
        tell: Callable[[str], object] = log.info,
        warn: Callable[[str], object] = log.warning,
    ) -> None:
        self._database = database
        self._after_days = after_days
        self._tell = tell
        self._warn = warn

    def steps(self) -> Iterator[None]:
        """Compress chunk by chunk; may be stopped after each. Raises DatabaseUnavailable.

        Any other error of the database is told, and the rest waits for the next round.
        """
        passed_over = None
        try:
            while (done := self._database.run(self._compress)).chunk is not None:
                passed_over = done
                before, after = size(done.bytes_before or 0), size(done.bytes_after or 0)
                self._tell(f"compressed {done.chunk}: {before} became {after}")
                yield
            passed_over = done
        except DatabaseUnavailable:
            raise
        except DatabaseError as error:
            self._warn(f"no chunk could be compressed, it is tried again in an hour: {error}")
        finally:
            self._database.close()
        if passed_over is not None:
            self._tell_of(passed_over)

    def _tell_of(self, done: Compressed) -> None:
        """Warn of what was passed over."""
        again = "it is tried again in an hour"
        if done.locked is not None:
            self._warn(
                f"not compressed: {done.locked}, which another session reads or writes for long:"
                f" {again}"
            )
        if done.failed is not None:
            self._warn(f"not compressed, {again}: {done.failed}")

    def _compress(self, cursor: Cursor) -> Compressed:
        cursor.execute(_COMPRESS, (self._after_days,))
        return Compressed(*cursor.fetchall()[0])
