"""Forms: each complaint stays until what it is about is mended; numbers agree with their nouns."""

import threading
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from fleetsyncd.database.pool import Database
from fleetsyncd.demo.embedded import Server
from tests.tui.driving import Driver, add, alarm, attempts, channel, drive, execute, small_fleet
from tests.tui.terminal import locked, terminal
from tests.tui.test_operations import dialog, error_text, fill_in, stored
from tui.gateway import Gateway

NO_ADDRESS = "10.8.0.300 is not an IPv4 or IPv6 address"
NO_PORT = "a port is a number from 1 to 65535"


def test_mending_one_field_leaves_what_is_wrong_with_the_others(database: Database) -> None:
    async def look(it: Driver) -> None:
        await it.press("a")
        await it.sees("Add a vehicle")
        await fill_in(it, name="Truck-09", host="10.8.0.300", port="0")
        assert error_text(it).splitlines()[0].startswith(NO_ADDRESS)
        assert NO_PORT in error_text(it)
        await fill_in(it, name="Truck-10")
        assert (NO_ADDRESS in error_text(it), NO_PORT in error_text(it)) == (True, True)
        await fill_in(it, port="8001")
        assert (NO_ADDRESS in error_text(it), NO_PORT in error_text(it)) == (True, False)
        await fill_in(it, host="10.8.0.3")
        assert error_text(it) == ""

    drive(database, look)


def test_all_that_is_wrong_is_told_at_once_when_a_form_is_sent(database: Database) -> None:
    async def look(it: Driver) -> None:
        await it.press("a")
        await it.sees("Add a vehicle")
        await fill_in(it, port="")
        await it.press("enter")
        for complaint in ("a name has", "is not an IPv4 or IPv6 address", NO_PORT):
            assert complaint in error_text(it)
        assert it.app.focused is not None
        assert it.app.focused.id == "name"

    drive(database, look)


def test_a_refused_save_stays_told_until_the_next_one(database: Database) -> None:
    add(database, "Truck-01", "10.8.0.1")

    async def look(it: Driver) -> None:
        await it.press("a")
        await it.sees("Add a vehicle")
        await fill_in(it, name="Truck-01", host="10.8.0.2")
        await it.press("enter")
        refusal = "not saved: a vehicle called Truck-01 is registered already"
        await it.until(lambda: refusal in error_text(it))
        await fill_in(it, port="8005")
        assert refusal in error_text(it)
        await fill_in(it, port="0", name="Truck-02")
        assert (refusal in error_text(it), NO_PORT in error_text(it)) == (True, True)
        await it.press("enter")
        assert (refusal in error_text(it), NO_PORT in error_text(it)) == (False, True)
        await fill_in(it, port="8005")
        await it.press("enter")
        await it.notified("Truck-02: added")

    drive(database, look)
    assert stored(database, "name") == [("Truck-01",), ("Truck-02",)]


def test_two_keys_at_once_are_told_until_one_of_them_is_gone(database: Database) -> None:
    add(database, "Truck-01", "10.8.0.1")

    async def look(it: Driver) -> None:
        await it.press("e")
        await it.sees("Edit Truck-01")
        await fill_in(it, key="new")
        it.app.screen.query_one("#drop-key").focus()
        await it.press("space")
        await it.until(lambda: "exclude each other" in error_text(it))
        await fill_in(it, port="0")
        assert "exclude each other" in error_text(it)
        await it.press("space")
        await it.until(lambda: "exclude each other" not in error_text(it))
        assert NO_PORT in error_text(it)

    drive(database, look)


def test_a_wrong_phrase_is_told_until_another_one_is_typed(database: Database) -> None:
    add(database, "Truck-01", "10.8.0.1")

    async def look(it: Driver) -> None:
        await it.press("ctrl+d")
        await it.sees("Delete Truck-01")
        await it.type("#phrase", "Truck-2")
        await it.press("enter")
        assert "that is not Truck-01" in error_text(it)
        await it.type("#phrase", "Truck-0")
        assert error_text(it) == ""
        assert dialog(it) == "DeleteForm"

    drive(database, look)


@pytest.mark.parametrize("name", ["", "  "])
def test_a_vehicle_with_a_blank_name_is_called_by_its_id_and_needs_it_to_be_deleted(
    database: Database, name: str
) -> None:
    truck = str(add(database, "Truck-01", "10.8.0.1"))
    execute(database, "UPDATE vehicles SET name = %s", name)

    async def look(it: Driver) -> None:
        await it.press("ctrl+d")
        await it.sees(f"Delete {truck}")
        await it.press("enter")
        assert f"that is not {truck}" in error_text(it)
        assert execute(database, "SELECT name FROM vehicles") == [(name,)]
        await it.type("#phrase", truck)
        await it.press("enter")
        await it.notified(f"{truck}: removed")
        assert execute(database, "SELECT name FROM vehicles") == []

    drive(database, look)


def test_a_name_with_blanks_around_it_can_be_confirmed(database: Database) -> None:
    add(database, "Truck-01", "10.8.0.1")
    execute(database, "UPDATE vehicles SET name = ' Truck-01 '")

    async def look(it: Driver) -> None:
        await it.press("ctrl+d")
        await it.sees("Type  Truck-01  to confirm")
        await it.type("#phrase", "Truck-01")
        await it.press("enter")
        await it.notified("removed")
        assert execute(database, "SELECT name FROM vehicles") == []

    drive(database, look)


