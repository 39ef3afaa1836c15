"""What the database itself saw, against what journal and log say: no row may tell a lie.

Triggers note every move of a watermark and every batch of rows in the transaction that makes it,
so a move that was not committed leaves no note.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from psycopg2 import sql

from fleetsyncd.database import quarantine
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.schema.hidden import layout
from fleetsyncd.demo.embedded import Server
from fleetsyncd.models import Window
from fleetsyncd.sync.replay import decode_row
from fleetsyncd.time_limits import accepted_interval
from fleetsyncd.times import utc_now

EXAMPLES = 5
TRIGGER = "note_added"
MOST_ENTRIES = 100_000
_INSTALL = """
CREATE SCHEMA chaos;
CREATE TABLE chaos.watermark (vehicle_id uuid, at timestamptz, old timestamptz, new timestamptz);
CREATE FUNCTION chaos.note_watermark() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO chaos.watermark VALUES (new.id, clock_timestamp(), old.last_sync_at,
                                        new.last_sync_at);
    RETURN NULL;
END $$;
CREATE TRIGGER note_watermark AFTER UPDATE OF last_sync_at ON public.vehicles
    FOR EACH ROW EXECUTE FUNCTION chaos.note_watermark();
CREATE INDEX ON chaos.watermark (vehicle_id, at);
GRANT USAGE ON SCHEMA chaos TO PUBLIC;
GRANT SELECT ON ALL TABLES IN SCHEMA chaos TO PUBLIC;
"""
_NOTE_ROWS = """
CREATE TABLE chaos.added (vehicle_id uuid, at timestamptz, rows bigint);
CREATE INDEX ON chaos.added (vehicle_id, at);
GRANT SELECT ON chaos.added TO PUBLIC;
CREATE FUNCTION chaos.note_added() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO chaos.added
    SELECT vehicle_id, clock_timestamp(), count(*) FROM fresh GROUP BY vehicle_id;
    RETURN NULL;
END $$;
GRANT EXECUTE ON FUNCTION chaos.note_added() TO PUBLIC;
"""
_LIES = {
    "ok without a commit": """
        SELECT j.started_at::text, v.name FROM public.sync_journal j
        JOIN public.vehicles v ON v.id = j.vehicle_id
        WHERE status = 'ok' AND coalesce(error_msg, '') !~ '^(backfill|catch-up|audit) of '
          AND NOT EXISTS (SELECT FROM chaos.watermark w WHERE w.vehicle_id = j.vehicle_id
                          AND w.at BETWEEN j.started_at AND j.finished_at)
    """,
    "failed without a reason": """
        SELECT j.started_at::text, v.name FROM public.sync_journal j
        JOIN public.vehicles v ON v.id = j.vehicle_id
        WHERE status <> 'ok' AND coalesce(error_msg, '') = ''
    """,
}
_MORE_THAN_ADDED = """
SELECT j.started_at::text, v.name FROM public.sync_journal j
JOIN public.vehicles v ON v.id = j.vehicle_id
WHERE rows_written > (SELECT coalesce(sum(rows), 0) FROM chaos.added a
                      WHERE a.vehicle_id = j.vehicle_id
                        AND a.at BETWEEN j.started_at AND j.finished_at)
"""
_TOLD_ROWS = "SELECT vehicle_id::text, sum(rows_written) FROM public.sync_journal GROUP BY 1"
_STORED_ROWS = "SELECT vehicle_id::text, count(*) FROM public.measurements GROUP BY 1"
_UNTRUE_MARKS = """
SELECT w.at::text, v.name FROM chaos.watermark w JOIN public.vehicles v ON v.id = w.vehicle_id
WHERE w.new < w.old OR w.new > w.at
"""
_ENDED = re.compile(r"\[[A-Z]+\] sync: \[([^\]]+)\] (timeout on|error on|.*wrote \d)")
_BESIDE = re.compile(r"\] (backfill|catch-up|audit) of ")
_KEPT = """
SELECT v.name, (j.status = 'ok')::text, count(*) FROM public.sync_journal j
JOIN public.vehicles v ON v.id = j.vehicle_id
WHERE coalesce(error_msg, '') !~ '^(backfill|catch-up|audit) of ' GROUP BY 1, 2
"""


@dataclass(slots=True)
class Truth:
    """How often journal and watermarks were found to be untrue; all zero when they never were."""

    untrue_watermarks: int = 0
    untrue_journal: int = 0
    missing_journal: int = 0
    good_in_quarantine: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether everything was true."""
        lies = self.untrue_watermarks or self.untrue_journal or self.missing_journal
        return not lies and not self.good_in_quarantine

    def note(self, what: str, found: Sequence[object]) -> int:
        """Keep an example and return how many were found."""
        if found and len(self.examples) < EXAMPLES:
            self.examples.append(f"{what}: {found[0]}")
        return len(found)


