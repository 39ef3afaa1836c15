"""Rows that a vehicle commits late, met by its own cycles."""

import json
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from fleetsyncd.database import vehicle_memory
from fleetsyncd.database.pool import Database
from fleetsyncd.demo.faults import Faults
from fleetsyncd.demo.lateness import Lateness
from fleetsyncd.demo.readings import stamp_ms
from fleetsyncd.lateness import LONGEST_OVERLAP, SHORTEST_OVERLAP
from fleetsyncd.reports import Outcome
from tests.integration.rig import Ask, Reply, Rig, rig

SECOND = timedelta(seconds=1)


def scattered(most_sec: float) -> Faults:
    return Faults(lateness=Lateness(most_sec))


def overlap(it: Rig) -> timedelta:
    known = it.vehicle().lateness.overlap
    assert known is not None
    return known


def suspect_from(it: Rig) -> object:
    return it.run("SELECT suspect_from FROM fleetsync.vehicle_state")[0][0]


@pytest.mark.parametrize("late", [2, 8, 20, 90])
def test_of_a_vehicle_that_commits_all_rows_late_nothing_is_missing_from_the_first_cycle_on(
    database: Database, late: int
) -> None:
    with rig(database, faults=Faults(commit_delay_s=late)) as it:
        for _ in range(5):
            assert it.cycle(after=30).outcome is Outcome.OK
            assert it.compare(delay=late).clean
        known = it.vehicle().lateness.late
        assert known is not None
        assert late * SECOND - 2 * SECOND <= known <= late * SECOND
        assert overlap(it) >= min(2 * known, LONGEST_OVERLAP)
        told = [text for _status, _rows, text in it.journal() if text]
        assert "row(s) came up to" in told[0]
        assert suspect_from(it) is None, "it commits in order: nothing can be missing"


@pytest.mark.parametrize("before", [-1, 0, 1])
def test_a_second_pull_that_meets_a_single_row_suspects_none_before_the_first_pull(
    database: Database, before: int
) -> None:
    with rig(database, watermark_ago=None, faults=Faults(commit_delay_s=90)) as it:
        # The first pull begins some milliseconds before a row, which alone is there 30 s later.
        stamp = stamp_ms(it.simulated.seed, int(it.now.timestamp()) - 60)
        it.now = datetime.fromtimestamp((stamp - before) / 1000 + 60, UTC)
        first = it.cycle().interval
        assert first is not None
        it.start = first.start
        for _ in range(4):
            it.cycle(after=30)
            assert it.compare(delay=90).clean
        assert suspect_from(it) is None


def test_a_first_pull_that_finds_nothing_yet_loses_nothing(database: Database) -> None:
    with rig(database, watermark_ago=None, faults=Faults(commit_delay_s=90)) as it:
        first = it.cycle()
        assert (first.rows_written, first.interval is None) == (0, False)
        assert first.interval is not None
        it.start = first.interval.start
        for _ in range(6):
            it.cycle(after=30)
            assert it.compare(delay=90).clean
        assert suspect_from(it) is None


@pytest.mark.parametrize("most", [2, 8, 20, 90])
def test_the_overlap_follows_rows_that_come_each_at_its_own_time(
    database: Database, most: int
) -> None:
    with rig(database, faults=scattered(most)) as it:
        for _ in range(8):
            assert it.cycle(after=30).outcome is Outcome.OK
        assert overlap(it) >= min(1.5 * most * SECOND, LONGEST_OVERLAP)
        it.start = it.now
        for _ in range(6):
            it.cycle(after=30)
        assert it.compare(delay=most).clean


def test_rows_that_may_have_been_missed_are_told_to_an_audit(database: Database) -> None:
    with rig(database, watermark_ago=None, faults=scattered(8)) as it:
        begins = it.cycle().interval
        assert begins is not None
        assert suspect_from(it) is None
        it.cycle(after=30)
        assert suspect_from(it) == begins.start
        it.cycle(after=30)
        it.run("UPDATE fleetsync.vehicle_state SET suspect_from = NULL")
        for _ in range(4):
            it.cycle(after=30)
        assert suspect_from(it) is None, "the overlap is long enough now"


def test_late_rows_are_counted_and_remarked_once(database: Database) -> None:
    with rig(database) as it:
        it.cycle()
        it.simulated.faults = Faults(commit_delay_s=4)
        it.cycle(after=30)
        reports = [it.cycle(after=30) for _ in range(3)]
        assert [report.late_rows > 0 for report in reports] == [True, True, True]
        remarks = [report.error_msg for report in reports]
        assert "late: the overlap is" in str(remarks[0])
        assert remarks[1:] == [None, None]


