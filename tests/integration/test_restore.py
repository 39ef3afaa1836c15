"""The database goes back to an older state under a running daemon: nothing may be missing then."""

import logging
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import pytest
from psycopg2 import sql

from fleetsyncd.database import (
    backfills,
    measurements,
    outcomes,
    store,
)
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.demo.embedded import Server
from fleetsyncd.lateness import Added
from fleetsyncd.models import Window
from fleetsyncd.reports import CycleReport, Outcome
from fleetsyncd.sync.setback import SetbackWatch
from tests.integration.rig import Ask, Hook, Reply, Rig, rig

TABLES = (
    "public.vehicles",
    "public.channel_config",
    "public.measurements",
    "public.alarms_log",
    "public.sync_journal",
    "fleetsync.vehicle_state",
    "fleetsync.backfill",
)
HOUR = timedelta(hours=1)


class Backup:
    """A copy of every table, taken when it is made; `restore` brings all of them back at once."""

    def __init__(self, server: Server, database_name: str) -> None:
        self._server, self._name = server, database_name
        self._run("DROP SCHEMA IF EXISTS backup CASCADE", "CREATE SCHEMA backup")
        self._run(*(f"CREATE TABLE {_copy(table)} AS TABLE {table}" for table in TABLES))

    def restore(self) -> None:
        self._run(
            "SET session_replication_role = replica",
            *(f"TRUNCATE {table} CASCADE" for table in TABLES),
            *(f"INSERT INTO {table} TABLE {_copy(table)}" for table in TABLES),
        )

    def _run(self, *statements: str) -> None:
        with closing(self._server.connect(self._name)) as connection, connection:
            for statement in statements:
                connection.cursor().execute(statement)


def _copy(table: str) -> str:
    return "backup." + table.partition(".")[2]


@pytest.fixture
def back_up(server: Server, database_name: str) -> Callable[[], Backup]:
    return lambda: Backup(server, database_name)


def restoring_at(backup: Backup, call: str, number: int) -> Hook:
    """Restore once, before the answer of this number to `call`."""
    met = 0

    def hook(path: str, query: str, ask: Ask) -> Reply:
        nonlocal met
        met += path == call
        if path == call and met == number:
            backup.restore()
        return ask(query)

    return hook


def going_back(back_up: Callable[[], Backup], backed_up: int, restored: int) -> Hook:
    """Back up before one answer of `/data`, and restore that before a later one."""
    met = 0
    backups: list[Backup] = []

    def hook(path: str, query: str, ask: Ask) -> Reply:
        nonlocal met
        met += path == "/data"
        if path == "/data" and met == backed_up:
            backups.append(back_up())
        if path == "/data" and met == restored:
            backups[0].restore()
        return ask(query)

    return hook


def recovers(it: Rig) -> None:
    it.simulated.hook = None
    assert it.cycle(after=30).outcome is Outcome.OK
    comparison = it.compare()
    assert comparison.clean, comparison.examples


def test_after_a_restore_alarms_and_channels_are_stored_again_from_the_same_answers(
    database: Database, back_up: Callable[[], Backup]
) -> None:
    with rig(database, watermark_ago=1800) as it:
        backup = back_up()
        it.cycle()
        channels, alarms = stored(it)
        assert channels
        assert alarms
        backup.restore()
        assert stored(it) == ([], [])
        it.cycle()
        assert [row[:4] for row in stored(it)[0]] == [row[:4] for row in channels]
        assert stored(it)[1] == alarms
        recovers(it)


