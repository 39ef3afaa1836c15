"""Which errors are those of a cluster's worker, and what a transaction tells the workers."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import fleetsyncd
from fleetsyncd.database import cluster, session_settings

NO_ANSWER = "connection to the remote node fleet_app@10.1.0.7:5432 failed with the following error"
MUTE = "could not establish any connections to the node 10.1.0.7:5432 after 3000 ms"


def told(code: str | None, message: str, context: str | None = None) -> Any:
    """Return an error as the server tells it; the driver's own cannot be made."""
    diagnostics = SimpleNamespace(message_primary=message, context=context)
    return SimpleNamespace(pgcode=code, diag=diagnostics)


@pytest.mark.parametrize(
    ("error", "worker"),
    [
        (told("08006", NO_ANSWER), "10.1.0.7:5432"),
        (told("08006", MUTE), "10.1.0.7:5432"),
        (told("08006", MUTE.replace("10.1.0.7", "/run/w-1")), "/run/w-1:5432"),
        (told("08006", 'could not connect to node "node-2:5433"'), "node-2:5433"),
        (
            told("57P01", "terminating connection", "while executing command on node-2:5433"),
            "node-2:5433",
        ),
        (told("08006", "connection to the remote node /run/w-1:5432 failed"), "/run/w-1:5432"),
        (told("57P01", "terminating connection due to administrator command"), None),
        (told("08P01", "server conn crashed?"), None),
        (told(None, "server closed the connection unexpectedly"), None),
        (told("40001", "moved", "while executing command on node-2:5433"), None),
    ],
)
def test_a_lost_worker_is_told_from_a_lost_database(error: Any, worker: str | None) -> None:
    assert cluster.lost_worker(error) == worker


def test_the_reason_is_what_the_coordinator_was_told() -> None:
    refused = told("08006", f"{NO_ANSWER}: FATAL:  sorry, too many clients already\n\tmore")
    assert cluster.cause(refused) == "FATAL:  sorry, too many clients already"
    assert cluster.cause(told("57P01", "terminating connection")) == "terminating connection"


def test_a_worker_that_was_waited_for_is_told_from_one_that_refuses() -> None:
    assert cluster.was_mute(told("08006", MUTE))
    assert not cluster.was_mute(told("08006", f"{NO_ANSWER}: Connection refused"))


def test_workers_are_told_of_the_role_by_a_statement_of_its_own() -> None:
    plain = session_settings.opening(150_000, statement_sec=60, idle_sec=30)
    on_cluster = session_settings.opening(150_000, statement_sec=60, idle_sec=30, on_cluster=True)
    assert "SET LOCAL" not in plain
    assert "citus" not in plain
    assert "'citus.propagate_set_commands', 'local'" in on_cluster
    assert on_cluster.endswith("DO $$ BEGIN SET LOCAL app.user_role = 'superuser'; END $$")


def test_no_statement_sets_anything_for_its_transaction_in_a_longer_text() -> None:
    # Citus sends the workers the whole text that such a statement stands in.
    folder = Path(fleetsyncd.__file__).parent / "database"
    found = [
        f"{path.name}: {line.strip()}"
        for path in folder.rglob("*.py")
        for line in path.read_text().splitlines()
        if re.search(r"SET LOCAL (?!app\.user_(role|id))", line)
    ]
    assert found == []
