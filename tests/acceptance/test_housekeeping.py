import signal
from datetime import timedelta

from tests.acceptance.conftest import Installation

OLD = (
    "INSERT INTO sync_journal (vehicle_id, started_at, finished_at, status)"
    " SELECT v.id, now() - n * interval '1 day', now() - n * interval '1 day', 'ok'"
    " FROM vehicles v, generate_series(1, 9) n"
)
QUARANTINED = (
    "INSERT INTO fleetsync.quarantine (vehicle_id, digest, call, raw, reason, at)"
    " SELECT id, md5('')::uuid, '/data', '{}', 'bad', now() - interval '30 days 1 hour'"
    " FROM vehicles"
)
YEAR = (
    "SELECT fleetsync.ensure_month((date_trunc('month', now()) - n * interval '1 month')::date)"
    " FROM generate_series(0, 13) n"
)
MONTHS = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'public.measurements'::regclass"
LATER = (
    "UPDATE fleetsync.retention SET due_at = due_at - interval '1 day',"
    " since = since - interval '1 day', announced_at = announced_at - interval '1 day'"
)


def test_a_daemon_removes_what_has_expired_and_logs_it(installation: Installation) -> None:
    installation.fleet(1)
    installation.rows(OLD)
    installation.rows(QUARANTINED)
    installation.rows("SELECT fleetsync.ensure_month('2020-01-01')")
    settings = {"JOURNAL_KEEP_DAYS": "5", "MEASUREMENTS_KEEP_MONTHS": "2"}
    first = installation.daemon(**settings)
    first.wait_for(r"\[WARNING\].*JOURNAL_KEEP_DAYS=5 will delete 5 journal entries")
    first.wait_for(r"\[WARNING\].*MEASUREMENTS_KEEP_MONTHS=2 will delete 1 month of measurements")
    first.wait_for("retention: removed expired quarantined rows: 1")
    first.process.send_signal(signal.SIGTERM)
    assert first.end() == 0
    installation.rows(LATER)
    daemon = installation.daemon(**settings)
    daemon.wait_for(r"retention: dropped partition measurements_2020_01")
    installation.until("SELECT to_regclass('public.measurements_2020_01') IS NULL")
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.end() == 0
    log = "\n".join(daemon.lines)
    assert "[INFO] sync.retention: retention: removed expired journal entries: 5" in log
    assert installation.rows(
        "SELECT count(*) FROM sync_journal WHERE started_at < now() - interval '12 hours'"
    ) == [(4,)]


def test_a_years_months_outlive_a_setting_made_by_mistake_and_every_start_under_it(
    installation: Installation,
) -> None:
    installation.fleet(1)
    installation.rows(YEAR)
    for _start in range(2):
        daemon = installation.daemon(MEASUREMENTS_KEEP_MONTHS="1")
        line = daemon.wait_for("MEASUREMENTS_KEEP_MONTHS=1 will delete 12 months of measurements")
        assert "[WARNING] sync.retention: " in line
        daemon.wait_for(r"Cycle done")
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.end() == 0
    assert installation.rows(MONTHS) == [(16,)]  # the next two are made ahead
    daemon = installation.daemon(MEASUREMENTS_KEEP_MONTHS="0")
    installation.until(
        "SELECT NOT EXISTS (SELECT FROM fleetsync.retention WHERE due_at IS NOT NULL)"
    )
    assert installation.rows(MONTHS) == [(16,)]


def test_a_daemon_under_a_setting_made_by_mistake_pulls_on_from_where_it_was(
    installation: Installation,
) -> None:
    installation.fleet(1, ago=timedelta(days=75), channels=1)
    daemon = installation.daemon(MEASUREMENTS_KEEP_MONTHS="1")
    installation.until("SELECT min(time) < now() - interval '74 days' FROM measurements")
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.end() == 0


def test_one_cycle_alone_removes_nothing(installation: Installation) -> None:
    installation.fleet(1)
    installation.rows(OLD)
    assert installation.command("once", JOURNAL_KEEP_DAYS="5")[0] == 0
    assert installation.rows("SELECT count(*) FROM sync_journal") == [(10,)]
