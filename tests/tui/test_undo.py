"""The undo of a pause or a resume."""

import threading
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest

from fleetsyncd.database import bulk, pausing
from fleetsyncd.database.bulk import BulkResult, Since
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.errors import DatabaseLost
from fleetsyncd.states import Pause, State
from tests.integration.test_bulk import lost_after
from tests.tui.driving import Driver, drive, execute, small_fleet
from tests.tui.test_operations import paused
from tui.gateway import Gateway


def set_paused(database: Database, vehicle: UUID, to: bool) -> None:
    database.run(lambda cursor: pausing.set_paused(cursor, vehicle, to))


async def pause_all(it: Driver) -> None:
    await it.press("asterisk", "p")
    await it.sees("Pause 4 vehicles?")
    await it.press("y")


def test_undo_resumes_what_was_paused_and_says_whom(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("p")
        await it.notified("Crane-02: paused, u undoes")
        assert paused(database) == {"Crane-02"}
        await it.press("u")
        await it.notified("undo: Crane-02: resumed again")
        await it.press("u")
        await it.notified("nothing to undo")

    drive(database, look)
    assert paused(database) == set()


def test_undo_leaves_paused_what_was_paused_before(database: Database) -> None:
    ids = small_fleet(database)
    set_paused(database, ids["Crane-02"], True)

    async def look(it: Driver) -> None:
        await pause_all(it)
        await it.notified(
            "Dozer-03, Loader-04, Truck-01: paused, u undoes; Crane-02: paused already"
        )
        await it.press("u")
        await it.notified("undo: Dozer-03, Loader-04, Truck-01: resumed again")

    drive(database, look)
    assert paused(database) == {"Crane-02"}


def test_undo_leaves_what_somebody_else_has_resumed_and_tells_what_was_removed(
    database: Database,
) -> None:
    ids = small_fleet(database)

    async def look(it: Driver) -> None:
        await pause_all(it)
        await it.notified("paused, u undoes")
        set_paused(database, ids["Crane-02"], False)
        execute(database, "DELETE FROM vehicles WHERE name = 'Truck-01'")
        await it.press("u")
        await it.notified(
            "undo: Dozer-03, Loader-04: resumed again;"
            " Crane-02: changed meanwhile by somebody, left so; Truck-01: removed meanwhile"
        )

    drive(database, look)
    assert paused(database) == set()


def test_undo_goes_back_step_by_step_over_resumes_too(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("p")
        await it.notified("Crane-02: paused, u undoes")
        await it.until(lambda: it.state.counts[State.PAUSED] == 1)
        await it.press("p")
        await it.sees("Resume Crane-02?")
        await it.press("y")
        await it.notified("Crane-02: resumed, u undoes")
        await it.press("u")
        await it.notified("undo: Crane-02: paused again")
        assert paused(database) == {"Crane-02"}
        await it.press("u")
        await it.notified("undo: Crane-02: resumed again")

    drive(database, look)
    assert paused(database) == set()


def test_undo_concerns_no_pause_of_another_dashboard(database: Database) -> None:
    ids = small_fleet(database)
    set_paused(database, ids["Crane-02"], True)

    async def look(it: Driver) -> None:
        await it.press("p")
        await it.sees("Resume Crane-02?")
        await it.press("escape", "u")
        await it.notified("nothing to undo")

    drive(database, look)
    assert paused(database) == {"Crane-02"}


def test_undo_does_not_overtake_the_pause_that_it_is_pressed_after(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.pilot.press("p", "u")
        await it.notified("undo: Crane-02: resumed again")

    drive(database, look)
    assert paused(database) == set()


def test_a_second_quick_pause_key_resumes_nothing_whatever_is_on_the_screen(
    database: Database,
) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("Z")
        await it.pilot.press("p", "p")
        await it.notified("Crane-02: paused already")
        await it.press("Z")
        await it.until(lambda: it.state.counts[State.PAUSED] == 1)
        await it.press("p", "enter")
        await it.until(lambda: it.dialog() == "FleetPage")

    drive(database, look)
    assert paused(database) == {"Crane-02"}


def lost(
    _names: Mapping[UUID, str], _paused: bool, _at: Since, _before: Mapping[UUID, Pause]
) -> BulkResult:
    raise DatabaseLost("lost connection")


def test_an_undo_that_fails_can_be_tried_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_fleet(database)
    gateway = Gateway(database, 30)

    async def look(it: Driver) -> None:
        await it.press("p")
        await it.notified("Crane-02: paused, u undoes")
        with monkeypatch.context() as broken:
            broken.setattr(gateway, "undo_pause", lost)
            await it.press("u")
            await it.notified("lost connection")
        await it.press("u")
        await it.notified("undo: Crane-02: resumed again")

    drive(gateway, look)
    assert paused(database) == set()


def test_an_undo_takes_back_what_was_done_before_the_database_was_lost(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {key: name for name, key in small_fleet(database).items()}
    first, second, *rest = (names[key] for key in sorted(names))
    # Messages name vehicles as the list does.
    done, others = ", ".join(sorted((first, second))), ", ".join(sorted(rest))
    monkeypatch.setattr(bulk, "AT_ONCE", 1)

    async def look(it: Driver) -> None:
        with monkeypatch.context() as broken:
            broken.setattr(bulk, "_set_part", lost_after(2))
            await pause_all(it)
            await it.notified(f"{done}: paused, u undoes; {others}: lost connection, try again")
            assert paused(database) == {first, second}
        with monkeypatch.context() as broken:
            broken.setattr(bulk, "_set_part", lost_after(1))
            await it.press("u")
            await it.notified(f"undo: {first}: resumed again; {second}: lost connection, try again")
        await it.press("u")
        await it.notified(f"undo: {second}: resumed again")

    drive(database, look)
    assert paused(database) == set()


def test_a_pause_of_very_many_tells_which_were_removed_meanwhile(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_fleet(database)
    monkeypatch.setattr(bulk, "AT_ONCE", 2)
    monkeypatch.setattr(bulk, "_require_known", remove_truck)

    async def look(it: Driver) -> None:
        await pause_all(it)
        await it.notified(
            "Crane-02, Dozer-03, Loader-04: paused, u undoes; Truck-01: removed meanwhile"
        )

    drive(database, look)


def remove_truck(cursor: Cursor, _names: Mapping[UUID, str]) -> None:
    cursor.execute("DELETE FROM vehicles WHERE name = 'Truck-01'")


def test_there_is_no_undo_in_read_only_mode(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("u")
        assert not it.app.messages.told
        keys = it.app.screen.active_bindings.values()
        assert "undo" not in {key.binding.action for key in keys if key.enabled}

    drive(database, look, read_only=True)


def test_other_keys_do_not_wait_for_a_pause_that_hangs(database: Database) -> None:
    small_fleet(database)
    gateway, may_pause = Gateway(database, 30), threading.Event()
    real = gateway.pause

    def pause_slowly(*arguments: Any) -> BulkResult:
        may_pause.wait(60)
        return real(*arguments)

    gateway.pause = pause_slowly  # type: ignore[method-assign,assignment]  # of this gateway only

    async def look(it: Driver) -> None:
        await it.pilot.press("p", "u", "question_mark")
        await it.until(lambda: it.dialog() == "HelpDialog")
        may_pause.set()
        await it.notified("undo: Crane-02: resumed again")

    drive(gateway, look)
    assert paused(database) == set()
