import json
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from psycopg2 import sql

from fleetsyncd.budgets import VehicleBudget
from fleetsyncd.database import alarms, backfills, machines, removal, store
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.retention import Retention
from fleetsyncd.database.retention_kinds import RetentionPolicy
from fleetsyncd.database.views.plot import PlotSpan, read_plot
from fleetsyncd.database.views.vehicle import stored_alarms
from fleetsyncd.demo.embedded import Server
from fleetsyncd.models import Window
from fleetsyncd.reports import Outcome
from fleetsyncd.sync.replay import Replayed, replay
from fleetsyncd.telemetry import Alarm, BadRow
from fleetsyncd.times import iso_ms
from tests.integration.rig import Ask, Hook, Reply, Rig, rig

REMARK = "1 alarm(s) with the alarm_id of an older or newer one, both kept: another machine"
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
LOG = "SELECT alarm_id, message, triggered_at, resolved_at FROM alarms_log ORDER BY 1"
ARCHIVE = LOG.replace("alarms_log", "fleetsync.replaced_alarm") + ", 3"


def alarm(
    number: int,
    message: str,
    at: datetime,
    resolved: datetime | None = None,
    channel: int | None = 1,
) -> Alarm:
    return Alarm(number, channel, "high", message, at, resolved)


def answers(it: Rig, *told: Alarm) -> None:
    """Let the vehicle answer every question for alarms with these."""
    entries = [
        {
            "alarm_id": each.alarm_id,
            "channel_id": each.channel_id,
            "severity": each.severity,
            "message": each.message,
            "triggered_at": iso_ms(each.triggered_at),
            "resolved_at": each.resolved_at and iso_ms(each.resolved_at),
        }
        for each in told
    ]
    body = json.dumps(entries).encode()
    it.simulated.hook = lambda path, query, ask: (
        (HTTPStatus.OK, body) if path == "/alarms" else ask(query)
    )


def save(database: Database, vehicle_id: UUID, *told: Alarm) -> tuple[int, int]:
    saved = database.run(lambda cursor: alarms.save_alarms(cursor, vehicle_id, told))
    return saved.written, saved.reused


def counted_from(moment: Callable[[], datetime]) -> Hook:
    """Let a simulated vehicle count its alarms from 1, those that were triggered since `moment`."""
    numbers: dict[tuple[str, int], int] = {}

    def hook(path: str, query: str, ask: Ask) -> Reply:
        status, body = ask(query)
        if path != "/alarms":
            return status, body
        since = iso_ms(moment())
        told = [each for each in json.loads(body) if each["triggered_at"] >= since]
        for each in sorted(told, key=lambda each: str(each["triggered_at"])):
            of_machine = sum(1 for at, _ in numbers if at == since)
            each["alarm_id"] = numbers.setdefault((since, each["alarm_id"]), of_machine + 1)
        return status, json.dumps(told).encode()

    return hook


def test_a_machine_that_counts_its_alarms_from_the_beginning_loses_none_of_them(
    database: Database,
) -> None:
    truth: dict[tuple[str, str], Any] = {}
    with rig(database, watermark_ago=3600, channels=18) as it:
        begins = it.now - HOUR
        numbering = counted_from(lambda: begins)

        def watched(path: str, query: str, ask: Ask) -> Reply:
            status, body = numbering(path, query, ask)
            if path == "/alarms":
                for each in json.loads(body):
                    key = each["triggered_at"], each["message"]
                    truth[key] = each["alarm_id"], each["resolved_at"]
            return status, body

        it.simulated.hook = watched
        for _machine in range(3):
            for _ in range(4):
                it.cycle(after=900)
            begins = it.now
        told = [remark for _, _, remark in it.journal() if remark and "older or newer" in remark]
        assert 1 <= len(told) <= 8
        both = (
            'SELECT to_char(triggered_at, \'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"\'), message, alarm_id,'
            ' to_char(resolved_at, \'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"\') FROM '
        )
        newest = it.run(both + "alarms_log")
        older = it.run(both + "fleetsync.replaced_alarm")
        stored = {(at, message): (n, resolved) for at, message, n, resolved in newest + older}
        assert len(stored) == len(newest) + len(older)
        assert older
        assert {key: n for key, (n, _) in stored.items()} == {k: n for k, (n, _) in truth.items()}
        for number in {n for _, _, n, _ in older}:
            current = max(at for at, _, n, _ in newest if n == number)
            assert all(at < current for at, _, n, _ in older if n == number)


