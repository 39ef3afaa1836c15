from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import pytest

from fleetsyncd.actions import Action, Actor
from fleetsyncd.database import (
    backfills,
    bulk,
    bulk_mutes,
    loading,
    mutes,
    pausing,
    store,
    sync_requests,
    vehicles,
)
from fleetsyncd.database.mutes import FLEET, Scope
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.vehicle_tags import change_tags
from fleetsyncd.database.views.actions import read_actions
from fleetsyncd.database.views.lateness import overview_with_reasons
from fleetsyncd.errors import CommandError
from fleetsyncd.models import Window
from fleetsyncd.states import Mute, Pause, State, VehicleOverview
from fleetsyncd.sync.requests import RequestReader
from fleetsyncd.times import utc_now

ACTION = partial(Action, "vehicle mute", Actor("olga"))
HOUR = timedelta(hours=1)


def soon() -> datetime:
    return utc_now() + HOUR


@pytest.fixture
def truck(database: Database) -> UUID:
    return database.run(lambda c: vehicles.add_vehicle(c, "Truck-01", "10.8.0.1", 8001, None))


def shown(database: Database, name: str = "Truck-01") -> VehicleOverview:
    (known,) = [v for v in database.run(lambda c: overview_with_reasons(c, 30)) if v.name == name]
    return known


def pause(database: Database, key: UUID, until: datetime | None) -> None:
    why = Pause(until, "workshop", "olga")
    database.run(lambda c: pausing.set_paused(c, key, True, why))


def pass_time(database: Database) -> None:
    """Let the pauses and mutes that have an end be over."""

    def work(cursor: Cursor) -> None:
        cursor.execute("UPDATE fleetsync.vehicle_state SET paused_until = now() - interval '1 s'")
        cursor.execute("UPDATE fleetsync.mute SET until = now() - interval '1 s'")

    database.run(work)


def test_a_pause_says_until_when_why_and_by_whom(database: Database, truck: UUID) -> None:
    until = datetime(2126, 1, 1, tzinfo=UTC)
    pause(database, truck, until)
    known = shown(database)
    assert (known.state, known.pause) == (State.PAUSED, Pause(until, "workshop", "olga"))
    assert known.remark == "paused until 2126-01-01 00:00:00 UTC by olga: workshop"
    pause(database, truck, None)
    assert shown(database).remark == "paused by olga: workshop"
    database.run(lambda c: pausing.set_paused(c, truck, False))
    assert (shown(database).pause, shown(database).remark) == (None, "")


def test_a_pause_whose_time_is_over_counts_in_no_statement_although_no_daemon_runs(
    database: Database, truck: UUID
) -> None:
    pause(database, truck, soon())
    window = Window(utc_now() - HOUR, utc_now())
    database.run(lambda c: backfills.request_backfill(c, truck, window))

    def seen(cursor: Cursor) -> tuple[object, ...]:
        (loaded,) = loading.load_vehicles(cursor)
        return (
            loaded.paused,
            bool(store.paused_vehicles(cursor)),
            not backfills.open_backfills(cursor, [], 10),
            overview_with_reasons(cursor, 30)[0].state is State.PAUSED,
        )

    assert database.run(seen) == (True, True, True, True)
    with pytest.raises(CommandError, match="is paused"):
        database.run(lambda c: sync_requests.request_sync(c, truck))
    pass_time(database)
    assert database.run(seen) == (False, False, False, False)
    assert shown(database).maintenance == ""
    database.run(lambda c: sync_requests.request_sync(c, truck))
    assert database.run(lambda c: sync_requests.take_sync_requests(c, [])) == {truck}


def test_the_age_of_a_state_begins_with_the_end_of_the_pause(
    database: Database, truck: UUID
) -> None:
    pause(database, truck, soon())

    def work(cursor: Cursor) -> None:
        cursor.execute(
            "UPDATE fleetsync.vehicle_state SET paused_until = now() - interval '100 s',"
            " status_since = now() - interval '1 day', dated_status = 'ok'"
        )
        cursor.execute(
            "UPDATE vehicles SET sync_status = 'ok', last_seen_at = now(), last_sync_at = now()"
        )

    database.run(work)
    before = shown(database)
    database.run(lambda c: pausing.end_pauses(c, None))
    for known in (before, shown(database)):
        assert known.state is State.ONLINE
        assert known.state_age == pytest.approx(100, abs=10)


