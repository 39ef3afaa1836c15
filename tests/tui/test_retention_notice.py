"""What retention has announced has a line of its own on every page."""

from contextlib import closing

from psycopg2 import sql

from fleetsyncd.database.pool import Database
from fleetsyncd.demo.embedded import Server
from fleetsyncd.settings import DatabaseSettings
from tests.tui.driving import Driver, drive, execute, small_fleet

BLIND = "fleet_viewer_before"


def announce(database: Database, kind: str, keep: int, due_in: str) -> None:
    execute(
        database,
        "INSERT INTO fleetsync.retention (kind, keep, announced_at, due_at, months, row_count,"
        " bytes, oldest_at, before_at) VALUES (%s, %s, now(), now() + %s::interval, %s, 560000000,"
        " 41000000000, '2025-10-01Z', '2026-11-01Z')",
        kind, keep, due_in, 13 if kind == "measurements" else 0,
    )  # fmt: skip


def warning_lines(it: Driver) -> list[str]:
    return [line.rstrip() for line in it.lines() if line.startswith(" ! ")]


def test_what_is_announced_is_shown_with_the_time_that_is_left(database: Database) -> None:
    small_fleet(database)
    announce(database, "measurements", 1, "23 hours 1 minute")
    clock = [0.0]

    async def look(it: Driver) -> None:
        await it.sees("! in 23h MEASUREMENTS_KEEP_MONTHS=1 deletes 13 months of measurements")
        await it.press("l")
        await it.sees("! in 23h MEASUREMENTS_KEEP_MONTHS=1 deletes")
        assert not it.app.screen.query_one("#warnings").has_class("-urgent")
        await it.press("escape")
        clock[0] += 2 * 3600
        it.app._tick()
        await it.sees("! in 21h MEASUREMENTS_KEEP_MONTHS=1")
        execute(database, "DELETE FROM fleetsync.retention")
        await it.refresh()
        await it.sees_no("MEASUREMENTS_KEEP_MONTHS")

    drive(database, look, now=lambda: clock[0])


def test_what_is_due_first_comes_first_and_how_much_it_is_fits_a_wide_screen(
    database: Database,
) -> None:
    small_fleet(database)
    announce(database, "journal", 3, "1 day")
    announce(database, "measurements", 1, "-1 minute")

    async def look(it: Driver) -> None:
        await it.sees("JOURNAL_KEEP_DAYS=3")
        assert warning_lines(it) == [
            " ! now MEASUREMENTS_KEEP_MONTHS=1 deletes 13 months of measurements (about 560,000,000"
            " rows), 41.0 GB, of 2025-10-01 to 2026-11-01 UTC: `fleetsyncd retention`",
            " ! in 24h JOURNAL_KEEP_DAYS=3 deletes about 560,000,000 journal entries, 41.0 GB, of"
            " 2025-10-01 to 2026-11-01 UTC: `fleetsyncd retention`",
        ]

    drive(database, look, size=(170, 30))


def test_every_announcement_is_told_on_a_small_screen_the_measurements_first(
    database: Database,
) -> None:
    small_fleet(database)
    announce(database, "alarms", 9, "2 hours 1 minute")
    for kind in ("journal", "quarantine"):
        announce(database, kind, 3, "5 hours 1 minute")
    announce(database, "measurements", 1, "23 hours 1 minute")
    deleted = " ! retention deletes 13 months of measurements, 41.0 GB, in 23h"

    async def look(it: Driver) -> None:
        await it.sees("retention deletes")
        assert warning_lines(it) == [
            deleted,
            " ! retention deletes about 560,000,000 alarms, 41.0 GB, in 2h",
            " ! retention deletes about 560,000,000 journal entries, 41.0 GB, in 5h",
            " ! retention deletes about 560,000,000 quarantined rows, 41.0 GB, in 5h",
        ]
        await it.pilot.resize_terminal(200, 30)
        await it.sees(" ! in 23h MEASUREMENTS_KEEP_MONTHS=1 deletes", " ! in 2h ALARMS_KEEP_DAYS=9")
        await it.pilot.resize_terminal(80, 24)
        execute(database, "UPDATE fleetsync.replica SET unstored = 2, unstored_reason = 'full'")
        await it.refresh()
        await it.sees("2 vehicle(s) could not be stored")
        assert warning_lines(it) == [f"{deleted}; and 3 more"]

    drive(database, look)


def test_a_role_that_may_not_read_the_announcements_sees_the_fleet_all_the_same(
    server: Server, database_name: str, database: Database
) -> None:
    small_fleet(database)
    announce(database, "measurements", 1, "1 day")
    role = sql.Identifier(BLIND)
    server.execute(
        sql.SQL("DROP ROLE IF EXISTS {0}; CREATE ROLE {0} LOGIN").format(role),
        sql.SQL(
            "GRANT USAGE ON SCHEMA public, fleetsync TO {0};"
            " GRANT SELECT ON ALL TABLES IN SCHEMA public, fleetsync TO {0};"
            " REVOKE ALL ON fleetsync.retention FROM {0}"
        ).format(role),
        database=database_name,
    )

    async def look(it: Driver) -> None:
        await it.sees("Truck-01")
        assert warning_lines(it) == []

    with closing(Database(DatabaseSettings(server.parameters(database_name, BLIND)))) as viewer:
        drive(viewer, look, read_only=True)
    server.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(role), database=database_name)