def test_a_deletion_of_several_names_those_with_a_blank_name_by_their_ids(
    database: Database,
) -> None:
    ids = small_fleet(database)
    execute(database, "UPDATE vehicles SET name = '' WHERE name = 'Truck-01'")

    async def look(it: Driver) -> None:
        await it.press("asterisk", "ctrl+d")
        await it.sees("delete 4 vehicles", str(ids["Truck-01"]))

    drive(database, look, size=(160, 40))


def test_a_single_row_of_each_kind_is_counted_in_the_singular(database: Database) -> None:
    truck = add(database, "Truck-01", "10.8.0.1")
    attempts(database, truck, 1)
    alarm(database, truck, 1, "oil pressure", "1 h", None)
    channel(database, truck, 1, "speed")
    execute(database, "DELETE FROM measurements WHERE time < (SELECT max(time) FROM measurements)")

    async def look(it: Driver) -> None:
        await it.press("ctrl+d")
        await it.sees("Deletes: 1 journal entry, 1 alarm, 1 channel ", "Keeps: 1 measurement ")

    drive(database, look)


@pytest.mark.parametrize(
    ("key", "field", "meaning"),
    [("P", "#for", "until "), ("b", "#from", "24h"), ("x", "#from", "24h")],
)
def test_a_wrong_field_takes_away_what_the_text_before_meant(
    database: Database, key: str, field: str, meaning: str
) -> None:
    small_fleet(database)

    def meant(it: Driver) -> str:
        return str(it.app.screen.query_one("#meaning" if key == "P" else "#estimate").render())

    async def look(it: Driver) -> None:
        await it.press(key)
        await it.until(lambda: it.dialog() != "FleetPage")
        await it.type(field, "24h")
        await it.until(lambda: meaning in meant(it))
        await it.type(field, "soon")
        await it.until(lambda: not meant(it).strip())
        await it.type(field, "24h")
        await it.until(lambda: meaning in meant(it))

    drive(database, look)


def test_enter_twice_saves_once_and_complains_of_nothing(
    server: Server, database: Database, database_name: str, tmp_path: Path
) -> None:
    small_fleet(database)
    with terminal(server, database_name, tmp_path) as it:
        it.sees("Truck-01")
        it.type("aPump-9\t10.8.0.9")
        it.read_for(1)
        with locked(server, database_name, "public.vehicles"):
            it.type("\r")
            it.sees("saving")
            it.type("\r")
            it.read_for(0.5)
        it.sees("the daemon pulls it")
        assert b"not saved" not in it.shown
        it.type("\x11")
        assert it.ended() == 0
    assert stored(database, "name").count(("Pump-9",)) == 1


@pytest.mark.parametrize("moved", [False, True], ids=["waiting", "moved on"])
def test_a_vehicle_that_is_saved_after_the_form_was_closed_is_told_and_under_the_cursor(
    database: Database, moved: bool
) -> None:
    small_fleet(database)
    gateway, may_save = Gateway(database, 30), threading.Event()
    real = gateway.add

    def add_slowly(*arguments: Any) -> UUID:
        may_save.wait(60)
        return real(*arguments)

    gateway.add = add_slowly  # type: ignore[method-assign,assignment]  # of this gateway only

    async def look(it: Driver) -> None:
        await it.press("a")
        await it.sees("Add a vehicle")
        await it.type("#name", "Pump-9")
        await it.type("#host", "10.8.0.9")
        await it.press("enter")
        await it.sees("saving")
        await it.press("escape")
        assert it.dialog() == "FleetPage"
        if moved:
            await it.press("down")
        may_save.set()
        await it.notified("Pump-9: added")
        await it.sees("5 veh")
        cursor = it.state.view.cursor
        assert cursor is not None
        vehicle = it.state.view.get(cursor)
        assert vehicle is not None
        assert vehicle.name == ("Dozer-03" if moved else "Pump-9")

    drive(gateway, look)


def test_keys_right_behind_enter_are_for_the_page_below_the_form(
    server: Server, database: Database, database_name: str, tmp_path: Path
) -> None:
    small_fleet(database)
    with terminal(server, database_name, tmp_path) as it:
        it.sees("Truck-01")
        with locked(server, database_name, "public.vehicles"):
            it.type("aPump-9\t10.8.0.9\rD")
            it.sees("saving")
            it.read_for(0.3)
        it.sees("DAEMON")
        it.type("q\x11")
        assert it.ended() == 0
    assert ("Pump-9",) in stored(database, "name")


def test_an_unexpected_error_of_a_save_is_told_with_its_trace_and_the_form_goes_on(
    database: Database,
) -> None:
    small_fleet(database)
    gateway = Gateway(database, 30)
    real = gateway.add

    def fail(*_arguments: Any) -> UUID:
        gateway.add = real  # type: ignore[method-assign]  # of this gateway only
        raise ValueError("no such thing")

    gateway.add = fail  # type: ignore[method-assign,assignment]  # of this gateway only

    async def look(it: Driver) -> None:
        await it.press("a")
        await it.sees("Add a vehicle")
        await it.type("#name", "Pump-9")
        await it.type("#host", "10.8.0.9")
        await it.press("enter")
        await it.sees("not saved: ")
        await it.notified("ValueError: no such thing; its trace is in ")
        await it.press("enter")
        await it.notified("Pump-9: added")

    drive(gateway, look, faults=True)