def test_the_daemon_ends_pauses_and_mutes_once_and_logs_it(database: Database, truck: UUID) -> None:
    pause(database, truck, soon())
    why = Pause(soon(), "workshop")
    database.run(lambda c: mutes.set_mutes(c, [(Scope(truck), why), (FLEET, why)], ACTION()))
    database.run(lambda c: c.execute("DELETE FROM fleetsync.action_log"))
    reader = RequestReader(database)
    assert reader.read([], None).paused == {truck}
    pass_time(database)
    for _ in range(2):
        assert reader.read([], None).paused == set()
    logged = database.run(read_actions)
    assert all(entry.login.startswith("daemon on ") for entry in logged)
    assert sorted((entry.vehicle or "", entry.action) for entry in logged) == [
        ("", "vehicle unmute: the time of its mute is over"),
        ("Truck-01", "vehicle resume: the time of its pause is over"),
        ("Truck-01", "vehicle unmute: the time of its mute is over"),
    ]

    def rows(cursor: Cursor) -> list[tuple[object, ...]]:
        cursor.execute(
            "SELECT paused, paused_at, paused_until, pause_reason, paused_by,"
            " (SELECT count(*) FROM fleetsync.mute) FROM fleetsync.vehicle_state"
        )
        return cursor.fetchall()

    assert database.run(rows) == [(False, None, None, None, None, 0)]


def test_vehicles_are_muted_alone_by_a_tag_and_with_the_fleet(
    database: Database, truck: UUID
) -> None:
    other = database.run(lambda c: vehicles.add_vehicle(c, "Truck-02", "10.8.0.2", 8001, None))
    database.run(lambda c: change_tags(c, other, ["mine-3"], []))

    def muted(now: datetime | None = None) -> dict[UUID, tuple[str, str | None]]:
        found = database.run(lambda c: mutes.muted(c, [truck, other], now))
        return {key: (each.scope, each.reason) for key, each in found.items()}

    def mute(scope: Scope, why: Pause) -> None:
        database.run(lambda c: mutes.set_mutes(c, [(scope, why)], ACTION()))

    assert muted() == {}
    mute(Scope(tag="mine-3"), Pause(soon(), "site closed"))
    assert muted() == {other: ("tag mine-3", "site closed")}
    mute(Scope(truck), Pause(soon(), "workshop"))
    assert muted() == {truck: ("vehicle", "workshop"), other: ("tag mine-3", "site closed")}
    mute(FLEET, Pause(None, "holidays"))
    assert set(muted().values()) == {("fleet", "holidays")}
    database.run(lambda c: mutes.clear_mutes(c, [FLEET], ACTION()))
    assert muted(utc_now() + 2 * HOUR) == {}
    known = shown(database).mute
    assert known is not None
    assert known == Mute(known.until, "workshop", "olga", "vehicle", known.since)
    assert shown(database).remark.startswith("muted until ")
    assert "with tag mine-3" in shown(database, "Truck-02").remark
    assert shown(database).state is not State.PAUSED
    pass_time(database)
    assert muted() == {}


def test_a_new_mute_of_the_same_replaces_the_one_before_and_goes_with_its_vehicle(
    database: Database, truck: UUID
) -> None:
    for reason in ("workshop", "tyres"):
        wanted = [(Scope(truck), Pause(None, reason))]
        database.run(partial(mutes.set_mutes, wanted=wanted, action=ACTION()))
    assert shown(database).remark == "muted by olga: tyres"
    changes = [entry.change for entry in database.run(read_actions)]
    assert changes[0] == "muted until it is ended: workshop → until it is ended: tyres"
    database.run(lambda c: c.execute("DELETE FROM vehicles"))
    assert database.run(lambda c: mutes.muted(c, [truck])) == {}


