import signal

from tests.acceptance.conftest import Installation

OLD = (
    "INSERT INTO sync_journal (vehicle_id, started_at, finished_at, status)"
    " SELECT v.id, now() - n * interval '1 day', now() - n * interval '1 day', 'ok'"
    " FROM vehicles v, generate_series(1, 9) n"
)
QUARANTINED = (
    "INSERT INTO fleetsync.quarantine (vehicle_id, digest, call, raw, reason, at)"
    " SELECT id, md5('')::uuid, '/data', '{}', 'bad', now() - interval '1 year' FROM vehicles"
)


def test_a_daemon_removes_what_has_expired_and_logs_it(installation: Installation) -> None:
    installation.fleet(1)
    installation.rows(OLD)
    installation.rows(QUARANTINED)
    installation.rows("SELECT fleetsync.ensure_month('2020-01-01')")
    daemon = installation.daemon(JOURNAL_KEEP_DAYS="5", MEASUREMENTS_KEEP_MONTHS="2")
    daemon.wait_for(r"retention: dropped partition measurements_2020_01")
    installation.until("SELECT to_regclass('public.measurements_2020_01') IS NULL")
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.end() == 0
    log = "\n".join(daemon.lines)
    assert "[INFO] sync.retention: retention: removed expired journal entries: 5" in log
    assert "retention: removed expired quarantined rows: 1" in log
    assert installation.rows(
        "SELECT count(*) FROM sync_journal WHERE started_at < now() - interval '12 hours'"
    ) == [(4,)]


def test_one_cycle_alone_removes_nothing(installation: Installation) -> None:
    installation.fleet(1)
    installation.rows(OLD)
    assert installation.command("once", JOURNAL_KEEP_DAYS="5")[0] == 0
    assert installation.rows("SELECT count(*) FROM sync_journal") == [(10,)]