def test_the_newest_alarm_of_a_number_takes_it_and_the_older_one_is_kept_as_it_was(
    database: Database,
) -> None:
    with rig(database) as it:
        first = alarm(7, "hot", it.now - MINUTE)
        answers(it, first)
        assert it.cycle().error_msg is None
        second = alarm(7, "low", it.now, it.now + MINUTE)
        answers(it, second)
        report = it.cycle(after=30)
        assert report.outcome is Outcome.OK
        assert REMARK in str(report.error_msg)
        assert it.run(LOG) == [(7, "low", second.triggered_at, second.resolved_at)]
        assert it.run(ARCHIVE) == [(7, "hot", first.triggered_at, None)]
        assert it.run("SELECT count(*) FROM fleetsync.quarantine") == [(0,)]
        assert it.cycle(after=30).error_msg is None


def test_an_older_alarm_that_comes_later_is_kept_beside_the_newest_once(
    database: Database,
) -> None:
    with rig(database) as it:
        newer, older = alarm(7, "low", it.now), alarm(7, "hot", it.now - HOUR)
        assert save(database, it.vehicle_id, newer) == (1, 0)
        for written, reused in ((1, 1), (0, 0)):
            assert save(database, it.vehicle_id, older) == (written, reused)
            assert it.run(LOG) == [(7, "low", newer.triggered_at, None)]
            assert it.run(ARCHIVE) == [(7, "hot", older.triggered_at, None)]
        again = alarm(7, "hot", older.triggered_at, it.now)
        assert save(database, it.vehicle_id, again) == (1, 0)
        assert it.run(LOG) == [(7, "low", newer.triggered_at, None)]
        assert it.run(ARCHIVE) == [(7, "hot", older.triggered_at, it.now)]


def test_a_backfill_brings_the_alarms_that_a_number_had_before(database: Database) -> None:
    with rig(database, watermark_ago=60, channels=1) as it:
        newer, older = alarm(7, "low", it.now), alarm(7, "hot", it.now - HOUR, it.now)
        answers(it, newer)
        it.cycle(after=30)
        answers(it, newer, older)
        window = Window(it.now - 2 * HOUR, it.now)
        database.run(lambda cursor: backfills.request_backfill(cursor, it.vehicle_id, window))
        assert REMARK in it.backfill()
        assert it.run(LOG) == [(7, "low", newer.triggered_at, None)]
        assert it.run(ARCHIVE) == [(7, "hot", older.triggered_at, older.resolved_at)]


def test_of_alarms_of_one_moment_the_stored_one_keeps_the_number(database: Database) -> None:
    with rig(database) as it:
        first = alarm(7, "hot", it.now)
        others = [alarm(7, "low", it.now, channel=2), alarm(7, "all", it.now, channel=None)]
        assert save(database, it.vehicle_id, first) == (1, 0)
        assert save(database, it.vehicle_id, *others) == (2, 2)
        assert save(database, it.vehicle_id, first, *others) == (0, 0)
        assert [message for _, message, *_ in it.run(LOG)] == ["hot"]
        assert {message for _, message, *_ in it.run(ARCHIVE)} == {"low", "all"}


def test_one_answer_may_hold_several_alarms_of_one_number(database: Database) -> None:
    with rig(database) as it:
        told = [alarm(7, f"run {n}", it.now - n * MINUTE) for n in (2, 0, 1)]
        answers(it, *told)
        it.cycle()
        assert [message for _, message, *_ in it.run(LOG)] == ["run 0"]
        assert [message for _, message, *_ in it.run(ARCHIVE)] == ["run 2", "run 1"]


def test_a_repeated_transaction_moves_an_alarm_once(database: Database) -> None:
    with rig(database) as it:
        save(database, it.vehicle_id, alarm(7, "hot", it.now - MINUTE))
        newer = alarm(7, "low", it.now)
        assert save(database, it.vehicle_id, newer) == (1, 1)
        assert save(database, it.vehicle_id, newer) == (0, 0)
        assert [message for _, message, *_ in it.run(LOG)] == ["low"]
        assert [message for _, message, *_ in it.run(ARCHIVE)] == ["hot"]


