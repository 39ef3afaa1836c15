from uuid import UUID

import pytest
from textual.widgets import Button, Input, Static

from fleetsyncd.database import leftovers, pausing, purge
from fleetsyncd.database.pool import Database
from fleetsyncd.errors import DatabaseLost
from fleetsyncd.states import State
from fleetsyncd.terms import Terms
from tests.tui.driving import Driver, add, attempts, drive, execute, small_fleet
from tui import syncs

KEY = "its-secret-key"


def stored(database: Database, columns: str) -> list[tuple[object, ...]]:
    return execute(database, f"SELECT {columns} FROM vehicles ORDER BY name")  # noqa: S608  a test's


def paused(database: Database) -> set[str]:
    rows = execute(
        database,
        "SELECT name FROM vehicles JOIN fleetsync.vehicle_state ON id = vehicle_id WHERE paused",
    )
    return {row[0] for row in rows}


def asked_for(database: Database) -> set[str]:
    rows = execute(
        database,
        "SELECT name FROM vehicles JOIN fleetsync.vehicle_state ON id = vehicle_id"
        " WHERE sync_requested_at IS NOT NULL",
    )
    return {row[0] for row in rows}


def dialog(it: Driver) -> str:
    return type(it.app.screen).__name__


def error_text(it: Driver) -> str:
    return str(it.app.screen.query_one("#error", Static).render())


