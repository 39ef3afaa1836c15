import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fleetsyncd.demo.embedded import Server

ROOT = Path(__file__).parents[2]
Outcome = dict[str, Any]


@pytest.fixture(scope="module")
def outcomes(server: Server) -> dict[str, Outcome]:
    """Play all scenes in one green process; a warning in it is an error."""
    parameters = json.dumps(server.parameters("postgres"))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.integration.green_pool", parameters],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    result: dict[str, Outcome] = json.loads(done.stdout)
    return result


def test_greenlets_that_outnumber_the_connections_share_them(outcomes: dict[str, Outcome]) -> None:
    assert outcomes["many_share_few"]["done"] == 40
    assert outcomes["many_share_few"]["pids"] == 3


def test_a_greenlet_killed_in_a_query_leaves_no_broken_connection_and_no_slot_taken(
    outcomes: dict[str, Outcome],
) -> None:
    assert outcomes["killed_in_a_query"]["used again"] == []
    assert outcomes["killed_in_a_query"]["works"] == 2


def test_a_server_that_never_answers_is_lost_within_the_connect_deadline(
    outcomes: dict[str, Outcome],
) -> None:
    outcome = outcomes["mute_server"]
    assert outcome["fault"].startswith("DatabaseLost: no connection to localhost:")
    # Each address has its share of it, what is left when its turn comes.
    assert re.search(r"no answer within 0\.[0-3]\d* s", outcome["fault"])
    assert "check DB_HOST" in outcome["fault"]
    assert 0.25 <= outcome["seconds"] <= 1


def test_a_mute_host_does_not_keep_the_next_from_being_tried(outcomes: dict[str, Outcome]) -> None:
    assert outcomes["mute_first_host"]["works"]


def test_each_of_several_hosts_is_named_with_its_own_complaint(
    outcomes: dict[str, Outcome],
) -> None:
    told = outcomes["two_hosts_that_refuse"]["fault"]
    assert "127.0.0.1 port 1: Connection refused; 127.0.0.2 port 1: Connection refused" in told


def test_a_statement_that_hangs_ends_at_the_deadline_and_the_next_transaction_works(
    outcomes: dict[str, Outcome],
) -> None:
    outcome = outcomes["hanging_statement"]
    assert outcome["fault"].startswith("DatabaseLost: ")
    assert outcome["fault"].endswith("did not finish within 0.3 s")
    assert outcome["works"]
    assert outcome["seconds"] <= 1


def test_a_frozen_coordinator_is_lost_and_none_of_the_idle_connections_is_waited_for(
    outcomes: dict[str, Outcome],
) -> None:
    outcome = outcomes["frozen_coordinator"]
    assert outcome["fault"].startswith("DatabaseLost: ")
    assert outcome["fault"].endswith("did not finish within 0.3 s")
    assert outcome["left"] == 0
    assert outcome["new"]


def test_a_wait_for_a_connection_ends_at_its_deadline(outcomes: dict[str, Outcome]) -> None:
    assert outcomes["busy_pool"]["fault"].startswith("DatabaseBusy: no free database connection")
    assert outcomes["busy_pool"]["works"]


@pytest.mark.parametrize(
    "scene",
    ["mute_server", "sleeping_statement", "hanging_statement", "frozen_coordinator", "busy_pool"],
)
def test_other_greenlets_go_on_meanwhile(outcomes: dict[str, Outcome], scene: str) -> None:
    assert outcomes[scene]["ticks"] >= 10


def test_idle_connections_that_the_server_ended_are_replaced(outcomes: dict[str, Outcome]) -> None:
    assert outcomes["ended_while_idle"]["new"]


def test_work_whose_connection_was_ended_is_done_again(outcomes: dict[str, Outcome]) -> None:
    assert outcomes["ended_in_a_query"]["attempts"] == 2
