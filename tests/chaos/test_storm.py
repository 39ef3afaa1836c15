from itertools import islice
from math import inf
from pathlib import Path

import pytest

from fleetsyncd.demo.citus_cluster import CitusMissing
from fleetsyncd.demo.lateness import PROMPT
from tests.chaos import kinds, poison
from tests.chaos.__main__ import report, weather_of
from tests.chaos.faults import FAULTS
from tests.chaos.kinds import GROUPS, KINDS
from tests.chaos.storm import Weather, storm

CALLS = ("/status", "/channels", "/data", "/alarms")


@pytest.mark.long
def test_a_short_storm_of_every_kind_leaves_nothing_wrong(server_folder: Path) -> None:
    weather = Weather(seed=292, minutes=0.3, vehicles=6, daemon_sec=2.0, database_sec=4.0)
    outcome = storm(weather, server_folder)
    assert outcome.clean, report(outcome)
    assert outcome.findings.checked > 10_000
    for group in GROUPS.values():
        assert any(outcome.happened[kind] for kind in group), report(outcome)


@pytest.mark.long
def test_a_short_storm_over_a_hidden_table_leaves_nothing_wrong(server_folder: Path) -> None:
    weather = Weather(
        seed=293, minutes=0.2, vehicles=6, daemon_sec=2.0, database_sec=4.0, hidden_table=True
    )
    outcome = storm(weather, server_folder)
    assert outcome.clean, report(outcome)
    assert outcome.findings.checked > 5_000


@pytest.mark.long
def test_a_short_storm_during_a_conversion_leaves_nothing_wrong(server_folder: Path) -> None:
    weather = Weather(
        seed=294, minutes=0.25, vehicles=6, daemon_sec=2.0, database_sec=4.0, converts=True
    )
    outcome = storm(weather, server_folder)
    assert outcome.clean, report(outcome)
    assert outcome.happened["convert"]
    assert outcome.findings.checked > 5_000


@pytest.mark.long
@pytest.mark.citus
def test_a_short_storm_over_a_cluster_leaves_nothing_wrong(server_folder: Path) -> None:
    weather = Weather(
        seed=294,
        minutes=0.4,
        vehicles=6,
        kinds=kinds.CLUSTER_KINDS,
        database_sec=6.0,
        citus=True,
        cluster_sec=4.0,
    )
    try:
        outcome = storm(weather, server_folder)
    except CitusMissing as missing:
        pytest.skip(str(missing))
    assert outcome.clean, report(outcome)
    assert outcome.findings.checked > 5_000
    assert outcome.happened["move-shard"]


def strikes(seed: int, *chosen: str) -> list[str | None]:
    return [
        kinds.strike(seed, 3, number, call, chosen or KINDS)[0]
        for number in range(2000)
        for call in CALLS
    ]


def test_a_seed_repeats_its_schedule_and_another_one_differs() -> None:
    def schedule(seed: int) -> list[tuple[float, str, float]]:
        found = kinds.events(seed, "daemon", 1000, 3, KINDS)
        return [(event.at, event.kind, event.dice.random()) for event in islice(found, 50)]

    assert strikes(7) == strikes(7) != strikes(8)
    assert schedule(7) == schedule(7) != schedule(8)
    assert kinds.clock(7, 1, 20, KINDS) == kinds.clock(7, 1, 23.9, KINDS)


def test_every_kind_of_answer_strikes_sooner_or_later() -> None:
    assert set(strikes(7)) == {None, *kinds.LINK, *kinds.POISON}
    assert set(FAULTS) == {*kinds.LINK, *kinds.POISON, *kinds.MALICE}
    assert set(kinds.WORST) <= set(FAULTS)


def test_only_the_kinds_and_groups_that_were_named_strike() -> None:
    assert kinds.chosen("daemon,hang,kill") == (*kinds.DAEMON, "hang")
    assert set(strikes(7, "hang", "kill")) == {None, "hang"}
    assert set(kinds.events(7, "database", 100, 1, ["kill"])) == set()
    with pytest.raises(ValueError, match="rain is no kind of fault: link,"):
        kinds.chosen("daemon,rain")


def test_only_a_storm_over_a_cluster_strikes_its_nodes(capsys: pytest.CaptureFixture[str]) -> None:
    assert weather_of([]).kinds == KINDS
    assert weather_of(["--citus"]).kinds == kinds.CLUSTER_KINDS
    struck = {event.kind for event in kinds.events(7, "cluster", 1000, 3, kinds.CLUSTER_KINDS)}
    assert struck == set(kinds.CLUSTER)
    for impossible in (["--kinds", "cluster"], ["--citus", "--kinds", "daemon,go-back"]):
        with pytest.raises(SystemExit):
            weather_of(impossible)
    told = capsys.readouterr().err
    assert "without --citus there is no commit-cut, move-shard" in told
    assert "with --citus there is no go-back" in told


def test_some_vehicles_are_prompt_some_late_and_some_in_episodes_by_the_seed() -> None:
    drawn = [kinds.lateness(7, vehicle, 1000.0, 180.0) for vehicle in range(200)]
    assert drawn == [kinds.lateness(7, vehicle, 1000.0, 180.0) for vehicle in range(200)]
    assert drawn != [kinds.lateness(8, vehicle, 1000.0, 180.0) for vehicle in range(200)]
    assert {each.most_s for each in drawn} == {0.0, *kinds.LATE_SEC}
    episodes = [each for each in drawn if each.since > -inf]
    assert all(1000 <= each.since < each.until for each in episodes)
    assert 40 < len(episodes) < 80 < 200 - drawn.count(PROMPT) < 160
    assert {each.until < inf for each in episodes} == {True, False}
    assert {each.least_s for each in drawn if each.most_s == 90.0} == {0.0, 90.0}


def test_there_are_sixty_answers_made_by_hand() -> None:
    assert len(poison.WHOLE) == len(set(poison.WHOLE.values())) == 60