def test_a_sync_is_requested_and_confirmed(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("end", "s")
        await it.notified("Truck-01: sync requested")

    drive(database, look)
    assert asked_for(database) == {"Truck-01"}


@pytest.mark.parametrize(
    ("status", "error", "report"),
    [
        ("ok", None, "sync of Truck-01: ok, 540 rows"),
        ("timeout", "/status: mute", "sync of Truck-01: timeout, /status: mute"),
    ],
)
def test_the_outcome_of_a_sync_is_reported(
    database: Database, status: str, error: str | None, report: str
) -> None:
    ids = small_fleet(database)
    attempts(database, ids["Truck-01"], 2, status="error", error="/status: an older one")

    async def look(it: Driver) -> None:
        await it.press("end", "s")
        await it.notified("Truck-01: sync requested")
        attempts(database, ids["Truck-01"], 1, every="-2 s", status="ok", error="backfill of ...")
        attempts(database, ids["Truck-01"], 1, every="-1 s", status=status, error=error)
        await it.notified(report)

    drive(database, look)


def test_the_outcomes_of_a_sync_of_several_vehicles_are_counted_and_failures_named(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syncs, "OUTCOME_SEC", 3.0)
    ids = small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("asterisk", "s")
        await it.sees("Sync 4 vehicles?")
        await it.press("y")
        await it.notified("Crane-02, Dozer-03, Loader-04 and 1 more: sync requested")
        for name, status in (("Truck-01", "ok"), ("Dozer-03", "ok")):
            attempts(database, ids[name], 1, every="-1 s", status=status)
        reason = "/status: HTTP 401"
        attempts(database, ids["Crane-02"], 1, every="-1 s", status="error", error=reason)
        await it.notified(
            "sync of 4 vehicles: 2 ok; 1 failed: Crane-02 (error, /status: HTTP 401);"
            " 1 not pulled within 3 s: Loader-04"
        )

    drive(database, look)


def test_a_sync_that_no_daemon_runs_is_reported(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syncs, "OUTCOME_SEC", 0.5)
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("end", "s")
        await it.notified("sync of Truck-01: not pulled within 0.5 s")

    drive(database, look)


def test_sync_of_several_asks_to_confirm_and_skips_paused_vehicles(
    database: Database,
) -> None:
    ids = small_fleet(database)
    database.run(lambda cursor: pausing.set_paused(cursor, ids["Crane-02"], True))

    async def look(it: Driver) -> None:
        await it.press("asterisk", "s")
        await it.notified("Crane-02: paused, press p to resume")
        await it.sees("Sync 3 vehicles?", "Dozer-03, Loader-04, Truck-01")
        await it.press("escape")
        assert asked_for(database) == set()
        await it.press("s")
        await it.sees("Sync 3 vehicles?")
        await it.press("y")
        await it.notified("Dozer-03, Loader-04, Truck-01: sync requested")

    drive(database, look)
    assert asked_for(database) == {"Dozer-03", "Loader-04", "Truck-01"}


def test_the_pause_key_resumes_only_if_all_targets_are_paused(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("p")
        await it.notified("Crane-02: paused")
        await it.sees("‖ Crane-02")
        await it.press("asterisk", "p")
        await it.sees("Pause 4 vehicles?")
        await it.click("#accept")
        await it.notified(
            "Dozer-03, Loader-04, Truck-01: paused, u undoes; Crane-02: paused already"
        )
        await it.until(lambda: it.state.counts[State.PAUSED] == 4)
        await it.press("p")
        await it.sees("Resume 4 vehicles?", "Crane-02, Dozer-03, Loader-04, Truck-01")
        await it.press("y")
        await it.notified("Crane-02, Dozer-03, Loader-04 and 1 more: resumed, u undoes")

    drive(database, look)
    assert paused(database) == set()


def test_the_pause_key_alone_does_not_resume_what_somebody_else_has_paused(
    database: Database,
) -> None:
    ids = small_fleet(database)

    async def look(it: Driver) -> None:
        database.run(lambda cursor: pausing.set_paused(cursor, ids["Crane-02"], True))
        await it.refresh()
        await it.press("p")
        await it.sees("Resume Crane-02?")
        assert paused(database) == {"Crane-02"}
        await it.press("escape", "p")
        await it.sees("Resume Crane-02?")
        await it.press("y")
        await it.notified("Crane-02: resumed")

    drive(database, look)
    assert paused(database) == set()


def test_a_vehicle_shown_as_running_is_never_resumed(database: Database) -> None:
    ids = small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("Z")
        database.run(lambda cursor: pausing.set_paused(cursor, ids["Crane-02"], True))
        await it.press("p")
        await it.notified("Crane-02: paused")

    drive(database, look)
    assert paused(database) == {"Crane-02"}


def test_an_action_applies_to_the_vehicles_it_was_opened_for(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("space", "space", "p")
        await it.sees("Pause 2 vehicles?")
        it.state.view.marked.clear()
        await it.press("y")
        await it.notified("paused")

    drive(database, look)
    assert paused(database) == {"Crane-02", "Dozer-03"}


async def fill_in(it: Driver, **fields: str) -> None:
    for name, text in fields.items():
        await it.type(f"#{name}", text)


def test_a_vehicle_is_added(database: Database) -> None:
    async def look(it: Driver) -> None:
        await it.press("a")
        await it.sees("Add a vehicle")
        await fill_in(it, name=" Truck-09 ", host="fd00::9", port="8002", key=KEY)
        assert KEY not in it.screen()
        await it.press("enter")
        await it.notified("Truck-09: added")
        await it.sees("? Truck-09")

    drive(database, look)
    assert stored(database, "name, host(vpn_ip), api_port, api_key") == [
        ("Truck-09", "fd00::9", 8002, KEY)
    ]


@pytest.mark.parametrize(
    ("field", "text", "complaint"),
    [
        ("name", " ", "a name has 1 to 200 printable characters"),
        ("name", "\u3164", "a name has visible characters only, and U+3164 is not"),
        ("host", "10.8.0.300", "10.8.0.300 is not an IPv4 or IPv6 address"),
        ("host", "0.0.0.0", "0.0.0.0 is no address of a host"),  # noqa: S104  refused
        ("host", "ff02::1", "ff02::1 is a multicast address"),
        ("port", "9" * 5000, "a port is a number from 1 to 65535"),
        ("port", "0", "a port is a number from 1 to 65535"),
        ("port", "", "a port is a number from 1 to 65535"),
        ("key", "ключ", "an API key is one line of printable ASCII"),
        ("key", "k" * 100_000, "at most 4096 characters"),
    ],
)
def test_an_invalid_field_is_reported_in_the_form_and_the_input_stays(
    database: Database, field: str, text: str, complaint: str
) -> None:
    async def look(it: Driver) -> None:
        await it.press("a")
        await it.sees("Add a vehicle")
        await fill_in(
            it, **{"name": "Truck-09", "host": "10.8.0.9", "port": "8001"} | {field: text}
        )
        await it.press("enter")
        assert complaint in error_text(it)
        typed = it.app.screen.query_one(f"#{field}", Input)
        assert typed.has_class("-invalid")
        assert typed.value == text
        assert dialog(it) == "VehicleForm"

    drive(database, look)
    assert stored(database, "name") == []


def test_a_registered_address_is_reported_and_the_input_stays(database: Database) -> None:
    add(database, "Truck-01", "10.8.0.1")

    async def look(it: Driver) -> None:
        await it.press("a")
        await it.sees("Add a vehicle")
        await fill_in(it, name="Truck-02", host="10.8.0.1", port="8001")
        await it.press("enter")
        await it.until(lambda: "registered already" in error_text(it))
        await fill_in(it, host="10.8.0.2")
        await it.press("enter")
        await it.notified("Truck-02: added")

    drive(database, look)
    assert stored(database, "name") == [("Truck-01",), ("Truck-02",)]


def test_a_registered_name_is_reported_and_the_input_stays(database: Database) -> None:
    add(database, "Truck-01", "10.8.0.1")

    async def look(it: Driver) -> None:
        await it.press("a")
        await it.sees("Add a vehicle")
        await fill_in(it, name="Truck-01", host="10.8.0.2", port="8001")
        await it.press("enter")
        await it.until(lambda: "a vehicle called Truck-01 is registered" in error_text(it))

    drive(database, look)
    assert stored(database, "name") == [("Truck-01",)]


def test_what_was_registered_before_the_rules_stays_possible_in_an_edit(
    database: Database,
) -> None:
    twins = (
        "INSERT INTO vehicles (name, vpn_ip) VALUES ('\u3164', '0.0.0.0'), ('\u3164', '10.8.0.2')"
    )
    execute(database, twins)

    async def look(it: Driver) -> None:
        await it.press("e")
        await it.sees("Edit")
        await fill_in(it, port="9001")
        await it.press("enter")
        await it.notified("changed")

    drive(database, look)
    assert sorted(stored(database, "name, host(vpn_ip), api_port")) in (
        [("\u3164", "0.0.0.0", 9001), ("\u3164", "10.8.0.2", 8001)],  # noqa: S104  as stored
        [("\u3164", "0.0.0.0", 8001), ("\u3164", "10.8.0.2", 9001)],  # noqa: S104  as stored
    )


def test_an_edit_starts_from_stored_values_and_an_empty_key_is_kept(
    database: Database,
) -> None:
    add(database, "Truck-01", "10.8.0.1")

    async def look(it: Driver) -> None:
        await it.press("e")
        await it.sees("Edit Truck-01", "10.8.0.1", "8001", "•••• unchanged")
        assert KEY not in it.screen()
        await fill_in(it, name="Truck-1", port="9001")
        await it.press("enter")
        await it.notified("Truck-01: changed")
        await it.sees("? Truck-1 ")

    drive(database, look)
    assert stored(database, "name, api_port, api_key") == [("Truck-1", 9001, KEY)]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("vpn_ip = '10.8.0.9'", "(address 10.8.0.9)"),
        ("name = 'Truck-7', api_port = 8002", "(name Truck-7, port 8002)"),
        ("api_key = 'another-secret'", "(another API key)"),
    ],
)
def test_an_edit_of_what_somebody_else_has_changed_meanwhile_is_refused_and_told(
    database: Database, change: str, told: str
) -> None:
    add(database, "Truck-01", "10.8.0.1")

    async def look(it: Driver) -> None:
        await it.press("e")
        await it.sees("Edit Truck-01")
        execute(database, f"UPDATE vehicles SET {change}")  # noqa: S608  a test's
        await fill_in(it, name="Truck-1")
        await it.press("enter")
        await it.until(lambda: "was changed meanwhile by somebody" in error_text(it))
        assert told in error_text(it)
        assert "another-secret" not in it.screen()
        kept = stored(database, "name, host(vpn_ip), api_port, api_key")
        await it.press("escape", "e")
        await it.sees("Edit Truck-")
        assert stored(database, "name, host(vpn_ip), api_port, api_key") == kept
        await fill_in(it, name="Truck-1")
        await it.press("enter")
        await it.notified("changed")

    drive(database, look)
    assert stored(database, "name") == [("Truck-1",)]


def test_an_edit_sends_only_the_fields_that_were_changed(database: Database) -> None:
    add(database, "Truck-01", "10.8.0.1")
    execute(database, "UPDATE vehicles SET vpn_ip = '10.8.0.1/24'")

    async def look(it: Driver) -> None:
        await it.press("e")
        await it.sees("Edit Truck-01")
        await fill_in(it, name="Truck-1")
        await it.press("enter")
        await it.notified("Truck-01: changed")

    drive(database, look)
    assert stored(database, "name, vpn_ip::text, api_key") == [("Truck-1", "10.8.0.1/24", KEY)]


def test_an_edit_of_several_vehicles_changes_none_if_somebody_else_has_changed_one(
    database: Database,
) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("space", "space", "e")
        await it.sees("Edit Crane-02, Dozer-03")
        execute(database, "UPDATE vehicles SET api_port = 8005 WHERE name = 'Dozer-03'")
        await fill_in(it, key="another-key")
        await it.press("enter")
        await it.until(lambda: "Dozer-03 was changed meanwhile" in error_text(it))

    drive(database, look)
    assert execute(database, "SELECT DISTINCT api_key FROM vehicles") == [(KEY,)]


def test_an_edit_of_a_vehicle_that_was_removed_meanwhile_is_told(database: Database) -> None:
    add(database, "Truck-01", "10.8.0.1")

    async def look(it: Driver) -> None:
        await it.press("e")
        await it.sees("Edit Truck-01")
        execute(database, "DELETE FROM vehicles")
        await fill_in(it, name="Truck-1")
        await it.press("enter")
        await it.until(lambda: "not saved: the vehicle was removed meanwhile" in error_text(it))

    drive(database, look)


def test_several_vehicles_get_one_key_and_keep_their_own_addresses(
    database: Database,
) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("space", "space", "e")
        await it.sees("Edit Crane-02, Dozer-03")
        assert not it.app.screen.query("#name, #host")
        await fill_in(it, key="another-key")
        await it.press("enter")
        await it.notified("Crane-02, Dozer-03: changed")

    drive(database, look)
    assert stored(database, "host(vpn_ip), api_port, api_key") == [
        ("10.8.0.1", 8001, "another-key"),
        ("10.8.0.2", 8001, "another-key"),
        ("10.8.0.3", 8001, KEY),
        ("10.8.0.4", 8001, KEY),
    ]


@pytest.mark.parametrize("key", ["None", "True", "8001", "Truck-01"])
def test_a_key_is_saved_whatever_word_it_is(database: Database, key: str) -> None:
    add(database, "Truck-01", "10.8.0.1")

    async def look(it: Driver) -> None:
        await it.press("e")
        await it.sees("Edit Truck-01")
        await fill_in(it, key=key)
        await it.press("enter")
        await it.notified("Truck-01: changed")

    drive(database, look)
    assert stored(database, "api_key") == [(key,)]


def test_a_port_of_several_vehicles_is_a_number_or_left_empty(database: Database) -> None:
    add(database, "Truck-01", "10.8.0.1")
    add(database, "Truck-02", "10.8.0.2")

    async def look(it: Driver) -> None:
        await it.press("space", "down", "space", "e")
        await it.sees("Edit Truck-01, Truck-02")
        await fill_in(it, port="None")
        await it.press("enter")
        assert "a port is a number from 1 to 65535" in error_text(it)
        await fill_in(it, port="")
        await it.press("enter")
        await it.notified("Truck-01, Truck-02: changed")

    drive(database, look)


def test_the_check_box_drops_the_key_and_excludes_a_new_one(database: Database) -> None:
    add(database, "Truck-01", "10.8.0.1")

    async def look(it: Driver) -> None:
        await it.press("e")
        await it.sees("[ ] use VEHICLE_DEFAULT_API_KEY")
        it.app.screen.query_one("#drop-key").focus()
        await it.press("space")
        await it.sees("[x] use VEHICLE_DEFAULT_API_KEY")
        await fill_in(it, key="new")
        await it.click("#accept")
        assert "exclude each other" in error_text(it)
        await fill_in(it, key="")
        await it.click("#accept")
        await it.notified("Truck-01: changed")

    drive(database, look)
    assert stored(database, "api_key") == [(None,)]


def with_rows(database: Database, truck: UUID) -> None:
    execute(
        database,
        "INSERT INTO sync_journal (vehicle_id, started_at, finished_at, status)"
        " SELECT %s::uuid, now() - n * interval '1 s', now(), 'ok' FROM generate_series(1, 3) n",
        str(truck),
    )
    execute(database, "SELECT fleetsync.ensure_month(date '2026-02-01')")
    execute(
        database,
        "INSERT INTO measurements SELECT %s::uuid, 1, '2026-02-02'::timestamptz"
        " + n * interval '1 s', n FROM generate_series(1, 1500) n",
        str(truck),
    )


@pytest.mark.parametrize("with_measurements", [False, True])
def test_a_vehicle_is_deleted_after_its_name_was_typed(
    database: Database, with_measurements: bool
) -> None:
    with_rows(database, add(database, "Truck-01"))

    async def look(it: Driver) -> None:
        await it.press("ctrl+d")
        await it.sees("Deletes: 3 journal entries, 0 alarms", "Keeps: 1,500 measurements")
        await it.sees("fleetsyncd vehicle restore gives a vehicle back")
        if with_measurements:
            it.app.screen.query_one("#with").focus()
            await it.press("space")
            await it.sees("Deletes: 1,500 measurements", "when their month is dropped")
        await it.type("#phrase", "Truck-02")
        await it.click("#accept")
        assert "that is not Truck-01: nothing was deleted" in error_text(it)
        await it.type("#phrase", "Truck-01")
        await it.click("#accept")
        told = "and 1,500 measurements" if with_measurements else "its measurements stay"
        await it.notified(f"Truck-01: removed, {told}")
        await it.sees("No vehicles yet")

    drive(database, look)
    assert stored(database, "name") == []
    left = execute(database, "SELECT count(*) FROM measurements")
    assert left == [(0 if with_measurements else 1500,)]
    kept = execute(database, "SELECT name FROM fleetsync.removed_vehicle")
    assert kept == ([] if with_measurements else [("Truck-01",)])


def test_a_removal_whose_purge_fails_says_what_goes_on_with_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_rows(database, add(database, "Truck-01"))

    def lost(_database: Database, _vehicle_id: UUID) -> int:
        raise DatabaseLost("lost connection")

    monkeypatch.setattr(purge, "purge_by_id", lost)

    async def look(it: Driver) -> None:
        await it.press("ctrl+d")
        await it.sees("Delete Truck-01")
        it.app.screen.query_one("#with").focus()
        await it.press("space")
        await it.type("#phrase", "Truck-01")
        await it.click("#accept")
        await it.notified("removed, but not all measurements are deleted: lost connection")

    drive(database, look)
    monkeypatch.undo()
    (left,) = leftovers.read_each(database, database.run(leftovers.find_all))
    assert (left.vehicle.name, left.measurements.rows) == ("Truck-01", 1500)
    assert purge.purge_by_id(database, left.vehicle.id) == 1500


def test_several_vehicles_are_deleted_together(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("space", "space", "ctrl+d")
        await it.sees("Delete 2 vehicles", "Crane-02, Dozer-03")
        await it.type("#phrase", "delete 2 vehicles")
        await it.click("#accept")
        await it.notified("Crane-02, Dozer-03: removed")

    drive(database, look)
    assert stored(database, "name") == [("Loader-04",), ("Truck-01",)]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("name = 'Crane-77', vpn_ip = '10.8.0.99'", "(name Crane-77, address 10.8.0.99)"),
        ("api_port = 8002", "(port 8002)"),
        ("api_key = 'another-secret'", "(another API key)"),
    ],
)
def test_a_vehicle_that_somebody_has_changed_meanwhile_is_not_deleted(
    database: Database, change: str, told: str
) -> None:
    add(database, "Truck-01", "10.8.0.1")

    async def look(it: Driver) -> None:
        await it.press("ctrl+d")
        await it.sees("Delete Truck-01")
        execute(database, f"UPDATE vehicles SET {change}")  # noqa: S608  a test's
        await it.type("#phrase", "Truck-01")
        await it.click("#accept")
        await it.notified(f"Truck-01 was changed meanwhile by somebody {told}: look again")

    drive(database, look)
    assert len(stored(database, "name")) == 1
    assert execute(database, "SELECT name FROM fleetsync.removed_vehicle") == []