def test_the_undo_of_a_resume_gives_the_pause_back_with_its_end_and_reason(
    database: Database, truck: UUID
) -> None:
    until = soon()
    pause(database, truck, until)
    names = {truck: "Truck-01"}
    done = bulk.set_paused(database, names, False)
    at = {truck: done.at_of(truck)}
    bulk.undo_paused(database, names, False, at, None, done.before)
    assert shown(database).pause == Pause(until, "workshop", "olga")


def test_a_new_pause_replaces_end_and_reason_and_its_undo_gives_them_back(
    database: Database, truck: UUID
) -> None:
    until, later = soon(), soon() + timedelta(hours=8)
    pause(database, truck, until)
    older = "UPDATE fleetsync.vehicle_state SET paused_at = paused_at - interval '1 h'"
    database.run(lambda c: c.execute(older))
    dozer = database.run(lambda c: vehicles.add_vehicle(c, "Dozer-03", "10.8.0.3", 8001, None))
    names = {truck: "Truck-01", dozer: "Dozer-03"}
    new = Pause(later, "tyres", "peter")
    action = Action("pause", Actor("peter", None))
    done = bulk.set_paused(database, names, True, action, new, replaces=True)
    assert done.changed == {truck, dozer}
    assert done.before == {truck: Pause(until, "workshop", "olga")}
    assert (shown(database).pause, shown(database, "Dozer-03").pause) == (new, new)
    assert (shown(database).state_age or 0) >= 3600, "it is paused since then"
    assert any("workshop →" in entry.change for entry in database.run(read_actions))
    at = {key: done.at_of(key) for key in names}
    undone = bulk.undo_paused(database, names, True, at, None, done.before)
    assert undone.changed == {truck, dozer}
    assert shown(database).pause == Pause(until, "workshop", "olga")
    assert shown(database, "Dozer-03").state is not State.PAUSED


@pytest.mark.parametrize("paused", [True, False])
def test_what_was_before_is_known_though_the_answer_to_the_commit_was_lost(
    database: Database, truck: UUID, monkeypatch: pytest.MonkeyPatch, paused: bool
) -> None:
    pause(database, truck, until := soon())
    run = database.run
    monkeypatch.setattr(database, "run", lambda work: (run(work), run(work))[1])
    new = Pause(None, "tyres", "peter")
    done = bulk.set_paused(database, {truck: "Truck-01"}, paused, None, new, replaces=True)
    assert done.changed == {truck}
    assert done.before == {truck: Pause(until, "workshop", "olga")}


def test_who_is_paused_is_left_so_where_no_end_and_no_reason_is_given(
    database: Database, truck: UUID
) -> None:
    until = soon()
    pause(database, truck, until)
    assert bulk.set_paused(database, {truck: "Truck-01"}, True).changed == set()
    assert shown(database).pause == Pause(until, "workshop", "olga")


def test_the_undo_of_a_mute_gives_the_one_before_back_unless_somebody_has_changed_it(
    database: Database, truck: UUID
) -> None:
    names, first = {truck: "Truck-01"}, Pause(None, "workshop", "peter")
    bulk_mutes.set_muted(database, names, first, ACTION())
    done = bulk_mutes.set_muted(database, names, Pause(None, "tyres"), ACTION())
    at = {truck: done.at}
    result = bulk_mutes.undo_muted(database, names, True, at, done.before, ACTION())
    assert (set(result.changed), shown(database).remark) == ({truck}, "muted by peter: workshop")
    again = bulk_mutes.undo_muted(database, names, True, at, done.before, ACTION())
    assert (set(again.changed), shown(database).remark) == (set(), "muted by peter: workshop")
    ended = bulk_mutes.set_muted(database, names, None, ACTION())
    assert (set(ended.changed), shown(database).mute) == ({truck}, None)
    bulk_mutes.undo_muted(database, names, False, {truck: ended.at}, ended.before, ACTION())
    assert shown(database).remark == "muted by peter: workshop"


def test_a_mute_of_a_removed_vehicle_mutes_none(database: Database, truck: UUID) -> None:
    names = {truck: "Truck-01", UUID(int=7): "Truck-07"}
    with pytest.raises(CommandError, match="Truck-07: removed meanwhile, nothing was done"):
        bulk_mutes.set_muted(database, names, Pause(None), ACTION())
    assert shown(database).mute is None
