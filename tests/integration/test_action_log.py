from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from uuid import UUID, uuid4

import pytest

from fleetsyncd.actions import Action, Actor, daemon_actor, present_actor
from fleetsyncd.database import action_log, bulk, removal, vehicle_changes, vehicles
from fleetsyncd.database.action_log import Change
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.vehicle_changes import VehicleChange
from fleetsyncd.database.views.actions import LoggedAction, find_logged, read_actions
from fleetsyncd.errors import CommandError

OLGA = Actor("olga", "192.0.2.7")


def add(database: Database, name: str, key: str | None = None, port: int = 8001) -> UUID:
    return database.run(lambda c: vehicles.add_vehicle(c, name, "10.8.0.1", port, key))


def logged(database: Database) -> list[LoggedAction]:
    return database.run(read_actions)


def change(database: Database, truck: UUID, new: VehicleChange, action: Action) -> None:
    def work(cursor: Cursor) -> None:
        with action_log.recorded(cursor, action, [truck]):
            vehicle_changes.change_vehicle(cursor, truck, new)

    database.run(work)


def test_an_action_is_logged_with_who_what_and_what_has_changed(database: Database) -> None:
    truck = add(database, "Truck-01")
    new = VehicleChange(host="10.8.0.9", add_tags=("mine-3",))
    change(database, truck, new, Action("vehicle set Truck-01 --address 10.8.0.9", OLGA))
    (entry,) = logged(database)
    assert (entry.login, entry.address, entry.role) == ("olga", "192.0.2.7", "fleet_app")
    assert (entry.action, entry.vehicle) == ("vehicle set Truck-01 --address 10.8.0.9", "Truck-01")
    assert entry.before == {"address": "10.8.0.1", "tags": []}
    assert entry.after == {"address": "10.8.0.9", "tags": ["mine-3"]}
    assert entry.change == "tags - → mine-3, address 10.8.0.1 → 10.8.0.9"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (None, "key-4711", "key default → own"),
        ("key-4711", "key-4712", "key own → another of its own"),
    ],
)
def test_a_changed_key_is_logged_without_the_key(
    database: Database, old: str | None, new: str, expected: str
) -> None:
    truck = add(database, "Truck-01", old)
    change(database, truck, VehicleChange(key=new), Action("vehicle set Truck-01", OLGA))
    assert [entry.change for entry in logged(database)] == [expected]

    def text(cursor: Cursor) -> str:
        cursor.execute("SELECT string_agg(l::text, '') FROM fleetsync.action_log l")
        return str(cursor.fetchall()[0][0])

    assert "key-47" not in database.run(text)


def test_what_changes_nothing_leaves_no_row(database: Database) -> None:
    truck = add(database, "Truck-01", "key-4711")
    same = VehicleChange(name="Truck-01", key="key-4711", remove_tags=("mine-3",))
    change(database, truck, same, Action("vehicle set Truck-01", OLGA))
    assert logged(database) == []


def test_what_fails_leaves_no_row(database: Database) -> None:
    truck = add(database, "Truck-01")
    add(database, "Truck-02", port=8002)
    with pytest.raises(CommandError):
        change(database, truck, VehicleChange(port=8002), Action("vehicle set", OLGA))
    assert logged(database) == []


def test_a_repeated_transaction_is_logged_once(database: Database) -> None:
    truck = add(database, "Truck-01")
    action = Action("vehicle pause Truck-01", OLGA)
    for paused in (True, False):
        bulk.set_paused(database, {truck: "Truck-01"}, paused, action)
    assert [entry.change for entry in logged(database)] == ["paused no → yes"]


def test_a_row_for_each_changed_vehicle_and_none_for_the_others(database: Database) -> None:
    fleet = {add(database, f"Truck-{n}", port=n): f"Truck-{n}" for n in (1, 2, 3)}
    first = next(iter(fleet))
    bulk.set_paused(database, {first: "Truck-1"}, True)
    bulk.set_paused(database, fleet, True, Action("dashboard: pause", OLGA))
    assert {entry.vehicle for entry in logged(database)} == {"Truck-2", "Truck-3"}


def test_a_removed_vehicle_keeps_its_rows_and_is_found_by_its_name(database: Database) -> None:
    truck, other = add(database, "Truck-01"), add(database, "Truck-02", port=8002)
    seen = database.run(lambda c: vehicles.read_registered(c, [truck]))
    action = Action("vehicle remove Truck-01", OLGA)
    removal.remove_seen(database, seen, with_measurements=False, action=action)
    names: Mapping[UUID, str] = {other: "Truck-02"}
    bulk.request_sync(database, names, Action("vehicle sync Truck-02", OLGA))
    (key,) = database.run(lambda c: find_logged(c, ["Truck-01"]))
    assert key == truck
    (entry,) = database.run(lambda c: read_actions(c, vehicles=[truck]))
    assert (entry.vehicle, entry.after) == ("Truck-01", None)
    assert entry.change.startswith("key was default, name was Truck-01, ")
    with pytest.raises(CommandError, match="no vehicle is or was called Truck-03"):
        database.run(lambda c: find_logged(c, ["Truck-03"]))


def test_pages_follow_each_other_without_a_gap(database: Database) -> None:
    for number in range(7):
        action = Action(f"action {number}", OLGA)
        database.run(partial(action_log.record, action=action, changes=[Change(None)]))
    shown: list[str] = []
    last: LoggedAction | None = None
    while page := database.run(partial(read_actions, before=last, limit=3)):
        shown += [entry.action for entry in page]
        last = page[-1]
    assert shown == [f"action {number}" for number in reversed(range(7))]


def test_a_length_of_time_and_a_part_of_a_name_choose_actions(database: Database) -> None:
    truck = add(database, "Truck-01")
    bulk.request_sync(database, {truck: "Truck-01"}, Action("vehicle sync", OLGA))
    assert len(database.run(lambda c: read_actions(c, since=timedelta(hours=1)))) == 1
    assert len(database.run(lambda c: read_actions(c, name_part="TRUCK"))) == 1
    assert database.run(lambda c: read_actions(c, name_part="dozer")) == []
    assert database.run(lambda c: read_actions(c, vehicles=[uuid4()])) == []


def test_hostile_text_is_stored_and_shown_harmless(database: Database) -> None:
    action = Action("vehicle pause \x1b[2J\0", Actor("ol\x07ga"))
    database.run(lambda c: action_log.record(c, action, [Change(None, {"x\x1b": "\x1b]52"})]))
    (entry,) = logged(database)
    assert all(text.isprintable() for text in (entry.action, entry.login, entry.change))


def test_who_acts_is_who_called_sudo_with_the_address_of_the_ssh_connection() -> None:
    environment = {"SUDO_USER": "olga", "SSH_CONNECTION": "2001:db8::7 50022 10.0.0.1 22"}
    assert present_actor(environment) == Actor("olga", "2001:db8::7")
    assert present_actor({"SUDO_USER": "olga", "SSH_CONNECTION": "nowhere"}) == Actor("olga")
    assert present_actor({}).login
    assert daemon_actor().login.startswith("daemon on ")