@pytest.mark.parametrize("swapped", [False, True])
def test_two_writers_of_one_number_lose_neither_alarm(database: Database, swapped: bool) -> None:
    waiting = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted"
    with rig(database) as it, ThreadPoolExecutor(1) as threads:
        save(database, it.vehicle_id, alarm(7, "hot", it.now - MINUTE))
        first, second = alarm(7, "low", it.now), alarm(7, "dry", it.now + MINUTE)
        if swapped:
            first, second = second, first
        others: list[Future[tuple[int, int]]] = []

        def while_another_waits(cursor: Cursor) -> None:
            alarms.save_alarms(cursor, it.vehicle_id, [first])
            others.append(threads.submit(save, database, it.vehicle_id, second))
            while it.run(waiting) == [(False,)]:
                assert not others[0].done()

        database.run(while_another_waits)
        assert others[0].result(30) == (1, 1)
        assert [message for _, message, *_ in it.run(LOG)] == ["dry"]
        assert [message for _, message, *_ in it.run(ARCHIVE)] == ["hot", "low"]


def test_a_replaced_alarm_does_not_come_back_when_the_newer_one_is_deleted(
    database: Database,
) -> None:
    with rig(database) as it:
        older = alarm(7, "hot", it.now - MINUTE)
        save(database, it.vehicle_id, older)
        save(database, it.vehicle_id, alarm(7, "low", it.now))
        it.run("DELETE FROM alarms_log")
        resolved = alarm(7, "hot", older.triggered_at, it.now)
        assert save(database, it.vehicle_id, resolved) == (1, 0)
        assert it.run(LOG) == []
        assert it.run(ARCHIVE) == [(7, "hot", older.triggered_at, it.now)]


def test_an_open_replaced_alarm_is_asked_for_until_the_vehicle_resolves_it(
    database: Database,
) -> None:
    with rig(database) as it:
        older = alarm(7, "hot", it.now - HOUR)
        save(database, it.vehicle_id, older)
        save(database, it.vehicle_id, alarm(7, "low", it.now))
        assert it.vehicle().oldest_open_alarm == older.triggered_at


def test_replaced_alarms_count_for_what_a_vehicle_may_have(database: Database) -> None:
    with rig(database) as it:
        it.budget = VehicleBudget(vehicle_max_alarms=3)
        for minute in range(5):
            answers(it, alarm(7, f"run {minute}", it.now))
            report = it.cycle(after=60)
        assert len(it.run(LOG)) + len(it.run(ARCHIVE)) == 3
        assert "1 alarm(s) refused: 3 are stored" in str(report.error_msg)


def test_numbers_that_are_used_again_all_day_meet_the_day_s_limit(database: Database) -> None:
    with rig(database) as it:
        it.budget = VehicleBudget(vehicle_max_alarms_per_day=3)
        for minute in range(8):
            answers(it, alarm(7, f"run {minute}", it.now))
            it.cycle(after=10)
        assert len(it.run(ARCHIVE)) == 2
        assert "(VEHICLE_MAX_ALARMS_PER_DAY)" in str(it.journal()[-1][2])


def test_what_others_added_to_a_row_stays_with_its_alarm(
    database: Database, server: Server, database_name: str
) -> None:
    change = "ALTER TABLE public.alarms_log {}"
    server.execute(sql.SQL(change.format("ADD COLUMN seen_by text")), database=database_name)
    try:
        with rig(database) as it:
            save(database, it.vehicle_id, alarm(7, "hot", it.now - MINUTE))
            it.run("UPDATE alarms_log SET seen_by = 'Olga'")
            save(database, it.vehicle_id, alarm(7, "low", it.now))
            assert it.run("SELECT message, seen_by FROM alarms_log") == [("low", None)]
            kept = "SELECT message, other_columns FROM fleetsync.replaced_alarm"
            assert it.run(kept) == [("hot", {"seen_by": "Olga"})]
    finally:
        server.execute(sql.SQL(change.format("DROP COLUMN seen_by")), database=database_name)