def test_a_vehicle_is_deleted_by_the_name_that_it_has_not_by_one_that_is_still_shown(
    database: Database,
) -> None:
    add(database, "Truck-01", "10.8.0.1")

    async def look(it: Driver) -> None:
        await it.press("Z")
        execute(database, "UPDATE vehicles SET name = 'Crane-77'")
        await it.press("ctrl+d")
        await it.sees("Delete Crane-77")
        await it.type("#phrase", "Truck-01")
        await it.click("#accept")
        assert "that is not Crane-77: nothing was deleted" in error_text(it)

    drive(database, look)
    assert stored(database, "name") == [("Crane-77",)]


def test_a_database_error_is_shown_and_no_vehicle_is_changed(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("asterisk", "p")
        await it.sees("Pause 4 vehicles?")
        execute(database, "DELETE FROM vehicles WHERE name = 'Truck-01'")
        await it.press("y")
        await it.notified("Truck-01: removed meanwhile, nothing was done")

    drive(database, look)
    assert paused(database) == set()


def test_no_writing_key_works_in_read_only_mode(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        assert "read-only" in it.lines()[0]
        assert "Sync" not in it.lines()[-1]
        await it.press("s", "p", "b", "x", "a", "e", "ctrl+d", "t")
        assert dialog(it) == "FleetPage"
        await it.press("enter")
        await it.sees("1 History")
        await it.press("p", "b", "x", "5")
        await it.sees("key", "••••")
        assert "VEHICLE_DEFAULT_API_KEY" not in it.screen()

    drive(database, look, read_only=True)
    assert (paused(database), asked_for(database)) == (set(), set())


def test_the_cancel_button_and_escape_close_a_dialog(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        for key in ("a", "b", "x", "e", "ctrl+d"):
            await it.press(key)
            await it.until(lambda: dialog(it) != "FleetPage")
            await it.press("escape")
            assert dialog(it) == "FleetPage"
            await it.press(key)
            await it.until(lambda: dialog(it) != "FleetPage")
            it.app.screen.query_one("#cancel", Button).press()
            await it.until(lambda: dialog(it) == "FleetPage")

    drive(database, look)
    assert len(stored(database, "name")) == 4


def test_an_edit_of_terms_keeps_what_somebody_else_set_meanwhile(database: Database) -> None:
    small_fleet(database)
    read = "SELECT interval_sec, timeout_sec, gap_kbit FROM fleetsync.vehicle_terms"

    async def look(it: Driver) -> None:
        await it.press("end", "e")
        await it.sees("Edit Truck-01")
        execute(
            database,
            "INSERT INTO fleetsync.vehicle_terms (vehicle_id, timeout_sec, gap_kbit)"
            " SELECT id, 30, 256 FROM vehicles WHERE name = 'Truck-01'",
        )
        await fill_in(it, terms="interval=10m")
        await it.press("enter")
        await it.until(lambda: execute(database, read) == [(600.0, 30.0, 256)])

    drive(database, look)


def test_a_vehicles_own_terms_are_edited_and_taken_back(database: Database) -> None:
    small_fleet(database)
    read = "SELECT interval_sec, timeout_sec FROM fleetsync.vehicle_terms"

    async def saved(it: Driver, terms: list[tuple[float | None, float | None]]) -> None:
        await it.press("enter")
        await it.until(lambda: execute(database, read) == terms)
        expected = Terms(*terms[0]) if terms else None
        await it.until(lambda: shown(it) == expected)

    def shown(it: Driver) -> Terms | None:
        assert it.state.snapshot is not None
        fleet = it.state.snapshot.vehicles
        return next(vehicle.terms for vehicle in fleet if vehicle.name == "Truck-01")

    async def look(it: Driver) -> None:
        await it.press("end", "e")
        await it.sees("Edit Truck-01")
        await fill_in(it, terms="interval=10x")
        assert "10x is no length of time" in error_text(it)
        await fill_in(it, terms="interval=10m timeout=30")
        assert error_text(it) == ""
        await saved(it, [(600.0, 30.0)])
        await it.press("e")
        await it.sees("interval=10m timeout=30s")
        await fill_in(it, terms="timeout=30")
        await saved(it, [(None, 30.0)])
        await it.press("e")
        await it.sees("timeout=30s")
        await fill_in(it, terms="")
        await saved(it, [])

    drive(database, look)
