"""Answers that no vehicle should give: whatever came, the next cycle makes it good."""

import json
from datetime import timedelta
from http import HTTPStatus
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleetsyncd.database.pool import Database
from fleetsyncd.reports import Outcome
from tests.chaos.poison import ENTRIES, WHOLE, mixed
from tests.integration.rig import Ask, Hook, Reply, Rig, rig

CALLS = ("/status", "/channels", "/data", "/alarms")
FATAL = {"/status", "/data"}
"""Calls without which a cycle cannot be `ok`."""


def answering(call: str, body: bytes) -> Hook:
    return lambda path, query, ask: (HTTPStatus.OK, body) if path == call else ask(query)


def mixing(call: str, entries: list[str]) -> Hook:
    def hook(path: str, query: str, ask: Ask) -> Reply:
        code, honest = ask(query)
        return code, mixed(call, honest, entries) if path == call else honest

    return hook


def recovers(it: Rig) -> None:
    """See one good cycle."""
    it.simulated.hook = None
    report = it.cycle(after=10)
    assert report.outcome is Outcome.OK
    assert not report.notes


def lacks_nothing(it: Rig) -> None:
    """See one good cycle, and everything stored that the vehicle measured."""
    recovers(it)
    comparison = it.compare()
    assert comparison.clean, comparison.examples


@pytest.mark.parametrize("call", CALLS)
def test_after_any_answer_made_by_hand_the_next_cycle_works(database: Database, call: str) -> None:
    with rig(database, watermark_ago=60, channels=3) as it:
        for name, body in WHOLE.items():
            it.simulated.hook = answering(call, body)
            report = it.cycle(after=10)
            assert (report.outcome is Outcome.OK) is (call not in FATAL), name
            assert f"{call}: " in str(report.error_msg), name
            assert str(report.error_msg).isprintable(), name
            recovers(it)
        lacks_nothing(it)
        assert it.run("SELECT count(*) FROM fleetsync.quarantine") == [(0,)]


@pytest.mark.parametrize("call", ENTRIES)
def test_every_bad_entry_is_quarantined_with_a_reason_and_its_neighbours_are_stored(
    database: Database, call: str
) -> None:
    with rig(database, watermark_ago=600, channels=3) as it:
        it.simulated.hook = mixing(call, ENTRIES[call])
        report = it.cycle()
        assert (report.outcome, report.bad_rows) == (Outcome.OK, len(ENTRIES[call]))
        kept = it.run("SELECT call, raw, reason FROM fleetsync.quarantine")
        assert len(kept) == len(set(ENTRIES[call]))
        assert all(where == call and raw and reason for where, raw, reason in kept)
        comparison = it.compare()
        assert comparison.clean, comparison.examples
        assert comparison.checked > 0
        lacks_nothing(it)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
no_rows = anything.filter(lambda value: not isinstance(value, dict) or "time" not in value)


@pytest.mark.parametrize("call", ENTRIES)
def test_whatever_is_mixed_into_an_answer_is_quarantined_and_the_rest_stored(
    database: Database, call: str
) -> None:
    with rig(database, watermark_ago=60, channels=2) as it:
        # One rig for all examples: each is one more cycle of the same vehicle.
        numbers = count()

        @settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
        @given(st.lists(no_rows, min_size=1, max_size=4))
        def cycle(values: list[object]) -> None:
            # An answer like the last one is not even read: a number tells them apart.
            values.append(next(numbers))
            it.simulated.hook = mixing(call, [json.dumps(value) for value in values])
            report = it.cycle(after=2)
            assert (report.outcome, report.bad_rows) == (Outcome.OK, len(values))

        cycle()
        lacks_nothing(it)


@pytest.mark.parametrize("call", CALLS)
def test_after_any_bytes_at_all_the_next_cycle_works(database: Database, call: str) -> None:
    with rig(database, watermark_ago=60, channels=2) as it:

        @settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
        @given(st.binary())
        def cycle(body: bytes) -> None:
            it.simulated.hook = answering(call, b"\xff" + body)
            report = it.cycle(after=2)
            assert (report.outcome is Outcome.OK) is (call not in FATAL)

        cycle()
        lacks_nothing(it)


def test_a_vehicle_that_is_never_honest_fills_its_own_quarantine_and_no_more(
    database: Database,
) -> None:
    with rig(database, watermark_ago=60, channels=1) as it:
        for turn in range(3):
            entries = [f'{{"channel_id":"{turn}","value":{n}}}' for n in range(4_900)]
            it.simulated.hook = mixing("/data", entries)
            assert it.cycle(after=2).outcome is Outcome.OK
        assert it.run("SELECT count(*) FROM fleetsync.quarantine") == [(10_000,)]
        assert "the quarantine is full" in it.journal()[-1][2]
        it.now += timedelta(seconds=1)
        lacks_nothing(it)
