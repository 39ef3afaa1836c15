"""`fleetsyncd health`, which containers run as their probe."""

import time
from contextlib import closing

import psycopg2
import pytest

from fleetsyncd.demo import embedded
from tests.acceptance.conftest import Installation
from tests.acceptance.test_container import value


def beat(installation: Installation, host: str) -> None:
    installation.rows(
        "INSERT INTO fleetsync.replica (id, host, pid, version, interval_sec)"
        " VALUES (gen_random_uuid(), %s, 1, '1', 30)",
        host,
    )


def test_a_daemon_on_another_host_counts_only_if_asked_for(installation: Installation) -> None:
    beat(installation, "elsewhere")
    assert installation.command("health") == (1, "no daemon has shown a heartbeat\n", "")
    code, output, _ = installation.command("health", "--any-host")
    assert (code, output.startswith("healthy: last heartbeat ")) == (0, True)


def test_an_old_heartbeat_is_told(installation: Installation) -> None:
    beat(installation, "elsewhere")
    installation.rows("UPDATE fleetsync.replica SET beat_at = now() - interval '1 hour'")
    code, output, _ = installation.command("health", "--any-host")
    assert (code, output[:25]) == (1, "stale: last heartbeat 360")


def test_a_heartbeat_ahead_of_the_databases_clock_is_no_healthy_daemon(
    installation: Installation,
) -> None:
    beat(installation, "elsewhere")
    installation.rows("UPDATE fleetsync.replica SET beat_at = now() + interval '59 min'")
    code, output, _ = installation.command("health", "--any-host")
    assert (code, output) == (1, "stale: last heartbeat 59m ahead of the database's clock\n")


@pytest.mark.long
def test_a_database_that_does_not_answer_is_told_before_the_container_gives_up(
    installation: Installation,
) -> None:
    limit = float(value("HEALTHCHECK").partition("--timeout=")[2].partition("s")[0])
    locker = psycopg2.connect(
        host=installation.server.host, user=embedded.OWNER, dbname=installation.database_name
    )
    with closing(locker), locker.cursor() as cursor:
        cursor.execute("LOCK TABLE fleetsync.replica IN ACCESS EXCLUSIVE MODE")
        begun = time.monotonic()
        code, output, errors = installation.command("health")
    assert time.monotonic() - begun < limit
    assert (code, output, errors.count("\n")) == (2, "", 1)
    assert "did not answer within 12 s" in errors
