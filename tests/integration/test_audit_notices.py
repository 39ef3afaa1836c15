"""All that audits and looks find is told once, whatever becomes of their counters."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from uuid import UUID

import pytest

from fleetsyncd.audit_results import AuditCounts
from fleetsyncd.conditions.model import Terms
from fleetsyncd.database import audits, conditions, pausing, verified
from fleetsyncd.database.audits import AuditUpdate
from fleetsyncd.database.pool import Database
from fleetsyncd.jobs import Look
from fleetsyncd.models import Window
from tests.integration.rig import Rig, rig
from tests.integration.test_audits import MINUTE, begin_to_look, lose, request

TERMS = Terms(timedelta(minutes=10))


@pytest.fixture
def pulled(database: Database) -> Iterator[Rig]:
    with rig(database, watermark_ago=10 * MINUTE, channels=3) as it:
        it.cycle()
        told(it)
        yield it


def told(it: Rig) -> list[str]:
    """Return what is told of audits now."""
    judge = partial(conditions.judge_fleet, terms=TERMS, view=conditions.View(30))
    found = it.database.run(judge)
    assert found is not None
    return [each.title for each in found.notices if each.kind == "audit"]


def find(it: Rig, since: float, until: float) -> int:
    """Let an audit find rows missing; return how many."""
    lost = lose(it, since, until)
    assert lost
    request(it)
    it.audit()
    return lost


def said(rows: int) -> list[str]:
    return [f"Truck-01: {rows:,} rows were missing, or differ from what is stored"]


def test_a_later_audit_that_finds_less_is_told_too(pulled: Rig) -> None:
    first = find(pulled, 300, 200)
    assert told(pulled) == said(first)
    assert told(pulled) == []
    second = find(pulled, 300, 280)
    assert second < first
    assert told(pulled) == said(second)


def test_what_several_audits_found_since_the_last_judgement_is_told_together(pulled: Rig) -> None:
    rows = find(pulled, 300, 200) + find(pulled, 300, 280)
    assert told(pulled) == said(rows)


def test_what_a_look_finds_is_told(pulled: Rig) -> None:
    begin_to_look(pulled, 60)
    lose(pulled, 300, 60)
    report = pulled.look(60)
    assert report is not None
    assert report.audit is not None
    assert report.audit.counts.missing
    assert told(pulled) == said(report.audit.counts.missing)


def test_what_was_told_is_not_told_again_after_a_pause(pulled: Rig) -> None:
    first = find(pulled, 300, 280)
    assert told(pulled) == said(first)
    for paused in (True, False):
        pulled.database.run(
            partial(pausing.set_paused, vehicle_id=pulled.vehicle_id, paused=paused)
        )
        assert told(pulled) == []


def test_what_was_found_under_a_mute_is_told_at_its_end(pulled: Rig) -> None:
    pulled.run("INSERT INTO fleetsync.mute (muted_by) VALUES ('me')")
    rows = find(pulled, 300, 280)
    assert told(pulled) == []
    rows += find(pulled, 300, 290)
    assert told(pulled) == []
    pulled.run("DELETE FROM fleetsync.mute")
    assert told(pulled) == said(rows)


def test_a_commit_whose_answer_was_lost_counts_once(pulled: Rig) -> None:
    window = request(pulled)
    (audit,) = pulled.database.run(lambda c: audits.open_audits(c, [], 9)).values()
    update = AuditUpdate(window.end, AuditCounts(checked=9, missing=4, different=1))
    for _ in range(2):
        pulled.database.run(lambda c: audits.advance_audit(c, pulled.vehicle(), audit, update))
    assert told(pulled) == said(5)


def test_of_a_vehicle_that_was_removed_nothing_is_told(pulled: Rig) -> None:
    pulled.run(
        "INSERT INTO fleetsync.condition (kind, subject, vehicle_id, since, amount)"
        " VALUES ('found', 'x', %s::uuid, now(), 9)",
        str(UUID(int=9)),
    )
    assert told(pulled) == []
    assert pulled.run("SELECT FROM fleetsync.condition WHERE kind = 'found'") == []


def test_a_look_whose_commit_s_answer_was_lost_counts_once(pulled: Rig) -> None:
    begin_to_look(pulled, 60)
    vehicle, reached = pulled.vehicle(), pulled.now - timedelta(seconds=60)
    look = Look(Window(reached - timedelta(seconds=10), reached), 60, 60, reached, None)
    for _ in range(2):
        pulled.database.run(
            lambda c: verified.record_look(
                c,
                vehicle,
                look,
                reached,
                AuditCounts(checked=9, missing=4),
                verified_to=look.window.start,
                hint=None,
            )
        )
    assert told(pulled) == said(4)
