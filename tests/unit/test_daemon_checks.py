"""What doctor says of the daemons."""

import pytest

from fleetsyncd import __version__
from fleetsyncd.database.replicas import Heartbeat
from fleetsyncd.database.schema.daemon_checks import check_daemons
from fleetsyncd.findings import Level
from fleetsyncd.reports import Unstored


def heartbeat(
    pid: int,
    name: str | None = None,
    age: float = 1.0,
    running_sec: float = 60.0,
    version: str = __version__,
    unstored: Unstored = Unstored(),  # noqa: B008  frozen
) -> Heartbeat:
    return Heartbeat(
        "depot", version, 30.0, 1.0, 5, age, pid, (), unstored, running_sec, given_name=name
    )


def wrong(*heartbeats: Heartbeat) -> list[str]:
    return [each.text for each in check_daemons(heartbeats) if each.level is not Level.OK]


def test_daemons_that_live_under_one_name_are_told() -> None:
    twins = heartbeat(7, "centre@1"), heartbeat(8, "centre@1", running_sec=20)
    assert wrong(*twins, heartbeat(9, "centre@2")) == [
        "2 living ones are called centre@1: depot:7, depot:8"
    ]


def test_a_daemon_that_was_started_in_place_of_a_killed_one_is_no_namesake() -> None:
    killed = heartbeat(7, "centre@1", age=20)
    assert wrong(heartbeat(8, "centre@1", running_sec=15), killed) == []


def test_daemons_without_a_name_share_none() -> None:
    assert wrong(heartbeat(7), heartbeat(8)) == []


@pytest.mark.parametrize(("name", "called"), [(None, "depot:7"), ("left", "left on depot")])
def test_a_daemon_is_named_in_what_is_wrong_with_it(name: str | None, called: str) -> None:
    assert wrong(heartbeat(7, name, version="0.0.1"))[0].startswith(f"the daemon {called} has")
    full = heartbeat(7, name, unstored=Unstored(3, "[T-1] full"))
    assert wrong(full)[0].startswith(f"the daemon {called}: 3 vehicle(s)")
    assert wrong(heartbeat(7, name, age=90))[0].startswith(f"the last one, {called}, has been")


def test_a_heartbeat_ahead_of_the_databases_clock_is_no_living_daemon() -> None:
    (text,) = wrong(heartbeat(7, age=-3540.0))
    assert text == ("the last one, depot:7, has a heartbeat 59m ahead of the database's clock")
    assert wrong(heartbeat(7, age=-4.0)) == []