def test_an_alarm_to_which_rows_of_others_refer_keeps_its_number(
    database: Database, server: Server, database_name: str
) -> None:
    notes = sql.SQL(
        "CREATE TABLE public.note (vehicle_id uuid, alarm_id bigint,"
        " FOREIGN KEY (vehicle_id, alarm_id) REFERENCES public.alarms_log);"
    )
    server.execute(notes, database=database_name)
    try:
        with rig(database) as it:
            older, newer = alarm(7, "hot", it.now - MINUTE), alarm(7, "low", it.now)
            save(database, it.vehicle_id, older)
            note = "INSERT INTO public.note SELECT vehicle_id, alarm_id FROM public.alarms_log"
            with closing(server.connect(database_name)) as opened, opened.cursor() as cursor:
                cursor.execute(note)
                opened.commit()
            for written, reused in ((1, 1), (0, 0)):
                assert save(database, it.vehicle_id, newer) == (written, reused)
                assert it.run(LOG) == [(7, "hot", older.triggered_at, None)]
                assert it.run(ARCHIVE) == [(7, "low", newer.triggered_at, None)]
    finally:
        server.execute(sql.SQL("DROP TABLE public.note"), database=database_name)


def test_whole_milliseconds_of_an_adopted_table_make_no_other_alarm(
    database: Database, server: Server, database_name: str
) -> None:
    change = "ALTER TABLE public.alarms_log ALTER triggered_at TYPE timestamptz{}"
    server.execute(sql.SQL(change.format("(3)")), database=database_name)
    try:
        with rig(database) as it:
            exact = alarm(7, "hot", it.now - MINUTE + timedelta(microseconds=499_600))
            later = alarm(7, "low", it.now + timedelta(microseconds=499_600))
            for each in (exact, later):
                save(database, it.vehicle_id, each)
            assert save(database, it.vehicle_id, exact, later) == (0, 0)
            assert len(it.run(LOG)) == len(it.run(ARCHIVE)) == 1
    finally:
        server.execute(sql.SQL(change.format("")), database=database_name)


def test_a_table_that_wants_channels_refuses_only_the_alarm_without_one(
    database: Database, server: Server, database_name: str
) -> None:
    alter = "ALTER TABLE public.alarms_log ALTER COLUMN channel_id {} NOT NULL"
    server.execute(sql.SQL(alter.format("SET")), database=database_name)
    try:
        with rig(database) as it:
            answers(it, alarm(7, "hot", it.now - MINUTE), alarm(8, "dry", it.now - MINUTE))
            it.cycle()
            answers(it, alarm(7, "low", it.now, channel=None), alarm(8, "wet", it.now))
            assert it.cycle(after=30).outcome is Outcome.OK
            assert [message for _, message, *_ in it.run(LOG)] == ["hot", "wet"]
            assert [message for _, message, *_ in it.run(ARCHIVE)] == ["dry"]
            assert it.run("SELECT raw::jsonb ->> 'message' FROM fleetsync.quarantine") == [("low",)]
    finally:
        server.execute(sql.SQL(alter.format("DROP")), database=database_name)


def test_rows_that_older_versions_quarantined_for_their_number_are_replayed(
    database: Database,
) -> None:
    def entry(told: Alarm, resolved: datetime | None = None) -> BadRow:
        raw = {
            "alarm_id": told.alarm_id,
            "channel_id": told.channel_id,
            "severity": told.severity,
            "message": told.message,
            "triggered_at": iso_ms(told.triggered_at),
            "resolved_at": resolved and iso_ms(resolved),
        }
        return BadRow("/alarms", json.dumps(raw), "alarm_id was used before for another alarm")

    with rig(database) as it:
        stored = alarm(7, "hot", it.now - 2 * MINUTE, it.now)
        save(database, it.vehicle_id, stored)
        newest, between = alarm(7, "low", it.now), alarm(7, "dry", it.now - MINUTE)
        bad = [entry(newest), entry(newest, it.now), entry(between), entry(stored)]
        database.run(lambda cursor: store.quarantine_rows(cursor, it.vehicle_id, bad))
        context = it.context()
        for expected in (Replayed(4, 4, 2), Replayed()):
            assert replay(database, context.partitions, context.accepted_interval) == expected
        assert it.run(LOG) == [(7, "low", newest.triggered_at, it.now)]
        assert it.run(ARCHIVE) == [
            (7, "hot", stored.triggered_at, it.now),
            (7, "dry", between.triggered_at, None),
        ]
        assert it.run("SELECT count(*) FROM fleetsync.quarantine") == [(0,)]


