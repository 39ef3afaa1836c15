"""What is unusual is announced, and waits for a day; what expires in its turn does not."""

import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import pairwise
from threading import Barrier

import psycopg2
import pytest
from psycopg2 import sql

from fleetsyncd.database import vehicles
from fleetsyncd.database.pool import Database
from fleetsyncd.database.retention import Retention
from fleetsyncd.database.retention_kinds import COUNTED, Extent, Kind, RetentionPolicy
from fleetsyncd.database.retention_plan import make_plan
from fleetsyncd.database.views.retention import announcements
from fleetsyncd.demo.embedded import Server
from fleetsyncd.times import months_before, utc_now, utc_text
from tests.integration.test_retention import (
    fill_journal,
    keep_alarms_for_long,
    keep_months_for_long,
    months,
    past_months,
    query,
)

DAYS = timedelta(days=30)
ROWS = {
    "journal": "INSERT INTO sync_journal (vehicle_id, started_at, finished_at, status)"
    " SELECT id, now() - %s::interval, now(), 'ok' FROM vehicles",
    "quarantine": "INSERT INTO fleetsync.quarantine (vehicle_id, digest, call, raw, reason, at)"
    " SELECT id, gen_random_uuid(), '/data', '{}', 'bad', now() - %s::interval FROM vehicles",
    "alarms": "INSERT INTO alarms_log (vehicle_id, alarm_id, channel_id, message, triggered_at,"
    " resolved_at, synced_at) SELECT id, (random() * 1e9)::int, 1, 'Oil', t, t, t"
    " FROM vehicles, (SELECT now() - %s::interval) old(t)",
}
TABLES = {
    "journal": "public.sync_journal",
    "quarantine": "fleetsync.quarantine",
    "alarms": "public.alarms_log",
}


@pytest.fixture
def truck(database: Database) -> str:
    return str(database.run(lambda c: vehicles.add_vehicle(c, "Truck-01", "10.4.0.1", 8001, None)))


def keeping_months(number: int | None) -> RetentionPolicy:
    return RetentionPolicy(None, None, number)


def keeping(kind: str, days: int = 30) -> RetentionPolicy:
    age = timedelta(days=days)
    return RetentionPolicy(
        journal_keep=age if kind == "journal" else None,
        quarantine_keep=age if kind == "quarantine" else None,
        alarms_keep=age if kind == "alarms" else None,
        measurements_keep_months=None,
    )


def daemon_round(database: Database, policy: RetentionPolicy) -> list[str]:
    """Do what a daemon that has just been started does first; return what it tells."""
    told: list[str] = []
    for _step in Retention(database, policy, tell=told.append, warn=told.append).steps(utc_now):
        pass
    return told


def pass_time(database: Database, interval: str) -> None:
    """Let all that the database remembers be that much older."""
    query(
        database,
        "UPDATE fleetsync.retention SET since = since - passed, due_at = due_at - passed,"
        " seen_at = seen_at - passed, announced_at = announced_at - passed"
        " FROM (SELECT %s::interval) t(passed)",
        interval,
    )


def due(database: Database) -> list[object]:
    return [each.due_at for each in database.run(announcements)]


def count(database: Database, kind: str) -> int:
    number: int = query(database, f"SELECT count(*) FROM {TABLES[kind]}")[0][0]  # noqa: S608  ours
    return number


def test_more_than_one_month_is_announced_and_waits_for_a_day_whatever_is_started_anew(
    database: Database,
) -> None:
    names = past_months(database, 0, 1, 2, 3, 4)
    keep_months_for_long(database, 2)
    (told,) = daemon_round(database, keeping_months(2))
    assert "MEASUREMENTS_KEEP_MONTHS=2 will delete 2 months of measurements (about 0 rows)" in told
    assert "`fleetsyncd retention --apply`" in told
    (announced,) = database.run(announcements)
    assert 86_000 < announced.due_in <= 86_400
    assert utc_text(announced.due_at) in told
    for _start in range(5):
        pass_time(database, "4 hours")
        daemon_round(database, keeping_months(2))
    assert months(database) == set(names.values())
    pass_time(database, "4 hours")
    told = " ".join(daemon_round(database, keeping_months(2)))
    assert months(database) == {names[0], names[1], names[2]}
    assert told.index("deletes 2 months") < told.index(f"dropped partition {names[4]}")
    assert due(database) == []