def install(server: Server, database: str, measurements: str | None = layout.VIEW) -> None:
    """Let the database note from now on what is committed; `measurements` are in that table.

    None: they are on other nodes, where no trigger notes them.
    """
    noting_rows = "" if measurements is None else _NOTE_ROWS + note_added(measurements)
    server.execute(sql.SQL(_INSTALL + noting_rows), database=database)


def note_added(measurements: str) -> str:
    """Return SQL that lets rows that are added to that table be noted."""
    return (
        f"CREATE TRIGGER {TRIGGER} AFTER INSERT ON {measurements} REFERENCING NEW TABLE AS fresh"
        " FOR EACH STATEMENT EXECUTE FUNCTION chaos.note_added();"
    )


def audit(
    database: Database,
    log_lines: Iterable[str],
    forgotten: Sequence[Window] = (),
    *,
    noted_rows: bool = True,
) -> Truth:
    """Compare the notes with journal and watermarks, and the daemons' log with the journal.

    Of `forgotten` intervals the database knows nothing: it was replaced by an older copy. Rows that
    were not noted are compared with the journal by their sum only.
    """
    truth = Truth()
    lies = _LIES | ({"more rows than were added": _MORE_THAN_ADDED} if noted_rows else {})

    def look(cursor: Cursor) -> None:
        for what, query in lies.items():
            cursor.execute(query)
            truth.untrue_journal += truth.note(what, cursor.fetchall())
        if not noted_rows:
            truth.untrue_journal += truth.note("more rows than there are", _excess(cursor))
        cursor.execute(_UNTRUE_MARKS)
        truth.untrue_watermarks = truth.note("watermark set back or ahead", cursor.fetchall())
        cursor.execute(_KEPT)
        kept = {(name, ok == "true"): count for name, ok, count in cursor.fetchall()}
        missing = [
            ending
            for ending, count in _told(log_lines, forgotten).items()
            if count > kept.get(ending, 0)
        ]
        truth.missing_journal = truth.note("told by the log, not by the journal", missing)

        truth.good_in_quarantine = truth.note("good row in quarantine", _good(cursor))

    database.run(look)
    return truth


def _excess(cursor: Cursor) -> list[tuple[str, int]]:
    """Return vehicles by whose journal more rows were added than are stored, and how many."""
    # Two statements: a cluster joins no local table with a distributed one that is grouped.
    cursor.execute(_STORED_ROWS)
    stored = {vehicle: int(count) for vehicle, count in cursor.fetchall()}
    cursor.execute(_TOLD_ROWS)
    told = ((vehicle, int(rows or 0)) for vehicle, rows in cursor.fetchall())
    more = ((vehicle, rows - stored.get(vehicle, 0)) for vehicle, rows in told)
    return [(vehicle, count) for vehicle, count in more if count > 0]


def _good(cursor: Cursor) -> list[str]:
    """Return what is in the quarantine and has no reason to be."""
    bounds = accepted_interval(utc_now())
    entries = quarantine.list_rows(cursor, None, MOST_ENTRIES)
    valid = (entry for entry in entries if decode_row(entry, bounds) is not None)
    return [f"{entry.call} {entry.raw}" for entry in valid]


def _told(log_lines: Iterable[str], forgotten: Sequence[Window]) -> Counter[tuple[str, bool]]:
    """Count the cycles whose end the log tells, by vehicle and whether it was good.

    The line of what is pulled beside the cycles also ends in `wrote`, after its interval.
    """
    lines = (line for line in log_lines if not _BESIDE.search(line))
    hits = [(hit, line) for line in lines if (hit := _ENDED.search(line))]
    told = [hit for hit, line in hits if not _is_forgotten(line, forgotten)]
    return Counter((hit[1], "wrote" in hit[2]) for hit in told)


def _is_forgotten(line: str, forgotten: Sequence[Window]) -> bool:
    """Tell whether the entry of a cycle that ended then may be gone; lines have whole seconds."""
    at = datetime.fromisoformat(line[:19]).replace(tzinfo=UTC)
    second = timedelta(seconds=1)
    return any(window.start - second <= at <= window.end + second for window in forgotten)
