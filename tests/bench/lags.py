"""The lags of vehicles, from the journal.

A vehicle lags most just before a commit: by the time since its last cycle began, which is what its
watermark says until then.
"""

from dataclasses import dataclass
from datetime import datetime
from statistics import fmean

from fleetsyncd.remarks import IS_OF_A_CYCLE
from tests.bench.figures import quantile
from tests.bench.installation import Installation

_LAGS = f"""
SELECT lag FROM (
    SELECT vehicle_id, started_at, finished_at, extract(epoch FROM finished_at
        - lag(started_at) OVER (PARTITION BY vehicle_id ORDER BY started_at))::float8 AS lag
    FROM public.sync_journal WHERE status = 'ok' AND vehicle_id <> ALL (%(but)s::uuid[])
      AND {IS_OF_A_CYCLE}
) each
WHERE lag IS NOT NULL AND finished_at > %(since)s AND finished_at <= %(until)s
"""  # noqa: S608  made of this project's own text


@dataclass(frozen=True, slots=True)
class Lags:
    """The largest lag before each commit, in seconds."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        return fmean(self.values)

    @property
    def p99(self) -> float:
        return quantile(self.values, 0.99)


def of(
    installation: Installation,
    database: str,
    *,
    since: datetime,
    until: datetime,
    but: list[str],
) -> Lags:
    """Return the lags of all vehicles but some, at commits in (since, until]."""
    with installation.cursor(database) as cursor:
        cursor.execute(_LAGS, {"since": since, "until": until, "but": but})
        return Lags(tuple(row[0] for row in cursor.fetchall()))
