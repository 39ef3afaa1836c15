import signal
from contextlib import suppress
from datetime import timedelta

import pytest

from tests.acceptance.conftest import Daemon, Installation

VEHICLES = 24
BALANCED = """
SELECT count(*) = %(n)s AND min(cardinality(shards)) >= floor(64 / %(n)s) - %(n)s
    AND max(cardinality(shards)) <= ceil(64.0 / %(n)s) AND sum(cardinality(shards)) = 64
FROM fleetsync.replica WHERE pid = ANY (%(pids)s)
"""
# Two replicas at work on one vehicle at a time would show as journal entries that overlap.
OVERLAPS = """
SELECT count(*) FROM sync_journal a JOIN sync_journal b
    ON a.vehicle_id = b.vehicle_id AND a.id < b.id
    AND a.started_at < b.finished_at AND b.started_at < a.finished_at
"""
# Two cycles of a second, and one with five seconds more, for a machine that does nothing else;
# the rest is for one that does.
JOIN_SEC = 2 + 8
TAKE_OVER_SEC = 1 + 5 + 8
FRESH = "SELECT bool_and(last_sync_at > now() - interval '5 s') FROM vehicles"


def balanced(installation: Installation, daemons: list[Daemon], within: float = 60) -> float:
    """Wait until these daemons, and nobody else, share the fleet evenly; return how long."""
    pids = "ARRAY[" + ",".join(str(daemon.process.pid) for daemon in daemons) + "]"
    query = BALANCED.replace("%(n)s", str(len(daemons))).replace("%(pids)s", pids)
    return installation.until(query, within=within)


def finish(installation: Installation, daemons: list[Daemon]) -> None:
    """Stop the daemons and check that nothing was lost or doubled."""
    installation.until(FRESH, within=120)
    for daemon in daemons:
        daemon.process.send_signal(signal.SIGTERM)
    for daemon in daemons:
        assert daemon.end() == 0
    findings = installation.check()
    assert findings.clean, findings.examples
    assert findings.checked > 0


@pytest.mark.long
@pytest.mark.parametrize("replicas", [2, 4])
def test_replicas_share_the_fleet_and_take_over_from_a_killed_one(
    installation: Installation, replicas: int
) -> None:
    installation.fleet(VEHICLES, channels=2)
    daemons = [installation.daemon(LOG_LEVEL="WARNING") for _ in range(replicas - 1)]
    balanced(installation, daemons)
    installation.until(FRESH, within=60)
    daemons.append(installation.daemon(LOG_LEVEL="WARNING"))
    installation.until(
        "SELECT count(*) > 0 FROM fleetsync.replica WHERE pid = %s", daemons[-1].process.pid
    )
    assert balanced(installation, daemons) < JOIN_SEC
    installation.until(FRESH, within=60)
    assert installation.rows(OVERLAPS) == [(0,)]
    shown = installation.command("status")[1]
    assert all(f":{daemon.process.pid}" in shown for daemon in daemons)
    daemons.pop().process.kill()
    assert balanced(installation, daemons) + installation.until(FRESH) < TAKE_OVER_SEC
    finish(installation, daemons)


def test_a_second_replica_gets_its_half_while_a_gap_is_pulled(installation: Installation) -> None:
    installation.fleet(4, ago=timedelta(hours=40), channels=2)
    first = installation.daemon(LOG_LEVEL="WARNING")
    installation.until("SELECT bool_or(catching_up_to IS NOT NULL) FROM fleetsync.vehicle_state")
    second = installation.daemon(LOG_LEVEL="WARNING")
    balanced(installation, [first, second])
    finish(installation, [first, second])


@pytest.mark.long
@pytest.mark.parametrize("replicas", [2, 4])
def test_a_frozen_replica_loses_its_shards_and_does_no_harm_when_it_thaws(
    installation: Installation, replicas: int
) -> None:
    installation.fleet(VEHICLES, channels=2)
    daemons = [installation.daemon(LOG_LEVEL="WARNING") for _ in range(replicas)]
    balanced(installation, daemons)
    frozen = daemons[0].process
    frozen.send_signal(signal.SIGSTOP)
    try:
        balanced(installation, daemons[1:])
        installation.until(FRESH, within=60)
    finally:
        with suppress(ProcessLookupError):
            frozen.send_signal(signal.SIGCONT)
    balanced(installation, daemons)
    finish(installation, daemons)