def stored(it: Rig) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Return the channels and alarms that are stored."""
    channels = it.run(
        "SELECT channel_id, name, unit, min_value, synced_at FROM channel_config ORDER BY 1"
    )
    alarms = it.run(
        "SELECT alarm_id, message, triggered_at, resolved_at FROM alarms_log ORDER BY 1"
    )
    return channels, alarms


@pytest.mark.parametrize(
    ("call", "number"),
    [("/status", 1), ("/channels", 1), ("/data", 1), ("/data", 3), ("/data", 7), ("/alarms", 1)],
)
def test_a_restore_within_a_gap_leaves_no_row_out(
    database: Database, back_up: Callable[[], Backup], call: str, number: int
) -> None:
    with rig(database, watermark_ago=2 * 3600, channels=12) as it:
        backups: list[Backup] = []

        def note_first(path: str, query: str, ask: Ask) -> Reply:
            if path == "/data" and len(it.asked) > 4 and not backups:
                backups.append(back_up())
            return it._log(path, query, ask)

        it.simulated.hook = note_first
        it.cycle(stopped=lambda: "enough" if backups else None)
        it.simulated.hook = restoring_at(backups[0], call, number)
        it.cycle(after=30)
        recovers(it)


@pytest.mark.parametrize(("backed_up", "restored"), [(1, 2), (3, 4), (3, 6), (1, 7)])
def test_a_restore_to_an_earlier_window_of_the_same_gap_leaves_no_row_out(
    database: Database, back_up: Callable[[], Backup], backed_up: int, restored: int
) -> None:
    with rig(database, watermark_ago=2 * 3600, channels=12) as it:
        it.simulated.hook = going_back(back_up, backed_up, restored)
        it.cycle()
        recovers(it)


def test_a_restore_between_the_alarms_and_the_journal_asks_for_the_alarms_again(
    database: Database, back_up: Callable[[], Backup], monkeypatch: pytest.MonkeyPatch
) -> None:
    with rig(database, watermark_ago=1800) as it:
        it.simulated.hook = lambda path, query, ask: (
            ask(query) if path != "/alarms" else (_ for _ in ()).throw(OSError)
        )
        it.cycle()
        backup = back_up()
        it.simulated.hook = None
        write = outcomes.add_cycle_report

        def restore_first(cursor: Cursor, report: CycleReport) -> None:
            backup.restore()
            write(cursor, report)

        with monkeypatch.context() as patched:
            patched.setattr(outcomes, "add_cycle_report", restore_first)
            it.cycle()
        assert stored(it)[1] == []
        recovers(it)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE channel_config SET name = 'X', max_value = NULL",
        "DELETE FROM channel_config WHERE channel_id < 4",
    ],
)
def test_channels_that_somebody_changed_are_stored_again(database: Database, change: str) -> None:
    with rig(database) as it:
        it.cycle()
        before = [row[:4] for row in stored(it)[0]]
        it.run(change)
        it.cycle(after=30)
        assert [row[:4] for row in stored(it)[0]] == before


def test_unchanged_channels_are_confirmed_within_an_hour_and_left_alone_for_most_of_it(
    database: Database,
) -> None:
    with rig(database) as it:
        it.cycle()
        before = stored(it)[0]
        it.run("UPDATE channel_config SET synced_at = synced_at - interval '45 minutes'")
        it.cycle(after=30)
        assert [row[4] for row in stored(it)[0]] == [row[4] - 45 * HOUR / 60 for row in before]
        it.run("UPDATE channel_config SET synced_at = synced_at - interval '14 minutes'")
        it.cycle(after=30)
        assert all(new[4] >= old[4] for new, old in zip(stored(it)[0], before, strict=True))
        assert it.vehicle().intake.channel_changes == len(before)


FRESH = (
    "SELECT count(*) FROM channel_config WHERE synced_at BETWEEN now() - interval '1 s' AND now()"
)


@pytest.mark.parametrize("old", ["now() - interval '59 min'", "'infinity'", "'-infinity'", "NULL"])
def test_one_channel_that_was_not_confirmed_for_long_is_confirmed_however_new_the_others_are(
    database: Database, server: Server, database_name: str, old: str
) -> None:
    alter = sql.SQL("ALTER TABLE channel_config ALTER COLUMN synced_at DROP NOT NULL")
    server.execute(alter, database=database_name)  # as it may be in an adopted database
    with rig(database, channels=3) as it:
        it.cycle()
        it.run(f"UPDATE channel_config SET synced_at = {old} WHERE channel_id = 2")  # noqa: S608
        it.run("UPDATE channel_config SET synced_at = now() - interval '9 s' WHERE channel_id <> 2")
        it.cycle(after=30)
        assert it.run(FRESH) == [(1,)]


def test_a_channel_that_the_vehicle_lists_no_more_grows_old_and_costs_nothing(
    database: Database,
) -> None:
    with rig(database, channels=3) as it:
        it.cycle()
        it.run(
            "INSERT INTO channel_config (vehicle_id, channel_id, name, synced_at)"
            " VALUES (%s::uuid, 99, 'gone', now() - interval '40 minutes')",
            str(it.vehicle_id),
        )
        it.cycle(after=30)
        it.run("UPDATE channel_config SET synced_at = now() - interval '9 s' WHERE channel_id < 4")
        it.run("UPDATE channel_config SET synced_at = now() - interval '2 h' WHERE channel_id = 99")
        it.cycle(after=30)
        assert it.vehicle().channels_digest is not None
        assert it.run(FRESH) == [(0,)]
        gone = "SELECT now() - synced_at > interval '1 h' FROM channel_config WHERE channel_id = 99"
        assert it.run(gone) == [(True,)]


def test_channels_grow_old_while_the_vehicle_does_not_confirm_them(database: Database) -> None:
    with rig(database, channels=3) as it:
        it.cycle()
        it.run("UPDATE channel_config SET synced_at = now() - interval '2 h'")
        it.simulated.hook = lambda path, query, ask: (
            (HTTPStatus.INTERNAL_SERVER_ERROR, b"{}") if path == "/channels" else ask(query)
        )
        it.cycle(after=30)
        it.simulated.hook = None
        hours = "SELECT DISTINCT floor(extract(epoch FROM now() - synced_at) / 3600)"
        assert it.run(f"{hours} FROM channel_config") == [(2,)]
        it.cycle(after=30)
        assert it.run(f"{hours} FROM channel_config") == [(0,)]


def test_an_empty_list_of_channels_is_stored_once(database: Database) -> None:
    with rig(database, channels=0) as it:
        it.cycle()
        state = "SELECT xmin::text FROM fleetsync.vehicle_state"
        assert it.vehicle().channels_digest is not None
        assert it.run(state)


def test_a_month_that_went_with_a_restore_is_made_again_in_the_same_cycle(
    database: Database, server: Server, database_name: str
) -> None:
    with rig(database) as it:
        it.cycle()
        it.partitions = Partitions(database)
        month = f"measurements_{it.now:%Y_%m}"
        it.partitions.ensure_ahead(it.now)
        drop = sql.SQL("DROP TABLE public.{}").format(sql.Identifier(month))
        server.execute(drop, database=database_name)
        it.run("UPDATE vehicles SET last_sync_at = %s", it.start)
        it.run("UPDATE fleetsync.vehicle_state SET newest_measurement_at = NULL")
        assert it.cycle(after=30).outcome is Outcome.OK
        assert it.compare().clean


def test_which_months_exist_is_read_anew_in_every_cycle_of_the_fleet(
    database: Database, server: Server, database_name: str
) -> None:
    with rig(database) as it:
        partitions = Partitions(database)
        partitions.ensure_ahead(it.now)
        drop = sql.SQL("DROP TABLE public.{}").format(
            sql.Identifier(f"measurements_{it.now:%Y_%m}")
        )
        server.execute(drop, database=database_name)
        partitions.ensure_ahead(it.now)
        assert it.cycle().outcome is Outcome.OK


def backfill(it: Rig, hook: Hook | None) -> str:
    """Run the rest of the requested backfill once; return what the journal says."""
    it.simulated.hook = hook
    return it.backfill()


@pytest.mark.parametrize(("call", "number"), [("/data", 2), ("/data", 4), ("/data", 9)])
def test_a_restore_within_a_backfill_leaves_no_row_and_no_alarm_out(
    database: Database, back_up: Callable[[], Backup], call: str, number: int
) -> None:
    with rig(database, watermark_ago=60, channels=12) as it:
        it.cycle()
        window = Window(it.now - 2 * HOUR, it.now)
        it.database.run(lambda c: backfills.request_backfill(c, it.vehicle_id, window))
        backup = back_up()
        assert "another daemon goes on" in backfill(it, restoring_at(backup, call, number))
        assert "complete" in backfill(it, None)
        assert backfill(it, None) == "none"
        it.start = window.start
        comparison = it.compare()
        assert comparison.clean, comparison.examples


@pytest.mark.parametrize(("backed_up", "restored"), [(3, 5), (3, 8)])
def test_a_restore_to_an_earlier_window_of_the_same_backfill_leaves_no_row_out(
    database: Database, back_up: Callable[[], Backup], backed_up: int, restored: int
) -> None:
    with rig(database, watermark_ago=60, channels=12) as it:
        it.cycle()
        # Long enough for so many questions, however large their windows become.
        window = Window(it.now - 10 * HOUR, it.now)
        it.database.run(lambda c: backfills.request_backfill(c, it.vehicle_id, window))
        backfill(it, going_back(back_up, backed_up, restored))
        assert "complete" in backfill(it, None)
        it.start = window.start
        comparison = it.compare()
        assert comparison.clean, comparison.examples


def test_alarms_that_a_backfill_could_not_get_are_asked_for_by_its_next_attempt(
    database: Database,
) -> None:
    with rig(database, watermark_ago=60, channels=2) as it:
        it.cycle()
        window = Window(it.now - 30 * HOUR, it.now)
        it.database.run(lambda c: backfills.request_backfill(c, it.vehicle_id, window))
        met = 0

        def fail_alarms_and_later_data(path: str, query: str, ask: Ask) -> Reply:
            nonlocal met
            met += path == "/data"
            if path == "/alarms" or met > 5:
                raise OSError
            return ask(query)

        assert "complete" not in backfill(it, fail_alarms_and_later_data)
        assert "complete" in backfill(it, None)
        it.start = window.start
        comparison = it.compare()
        assert comparison.clean, comparison.examples


def test_a_lost_commits_answer_neither_ends_a_backfill_nor_counts_its_rows_twice(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with rig(database, watermark_ago=60, channels=2) as it:
        it.cycle()
        before = it.run("SELECT count(*) FROM measurements")[0][0]
        window = Window(it.now - HOUR, it.now)
        it.database.run(lambda c: backfills.request_backfill(c, it.vehicle_id, window))
        run = database.run
        monkeypatch.setattr(database, "run", lambda work: (run(work), run(work))[1])
        text = it.backfill()
        monkeypatch.undo()
        assert "complete" in text
        added = it.run("SELECT count(*) FROM measurements")[0][0] - before
        assert it.run("SELECT rows_added, finished_at IS NOT NULL FROM fleetsync.backfill") == [
            (added, True)
        ]


def test_a_setback_is_said_once_with_how_far_and_whom(
    database: Database, back_up: Callable[[], Backup], caplog: pytest.LogCaptureFixture
) -> None:
    watch = SetbackWatch()
    with rig(database) as it, caplog.at_level(logging.WARNING, "sync"):
        watch.note(it.cycle())
        backup = back_up()
        watch.note(it.cycle(after=600))
        watch.check([it.vehicle()], watch.committed())
        assert not caplog.messages
        before, known = it.vehicle(), watch.committed()
        watch.note(it.cycle(after=30))
        watch.check([before], known)
        assert not caplog.messages
        backup.restore()
        watch.check([it.vehicle()], watch.committed())
        watch.check([it.vehicle()], watch.committed())
        assert len(caplog.messages) == 1
        assert "went back for 1 of 1 vehicle(s), at most by 10m ([Truck-01])" in caplog.messages[0]


def test_rows_of_a_try_that_was_rolled_back_are_not_counted(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with rig(database) as it:
        advance, tries = store.advance_watermark, 0

        def deadlock_once(cursor: Cursor, update: store.WatermarkUpdate) -> None:
            nonlocal tries
            tries += 1
            if tries == 1:
                cursor.execute("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40P01'; END $$")
            advance(cursor, update)

        copy = it.run("SELECT count(*) FROM measurements")
        assert copy == [(0,)]
        monkeypatch.setattr(store, "advance_watermark", deadlock_once)
        # Between the two tries somebody else stores the same rows.
        add = measurements.add_pulled
        rows_by_try: list[int] = []

        def add_or_find(cursor: Cursor, *arguments: Any) -> Added:
            added = add(cursor, *arguments)
            rows_by_try.append(added.rows)
            return added if len(rows_by_try) == 1 else Added()

        monkeypatch.setattr(measurements, "add_pulled", add_or_find)
        report = it.cycle()
        assert (tries, rows_by_try[0] > 0) == (2, True)
        assert (report.outcome, report.rows_written) == (Outcome.OK, 0)


@pytest.mark.parametrize("call", ["/status", "/data"])
def test_a_restore_while_the_clock_is_behind_the_watermark_leaves_no_row_out(
    database: Database, back_up: Callable[[], Backup], call: str
) -> None:
    with rig(database, channels=1) as it:
        it.cycle(after=30)
        it.offset = -HOUR
        first = it.now + it.offset
        it.run("DELETE FROM measurements WHERE time >= %s", first)
        it.cycle(after=30)
        backup = back_up()
        it.cycle(after=30)
        it.simulated.hook = restoring_at(backup, call, 1)
        assert "set back meanwhile" in str(it.cycle(after=60).reason)
        it.simulated.hook = None
        for _ in range(3):
            assert it.cycle(after=30).outcome is Outcome.OK
        seconds = it.run(
            "SELECT count(DISTINCT date_trunc('second', time)) FROM measurements"
            " WHERE time >= %s AND time < %s",
            first,
            it.now + it.offset,
        )
        assert seconds == [((it.now + it.offset - first).total_seconds(),)]