def test_a_daemon_tells_of_a_wait_once_each_time_it_is_started(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    past_months(database, 0, 3, 4)
    retention = Retention(database, keeping_months(1))
    with caplog.at_level(logging.WARNING):
        for _round in range(3):
            assert list(retention.steps(utc_now)) == []
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_month_that_expires_in_its_turn_goes_at_once(database: Database) -> None:
    names = past_months(database, 0, 1, 2, 3)
    keep_months_for_long(database, 2)
    told = daemon_round(database, keeping_months(2))
    assert told[0].startswith("retention: MEASUREMENTS_KEEP_MONTHS=2 deletes 1 month of")
    assert months(database) == {names[0], names[1], names[2]}


@pytest.mark.parametrize("known", [None, 12])
def test_a_single_month_waits_under_a_setting_that_is_new_or_stricter(
    database: Database, known: int | None
) -> None:
    names = past_months(database, 0, 1, 2)
    if known is not None:
        keep_months_for_long(database, known)
    daemon_round(database, keeping_months(1))
    assert months(database) == set(names.values())
    pass_time(database, "1 day")
    daemon_round(database, keeping_months(1))
    assert months(database) == {names[0], names[1]}


def test_each_setting_has_a_wait_of_its_own(database: Database) -> None:
    names = past_months(database, 0, 1, 2, 3, 4, 5)
    daemon_round(database, keeping_months(2))
    pass_time(database, "20 hours")
    daemon_round(database, keeping_months(1))
    pass_time(database, "20 hours")
    daemon_round(database, keeping_months(1))
    assert months(database) == set(names.values())
    daemon_round(database, keeping_months(3))
    pass_time(database, "23 hours")
    daemon_round(database, keeping_months(3))
    assert months(database) == set(names.values())
    pass_time(database, "1 hour")
    daemon_round(database, keeping_months(3))
    assert months(database) == {names[number] for number in (0, 1, 2, 3)}


def test_a_setting_that_was_taken_back_waits_again_however_long_ago_it_was(
    database: Database,
) -> None:
    names = past_months(database, 0, 3, 4)
    for right in (12, None):
        daemon_round(database, keeping_months(1))
        pass_time(database, "1 hour")
        daemon_round(database, keeping_months(right))
        pass_time(database, "90 days")
    daemon_round(database, keeping_months(1))
    assert months(database) == set(names.values())


@pytest.mark.parametrize(("older", "begins_again"), [("31 days", False), ("62 days", True)])
def test_a_plan_that_gets_a_month_older_waits_no_longer_but_one_that_outgrew_it_does(
    database: Database, older: str, begins_again: bool
) -> None:
    past_months(database, 0, 3, 4, 5)
    daemon_round(database, keeping_months(1))
    pass_time(database, "3 days")
    query(
        database,
        "UPDATE fleetsync.retention SET before_at = before_at - %s::interval",
        older,
    )
    daemon_round(database, keeping_months(1))
    assert (len(months(database)) == 4) == begins_again


def test_a_setting_that_is_withdrawn_deletes_nothing_and_takes_its_announcement_with_it(
    database: Database,
) -> None:
    names = past_months(database, 0, 3, 4)
    daemon_round(database, keeping_months(1))
    pass_time(database, "2 days")
    assert daemon_round(database, keeping_months(None)) == []
    assert query(database, "SELECT keep FROM fleetsync.retention WHERE kind = 'measurements'") == [
        (0,)
    ]
    daemon_round(database, keeping_months(1))
    assert months(database) == set(names.values())


def test_daemons_that_disagree_delete_nothing(database: Database) -> None:
    names = past_months(database, 0, 3, 4)
    for _day in range(3):
        daemon_round(database, keeping_months(1))
        daemon_round(database, keeping_months(12))
        pass_time(database, "1 day")
    assert months(database) == set(names.values())


@pytest.mark.parametrize("shorter", [1, 5])
def test_daemons_with_a_shorter_setting_hold_up_nothing_of_those_with_the_longest(
    database: Database, shorter: int
) -> None:
    names = past_months(database, 0, 3, 6, 7)
    keep_months_for_long(database, 6)
    longest = Retention(database, keeping_months(6))
    list(longest.steps(utc_now))
    assert months(database) == {names[0], names[3], names[6]}
    past_months(database, 7, 8)
    for _hour in range(26):
        daemon_round(database, keeping_months(shorter))
        list(longest.steps(utc_now))
        pass_time(database, "1 hour")
    assert months(database) == {names[0], names[3], names[6]}


def test_a_shorter_setting_tells_once_that_other_daemons_keep_more(database: Database) -> None:
    names = past_months(database, 0, 3, 4)
    for longer in (12, None):
        told: list[str] = []
        shorter = Retention(database, keeping_months(1), tell=told.append, warn=told.append)
        for _hour in range(26):
            daemon_round(database, keeping_months(longer))
            list(shorter.steps(utc_now))
            pass_time(database, "1 hour")
        (line,) = told
        assert f"while a daemon with MEASUREMENTS_KEEP_MONTHS={longer or 0} keeps more" in line
    pass_time(database, "2 hours")
    list(shorter.steps(utc_now))
    assert "will delete 2 months of measurements" in told[-1]
    assert months(database) == set(names.values())


def test_a_daemon_of_the_version_before_waits_as_well(database: Database) -> None:
    names = past_months(database, 0, 3, 4)
    drop = "SELECT fleetsync.drop_expired_month(1, current_date)"
    assert [query(database, drop) for _ in range(2)] == [[(None,)]] * 2
    (announced,) = database.run(announcements)
    assert (announced.setting, announced.extent.months) == ("MEASUREMENTS_KEEP_MONTHS=1", 2)
    pass_time(database, "1 day")
    assert [query(database, drop)[0][0] for _ in range(3)] == [names[4], names[3], None]


def test_daemons_that_are_started_together_announce_once(database: Database) -> None:
    past_months(database, 0, 3, 4)
    together = Barrier(4)

    def start(_number: int) -> list[str]:
        together.wait(30)
        return daemon_round(database, keeping_months(1))

    with ThreadPoolExecutor(4) as daemons:
        told = list(daemons.map(start, range(4)))
    assert len({str(lines) for lines in told}) == 1
    assert len(due(database)) == 1


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.usefixtures("truck")
def test_rows_that_expired_within_a_day_go_at_once_and_others_wait(
    database: Database, kind: str
) -> None:
    keep_alarms_for_long(database, 30)
    for age in ("30 days 1 hour", "30 days 23 hours", "29 days"):
        query(database, ROWS[kind], age)
    daemon_round(database, keeping(kind))
    assert (count(database, kind), due(database)) == (1, [])
    for age in ("31 days 1 hour", "30 days 1 hour"):
        query(database, ROWS[kind], age)
    (told,) = daemon_round(database, keeping(kind))
    name = Kind(kind).rows_name
    assert f"{kind.upper()}_KEEP_DAYS=30 will delete 2 {name}, " in told
    assert f", of {utc_now() - timedelta(days=31, hours=1):%Y-%m-%d} to " in told
    assert count(database, kind) == 3
    pass_time(database, "1 day")
    daemon_round(database, keeping(kind))
    assert (count(database, kind), due(database)) == (1, [])


@pytest.mark.usefixtures("truck")
def test_a_stricter_setting_for_rows_begins_the_wait_again(database: Database) -> None:
    for age in ("40 days", "20 days"):
        query(database, ROWS["journal"], age)
    daemon_round(database, keeping("journal", 30))
    pass_time(database, "23 hours")
    daemon_round(database, keeping("journal", 10))
    pass_time(database, "23 hours")
    daemon_round(database, keeping("journal", 10))
    assert count(database, "journal") == 2


@pytest.mark.usefixtures("truck")
def test_what_is_no_more_unusual_takes_its_announcement_with_it(database: Database) -> None:
    query(database, ROWS["journal"], "40 days")
    daemon_round(database, keeping("journal"))
    assert len(due(database)) == 1
    query(database, "DELETE FROM sync_journal")
    daemon_round(database, keeping("journal"))
    assert due(database) == []


@pytest.mark.usefixtures("truck")
def test_an_alarm_that_was_open_for_long_expires_in_its_turn(database: Database) -> None:
    keep_alarms_for_long(database, 30)
    query(database, ROWS["alarms"], "90 days")
    query(database, "UPDATE alarms_log SET synced_at = now() - interval '1 hour'")
    daemon_round(database, keeping("alarms"))
    assert count(database, "alarms") == 0


def test_a_removal_that_was_broken_off_goes_on_without_another_wait(
    database: Database, truck: str
) -> None:
    fill_journal(database, truck, 60)
    daemon_round(database, keeping("journal"))
    pass_time(database, "1 day")
    steps = Retention(database, keeping("journal"), batch=7).steps(utc_now)
    next(steps)
    steps.close()
    assert count(database, "journal") == 53
    daemon_round(database, keeping("journal"))
    assert (count(database, "journal"), due(database)) == (30, [])


def everything_known(database: Database) -> list[tuple[object, ...]]:
    return query(database, "SELECT * FROM fleetsync.retention ORDER BY kind, keep")


@pytest.mark.parametrize("steps", [0, 2])
@pytest.mark.parametrize("other", [1, 2, 6])
def test_deletion_at_once_that_is_broken_off_lets_no_daemon_delete_before_its_time(
    database: Database, truck: str, other: int, steps: int
) -> None:
    past_months(database, 0, *range(3, 10))
    fill_journal(database, truck, 60)
    daemon = RetentionPolicy(DAYS, None, other)
    daemon_round(database, daemon)
    known = everything_known(database)
    operator = RetentionPolicy(DAYS / 2, None, 1)
    work = Retention(database, operator, batch=5, at_once=True).steps(utc_now)
    for _step in range(steps):
        next(work)
    work.close()
    assert everything_known(database) == known
    left = (months(database), count(database, "journal"))
    pass_time(database, "23 hours")
    daemon_round(database, daemon)
    assert (months(database), count(database, "journal")) == left


def test_deletion_at_once_takes_the_announcements_with_it(database: Database, truck: str) -> None:
    names = past_months(database, 0, 3, 4, 5)
    fill_journal(database, truck, 60)
    policy = RetentionPolicy(DAYS, None, 1)
    daemon_round(database, policy)
    assert len(due(database)) == 2
    for _step in Retention(database, policy, at_once=True).steps(utc_now):
        pass
    assert (months(database), count(database, "journal")) == ({names[0]}, 30)
    assert due(database) == []


@pytest.mark.usefixtures("truck")
def test_one_kind_that_cannot_be_looked_at_keeps_no_other_from_going(database: Database) -> None:
    query(database, ROWS["journal"], "30 days 1 hour")
    retention = Retention(database, RetentionPolicy(DAYS, None, 1201), warn=lambda _text: None)
    assert len(list(retention.steps(utc_now))) == 1
    assert retention.failed


def test_a_long_removal_tells_how_far_it_is_at_least_once_a_minute(
    database: Database, truck: str
) -> None:
    fill_journal(database, truck, 60)
    clock = [0.0]
    told_at: list[tuple[float, str]] = []

    def tell(text: str) -> None:
        told_at.append((clock[0], text))

    retention = Retention(
        database,
        keeping("journal"),
        batch=1,
        at_once=True,
        tell=tell,
        warn=tell,
        clock=lambda: clock[0],
    )
    for _step in retention.steps(utc_now):
        clock[0] += 11.0
    moments = [at for at, _text in told_at]
    assert max(moments) > 300
    assert max(later - earlier for earlier, later in pairwise(moments)) <= 60
    assert any("removed 10 of 30 journal entries so far" in text for _at, text in told_at)


def extent_of(database: Database, kind: Kind, keep: int = 30) -> Extent:
    return database.run(lambda cursor: make_plan(cursor, kind, keep, utc_now())).extent


def test_rows_are_counted_as_far_as_that_is_cheap_and_estimated_beyond(
    server: Server, database_name: str, database: Database, truck: str
) -> None:
    fill = (
        "INSERT INTO sync_journal (vehicle_id, started_at, finished_at, status) SELECT %s::uuid,"
        " now() - interval '40 days', now(), 'ok' FROM generate_series(1, %s)"
    )
    query(database, fill, truck, COUNTED - 1)
    few = extent_of(database, Kind.JOURNAL)
    assert (few.rows, few.is_estimate) == (COUNTED - 1, False)
    query(database, fill, truck, 3 * COUNTED + 1)
    fill_journal(database, truck, 29)
    never_analysed = extent_of(database, Kind.JOURNAL)
    assert COUNTED <= never_analysed.rows < 8 * COUNTED
    server.execute(sql.SQL("ANALYZE public.sync_journal"), database=database_name)
    many = extent_of(database, Kind.JOURNAL)
    assert many.is_estimate
    assert 3.5 * COUNTED < many.rows < 4.5 * COUNTED
    assert str(many).startswith("about ")


def test_the_rows_of_a_month_that_was_never_analysed_are_estimated_by_its_size(
    database: Database, truck: str
) -> None:
    names = past_months(database, 0, 3)
    query(
        database,
        "INSERT INTO measurements (vehicle_id, channel_id, time, value) SELECT %s::uuid, 1,"
        " %s::timestamptz + n * interval '1 s', n FROM generate_series(1, 20000) n",
        truck,
        f"{names[3][-7:].replace('_', '-')}-01Z",
    )
    extent = database.run(lambda cursor: make_plan(cursor, Kind.MEASUREMENTS, 1, utc_now())).extent
    assert extent.months == 1
    assert 15_000 < extent.rows < 25_000
    assert 1_000_000 < extent.size < 5_000_000
    assert str(extent).startswith("1 month of measurements (about ")


def minute_months(database: Database, *numbers: int) -> dict[int, str]:
    """Make the months of minutes so many before the present one; return their names."""
    names = {}
    for number in numbers:
        first = months_before(utc_now(), number)
        query(database, "SELECT fleetsync.make_minute_month(%s)", first.date())
        names[number] = f"measurements_minute_{first:%Y_%m}"
    return names


def left_months(database: Database) -> set[str]:
    parent = "public.measurements_minute"
    found = query(
        database, "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass",
        parent,
    )  # fmt: skip
    return {name for (name,) in found}


def keeping_minutes(number: int | None) -> RetentionPolicy:
    return RetentionPolicy(None, None, None, minutes_keep_months=number)


def test_minutes_are_dropped_by_the_month_after_the_same_wait(
    database: Database, truck: str
) -> None:
    names = minute_months(database, 0, 1, 2, 3)
    query(
        database,
        "INSERT INTO fleetsync.minute_state VALUES (%s, '2000-01-01', now())",
        truck,
    )
    (told,) = daemon_round(database, keeping_minutes(1))
    assert "MINUTES_KEEP_MONTHS=1 will delete 2 months of minutes (about 0 rows)" in told
    assert left_months(database) == set(names.values())
    pass_time(database, "25 hours")
    told = "\n".join(daemon_round(database, keeping_minutes(1)))
    assert f"dropped partition {names[3]}" in told
    assert "removed expired months of minutes: 2" in told
    assert left_months(database) == {names[0], names[1]}
    # Nobody trusts what was there.
    from_then_on = months_before(utc_now(), 1)
    assert query(database, "SELECT minutes_from FROM fleetsync.minute_state") == [(from_then_on,)]
    assert daemon_round(database, keeping_minutes(1)) == []


@pytest.mark.parametrize("number", [None, 0])
def test_minutes_that_are_kept_for_ever_or_not_at_all_are_not_dropped(
    database: Database, number: int | None
) -> None:
    names = minute_months(database, 0, 1, 2, 3)
    assert daemon_round(database, keeping_minutes(number)) == []
    pass_time(database, "25 hours")
    assert daemon_round(database, keeping_minutes(number)) == []
    assert left_months(database) == set(names.values())


def test_measurements_are_dropped_whatever_is_kept_of_minutes(database: Database) -> None:
    names, minutes = past_months(database, 0, 1, 2), minute_months(database, 0, 1, 2)
    keep_months_for_long(database, 1)
    daemon_round(database, RetentionPolicy(None, None, 1, minutes_keep_months=0))
    assert left_months(database) == set(minutes.values())
    assert months(database) == {names[0], names[1]}


@pytest.mark.parametrize("role", ["owner", ""])
def test_nobody_else_drops_minutes(database: Database, role: str) -> None:
    names = minute_months(database, 5)
    with database.transaction() as cursor:
        cursor.execute("SELECT set_config('app.user_role', %s, true)", (role,))
        with pytest.raises(psycopg2.errors.InsufficientPrivilege, match=r"app\.user_role"):
            cursor.execute("SELECT fleetsync.drop_expired_minutes(1, current_date, true)")
    assert left_months(database) == set(names.values())
