"""A setting that waits deletes nothing, so vehicles are pulled as if there were none."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from fleetsyncd.database import backfills
from fleetsyncd.database.pool import Database
from fleetsyncd.database.retention_in_force import READ_EVERY_SEC, RetentionInForce
from fleetsyncd.database.retention_kinds import Kind, RetentionPolicy
from fleetsyncd.errors import DatabaseError
from fleetsyncd.models import Window
from fleetsyncd.sync.backfill import run_backfill
from fleetsyncd.sync.context import SyncContext
from fleetsyncd.sync.cycle import sync_vehicle
from fleetsyncd.time_limits import OLDEST_ALARM, accepted_interval
from fleetsyncd.times import utc_day, utc_span
from tests.integration.rig import Rig, rig
from tests.integration.test_retention import past_months, query
from tests.integration.test_retention_wait import daemon_round, pass_time

DAY = timedelta(days=1)
LONG_AGO = 75 * DAY
MISTAKE = RetentionPolicy(None, None, 1, alarms_keep=8 * DAY)
AFTER_THE_FIRST_WINDOWS = 8


def stop_after(questions: int) -> Callable[[], str | None]:
    left = iter([None] * questions)
    return lambda: next(left, "stopped with the daemon")


def context(it: Rig, policy: RetentionPolicy = MISTAKE) -> SyncContext:
    return replace(
        it.context(),
        measurements_keep_months=policy.measurements_keep_months,
        alarms_keep=policy.alarms_keep,
        is_in_force=RetentionInForce(it.database, policy),
    )


def cycle(it: Rig, policy: RetentionPolicy) -> str:
    """Run a cycle that a daemon's stop ends soon; return what the journal says."""
    it.now += timedelta(minutes=1)
    stop = stop_after(AFTER_THE_FIRST_WINDOWS)
    sync_vehicle(it.vehicle(), it.client, context(it, policy), stop_reason=stop)
    return str(it.journal()[-1][2])


def oldest_stored(it: Rig) -> datetime:
    return it.run("SELECT min(time) FROM measurements")[0][0]  # type: ignore[no-any-return]  # a row of any types


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_setting_is_in_force_when_its_day_is_over_and_nothing_of_it_is_announced(
    database: Database,
) -> None:
    past_months(database, 0, 3, 4)

    def in_force(months: int | None = 1) -> bool:
        return RetentionInForce(database, RetentionPolicy(None, None, months))(Kind.MEASUREMENTS)

    assert not in_force()
    daemon_round(database, RetentionPolicy(None, None, 1))
    pass_time(database, "23 hours")
    assert not in_force()
    pass_time(database, "1 hour")
    assert (in_force(), in_force(2), in_force(None)) == (True, False, False)
    query(database, "UPDATE fleetsync.retention SET due_at = now() + interval '1 hour'")
    assert not in_force()


def test_the_database_is_asked_once_a_minute_and_its_last_answer_outlives_a_failure(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    in_force = RetentionInForce(database, MISTAKE, clock)
    assert not in_force(Kind.MEASUREMENTS)
    daemon_round(database, MISTAKE)
    pass_time(database, "1 day")
    clock.now += READ_EVERY_SEC - 1
    assert not in_force(Kind.MEASUREMENTS)
    clock.now += 1
    assert in_force(Kind.MEASUREMENTS)
    clock.now += READ_EVERY_SEC

    def fail(_work: object) -> None:
        raise DatabaseError("gone")

    monkeypatch.setattr(database, "run", fail)
    assert in_force(Kind.MEASUREMENTS)
    assert not in_force(Kind.JOURNAL)


@pytest.mark.parametrize("older", [None, 12])
def test_a_setting_made_by_mistake_moves_no_watermark_past_what_it_would_delete(
    database: Database, older: int | None
) -> None:
    with rig(database, watermark_ago=LONG_AGO.total_seconds(), channels=1) as it:
        begun = it.watermark()
        assert begun is not None
        right = RetentionPolicy(None, None, older)
        daemon_round(database, right)
        pass_time(database, "30 days")
        daemon_round(database, MISTAKE)
        assert "nothing is kept" not in cycle(it, MISTAKE)
        pass_time(database, "23 hours")
        daemon_round(database, MISTAKE)
        assert "nothing is kept" not in cycle(it, MISTAKE)
        daemon_round(database, right)
        cycle(it, right)
        reached = it.watermark()
        assert reached is not None
        assert begun + DAY / 24 < reached < begun + 2 * DAY
        assert oldest_stored(it) <= begun
        ((count, gaps),) = it.run(
            "SELECT count(*), count(*) FILTER (WHERE time > before + interval '30 min') FROM"
            " (SELECT time, lag(time) OVER (ORDER BY time) FROM measurements) t(time, before)"
        )
        assert (count > 0, gaps) == (True, 0)


def test_time_that_is_not_pulled_stands_in_the_journal_with_its_cause(database: Database) -> None:
    with rig(database, watermark_ago=LONG_AGO.total_seconds(), channels=1) as it:
        begun = it.watermark()
        assert begun is not None
        daemon_round(database, MISTAKE)
        pass_time(database, "1 day")
        text = cycle(it, MISTAKE)
        oldest = accepted_interval(it.now, 1).start
        assert f"not pulled: {utc_span(begun, oldest)}, before {utc_day(oldest)} nothing" in text
        assert "gone for good" not in text
        assert oldest_stored(it) >= oldest
        assert "not pulled" not in cycle(it, MISTAKE)


def test_a_backfill_under_a_setting_that_waits_pulls_what_it_would_delete(
    database: Database,
) -> None:
    with rig(database, watermark_ago=60, channels=1) as it:
        asked = Window(it.now - LONG_AGO, it.now - LONG_AGO + DAY / 12)
        it.database.run(lambda c: backfills.request_backfill(c, it.vehicle_id, asked))
        daemon_round(database, MISTAKE)
        request = it.database.run(lambda c: backfills.open_backfills(c, set(), 1))[it.vehicle_id]
        entry = run_backfill(it.vehicle(), request, it.client, context(it)).entry
        assert entry.rows_written > 0
        assert "nothing is kept" not in str(entry.error_msg)


def test_alarms_are_asked_for_and_stay_while_a_setting_waits(database: Database) -> None:
    with rig(database, watermark_ago=60, channels=1) as it:
        daemon_round(database, MISTAKE)
        assert context(it).oldest_alarm() == OLDEST_ALARM
        it.run(
            "INSERT INTO alarms_log (vehicle_id, alarm_id, channel_id, message, triggered_at,"
            " resolved_at, synced_at) VALUES (%s, 1, 1, 'Oil', now() - interval '20 days', now(),"
            " now())",
            str(it.vehicle_id),
        )
        daemon_round(database, MISTAKE)
        assert it.run("SELECT count(*) FROM alarms_log") == [(1,)]
        pass_time(database, "1 day")
        assert context(it).oldest_alarm() == it.now - 8 * DAY
        daemon_round(database, MISTAKE)
        assert it.run("SELECT count(*) FROM alarms_log") == [(0,)]