def test_a_prompt_vehicle_sends_hardly_any_row_twice(database: Database) -> None:
    with rig(database) as it:
        sent = 0

        def count(_path: str, query: str, ask: Ask) -> Reply:
            nonlocal sent
            status, body = ask(query)
            if _path == "/data":  # a null is sent, and not to be stored
                sent += sum(row["value"] is not None for row in json.loads(body)["rows"])
            return status, body

        for _ in range(45):
            it.cycle(after=30)
        assert overlap(it) == SHORTEST_OVERLAP
        it.simulated.hook = count
        stored = sum(it.cycle(after=30).rows_written for _ in range(10))
        assert stored > 10 * 30 * 17
        assert sent - stored < 0.04 * sent
        assert it.compare().clean
        assert it.vehicle().lateness.late == timedelta(0)


def test_a_vehicle_that_measures_nothing_keeps_its_overlap(database: Database) -> None:
    with rig(database, faults=Faults(offline_before=4e9)) as it:
        for _ in range(5):
            it.cycle(after=30)
        assert overlap(it) == it.overlap


def test_rows_without_a_value_are_not_asked_for_again_and_again(database: Database) -> None:
    with rig(database) as it:

        def only_nulls(path: str, query: str, ask: Ask) -> Reply:
            it.asked.append((path, query))
            status, body = ask(query)
            if path == "/data":
                answer = json.loads(body)
                answer["rows"] = [row | {"value": None} for row in answer["rows"]]
                body = json.dumps(answer).encode()
            return status, body

        it.simulated.hook = only_nulls
        it.cycle()
        report = it.cycle(after=30)
        assert report.interval is not None
        assert report.interval.length == 30 * SECOND + it.overlap


def test_an_overlap_of_0_to_begin_with_is_possible_and_learns(database: Database) -> None:
    with rig(database, faults=Faults(commit_delay_s=8)) as it:
        it.overlap = timedelta(0)
        for _ in range(4):
            it.cycle(after=30)
        assert overlap(it) >= 14 * SECOND
        assert it.compare(delay=8).clean


def test_rows_that_others_removed_before_the_first_pull_are_not_late(database: Database) -> None:
    with rig(database) as it:
        report = it.cycle()
        assert (report.late_rows, report.lateness.late) == (0, None)


@pytest.mark.parametrize("interval", [5, 30])
@pytest.mark.parametrize("late", [20, 90])
def test_rows_of_an_episode_that_come_after_newer_ones_are_met(
    database: Database, late: int, interval: int
) -> None:
    with rig(database, watermark_ago=30) as it:
        for _ in range(45):
            it.cycle(after=30)
        assert overlap(it) == SHORTEST_OVERLAP
        begins, ends = (it.now + seconds * SECOND for seconds in (7, 67))
        episode = Lateness(late, late, since=begins.timestamp(), until=ends.timestamp())
        it.simulated.faults = Faults(lateness=episode)
        for _ in range(240 // interval):
            assert it.cycle(after=interval).outcome is Outcome.OK
        assert it.compare().clean


def test_what_is_live_ahead_of_a_gap_is_asked_for_again_as_well(database: Database) -> None:
    with rig(database, watermark_ago=3 * 3600, faults=Faults(commit_delay_s=20), channels=2) as it:
        it.live = 60 * SECOND
        it.cycle()
        assert it.vehicle().islands
        for _ in range(3):
            assert it.cycle(after=30).outcome is Outcome.OK
        assert overlap(it) >= 36 * SECOND
        assert suspect_from(it) is None
        while it.vehicle().islands:
            it.catch_up()
            it.now += SECOND
        it.cycle(after=30)
        assert it.compare(delay=20).clean


def test_lateness_that_others_find_only_grows_and_has_a_limit(database: Database) -> None:
    with rig(database) as it:
        it.cycle()
        known = []
        for seconds in (8, 3, 500):
            late = timedelta(seconds=seconds)
            it.database.run(
                partial(vehicle_memory.learn_lateness, vehicle_id=it.vehicle_id, late=late)
            )
            known += it.run("SELECT late_ms, overlap_ms FROM fleetsync.vehicle_state")
        assert known == [(8_000, 16_000), (8_000, 16_000), (120_000, 120_000)]


def test_what_others_find_during_a_cycle_is_not_forgotten_by_it(database: Database) -> None:
    with rig(database) as it:
        it.cycle()

        def learns(path: str, query: str, ask: Ask) -> Reply:
            learn = partial(vehicle_memory.learn_lateness, vehicle_id=it.vehicle_id)
            if path == "/data":
                it.database.run(lambda cursor: learn(cursor, late=8 * SECOND))
            return ask(query)

        it.simulated.hook = learns
        it.cycle(after=30)
        assert overlap(it) == 16 * SECOND