def test_replaced_alarms_expire_as_alarms_do_and_open_ones_when_they_were_replaced(
    database: Database,
) -> None:
    with rig(database) as it:
        ago = [it.now - timedelta(days=days) for days in (30, 20, 10)]
        for number, at in enumerate(ago):
            save(database, it.vehicle_id, alarm(number, "old", at, at + HOUR))
            save(database, it.vehicle_id, alarm(number + 3, "open", at))
        for number in range(6):
            save(database, it.vehicle_id, alarm(number, "new", it.now))
        it.run(
            "UPDATE fleetsync.replaced_alarm SET replaced_at = triggered_at + interval '1 day'"
            " WHERE alarm_id = 3"
        )
        policy = RetentionPolicy(None, None, None, timedelta(days=15))
        for _step in Retention(database, policy, batch=1, at_once=True).steps(lambda: it.now):
            pass
        assert [number for number, *_ in it.run(ARCHIVE)] == [2, 4, 5]
        assert len(it.run(LOG)) == 6


def test_the_alarms_of_a_vehicle_s_page_and_plot_include_the_replaced_ones(
    database: Database,
) -> None:
    with rig(database) as it:
        save(database, it.vehicle_id, alarm(7, "hot", it.now - MINUTE))
        save(database, it.vehicle_id, alarm(7, "low", it.now, it.now))
        shown = database.run(lambda cursor: stored_alarms(cursor, it.vehicle_id))
        assert [(each.message, each.replaced_at is None) for each in shown] == [
            ("low", True),
            ("hot", False),
        ]
        span = PlotSpan(None, 3600)
        plot = database.run(lambda cursor: read_plot(cursor, it.vehicle_id, [1], span, 10))
        assert {each.message for each in plot.alarms} == {"low", "hot"}


def test_replaced_alarms_leave_with_their_vehicle(database: Database) -> None:
    with rig(database) as it:
        save(database, it.vehicle_id, alarm(7, "hot", it.now - MINUTE))
        save(database, it.vehicle_id, alarm(7, "low", it.now))
        removal.remove_vehicles(database, [it.vehicle_id], with_measurements=True)
        assert it.run(ARCHIVE) == []


def test_doctor_names_vehicles_that_lately_used_numbers_again(database: Database) -> None:
    with rig(database) as it:
        save(database, it.vehicle_id, alarm(7, "hot", it.now - MINUTE))
        assert database.run(machines.findings) == []
        save(database, it.vehicle_id, alarm(7, "low", it.now))
        (finding,) = database.run(machines.findings)
        assert "[Truck-01] has used 1 alarm number(s) again" in finding.text
        it.run("UPDATE fleetsync.replaced_alarm SET replaced_at = now() - interval '8 days'")
        assert database.run(machines.findings) == []


def test_the_documented_statements_give_older_alarms_their_numbers_back(
    database: Database, server: Server, database_name: str
) -> None:
    document = (Path(__file__).parents[2] / "docs/operations.md").read_text()
    (block,) = (part for part in document.split("```sql\n") if "WITH back AS" in part[:2_000])
    statements = block.partition("```")[0]
    swapped = datetime(2026, 11, 20, 8, tzinfo=UTC)
    with rig(database) as it:
        for number, told in enumerate([(-3, -1), (-2, 1), (1, 2)]):
            for minutes in told:
                at = swapped + minutes * MINUTE
                save(database, it.vehicle_id, alarm(number, f"at {minutes}", at))
        server.execute(sql.SQL(statements), database=database_name)
        assert [message for _, message, *_ in it.run(LOG)] == ["at -1", "at -2"]
        assert [message for _, message, *_ in it.run(ARCHIVE)] == ["at -3"]


def test_a_vehicle_with_very_many_alarms_stores_an_answer_in_a_moment(database: Database) -> None:
    many = (
        "INSERT INTO {} (vehicle_id, alarm_id, channel_id, message, triggered_at)"
        " SELECT %s::uuid, n, 1, 'x', now() - interval '{} h' FROM generate_series(1, 50000) n"
    )
    with rig(database) as it:
        for hours, table in enumerate(("alarms_log", "fleetsync.replaced_alarm"), start=1):
            it.run(many.format(table, hours), str(it.vehicle_id))
            it.run(f"ANALYZE {table}")
        told = [alarm(number, "new", it.now) for number in range(1, 2_001)]

        def within_a_second(cursor: Cursor) -> None:
            cursor.execute("SET LOCAL statement_timeout = '1s'")
            alarms.save_alarms(cursor, it.vehicle_id, told)

        database.run(within_a_second)
        assert it.run("SELECT count(*) FROM alarms_log WHERE message = 'new'") == [(2_000,)]
