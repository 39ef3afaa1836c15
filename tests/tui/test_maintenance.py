from datetime import timedelta
from functools import partial
from uuid import UUID

from fleetsyncd.actions import Action, Actor
from fleetsyncd.database import bulk_mutes, pausing
from fleetsyncd.database.pool import Database
from fleetsyncd.states import Pause
from fleetsyncd.times import utc_now, utc_text
from tests.tui.driving import Driver, drive, execute, small_fleet
from tests.tui.test_operations import paused


def mutes(database: Database) -> set[tuple[str, str]]:
    statement = (
        "SELECT v.name, coalesce(m.reason, '') FROM fleetsync.mute m"
        " JOIN vehicles v ON v.id = m.vehicle_id"
    )
    return set(execute(database, statement))


async def fill(it: Driver, length: str, reason: str) -> None:
    await it.press("P")
    await it.until(lambda: it.dialog() == "MaintenanceForm")
    await it.type("#for", length)
    await it.type("#reason", reason)


def test_a_vehicle_is_paused_for_a_time_by_the_databases_clock_and_u_takes_it_back(
    database: Database,
) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await fill(it, "8h", "workshop")
        await it.sees("until 2026-02-22 20:00:00 UTC: workshop")  # this host's clock is behind
        await it.press("enter")
        await it.notified("Crane-02: paused, u undoes")
        until = "SELECT paused_until - paused_at, pause_reason, paused_by IS NOT NULL"
        ((length, *why),) = execute(database, f"{until} FROM fleetsync.vehicle_state WHERE paused")
        assert abs(length - timedelta(hours=8)) < timedelta(minutes=1)
        assert why == ["workshop", True]
        await it.press("u")
        await it.notified("undo: Crane-02")

    drive(database, look)


def test_a_second_pause_replaces_end_and_reason_and_u_gives_them_back(
    database: Database,
) -> None:
    small_fleet(database)
    read = (
        "SELECT pause_reason FROM fleetsync.vehicle_state s JOIN vehicles v ON v.id = s.vehicle_id"
        " WHERE v.name = 'Crane-02' AND s.paused"
    )

    async def look(it: Driver) -> None:
        def is_paused_for(*reasons: str) -> bool:
            return [reason for (reason,) in execute(database, read)] == list(reasons)

        for reason in ("workshop", "tyres"):
            await fill(it, "8h", reason)
            await it.press("enter")
            await it.until(partial(is_paused_for, reason))
        await it.press("u")
        await it.notified("undo: Crane-02: paused as before")
        await it.until(partial(is_paused_for, "workshop"))
        await it.press("u")
        await it.notified("undo: Crane-02: resumed again")
        await it.until(is_paused_for)

    drive(database, look)


def test_marked_vehicles_are_muted_and_shown_so_and_u_takes_it_back(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("space", "space")
        await fill(it, "", "tyres")
        await it.sees("Pause or mute Crane-02, Dozer-03", "without an end")
        await it.click("#mute")
        await it.notified("Crane-02, Dozer-03: muted, u undoes")
        assert mutes(database) == {("Crane-02", "tyres"), ("Dozer-03", "tyres")}
        assert paused(database) == set()
        await it.sees("muted by ")
        await it.press("u")
        await it.notified("undo: Crane-02, Dozer-03: unmuted again")
        assert mutes(database) == set()

    drive(database, look, size=(160, 45))


def test_a_mute_hides_neither_why_a_vehicle_fails_nor_how_far_it_is(database: Database) -> None:
    ids = small_fleet(database)
    whole = "/status: HTTP 401: the vehicle refuses the API key"
    execute(
        database,
        "INSERT INTO fleetsync.vehicle_state (vehicle_id, failures, last_error)"
        " VALUES (%s::uuid, 3, %s)",
        str(ids["Loader-04"]), whole,
    )  # fmt: skip
    execute(
        database,
        "INSERT INTO fleetsync.vehicle_state (vehicle_id, catching_up_from, catching_up_to,"
        " catching_up_sec, catching_up_rows) SELECT id, last_sync_at - interval '1 h',"
        " last_sync_at + interval '1 h', 60, 600 FROM vehicles WHERE id = %s::uuid",
        str(ids["Truck-01"]),
    )
    why = Pause(utc_now() + timedelta(hours=8), "the antenna is being replaced")
    both = {ids[name]: name for name in ("Loader-04", "Truck-01")}
    bulk_mutes.set_muted(database, both, why, Action("vehicle mute", Actor("peter")))

    async def look(it: Driver) -> None:
        row = next(line for line in it.lines() if "Loader-04" in line)
        assert "/status: HTTP 401" in row
        row = next(line for line in it.lines() if "Truck-01" in line)
        assert "60s left" in row
        await it.press("end", "up")
        await it.sees(f"✖ {whole}; muted until ")
        await it.press("down")
        await it.sees("◐ 50%, 10 rows/s, 60s left; muted until ")
        await it.press("enter", "5")
        await it.until(
            lambda: "by peter: the antenna is being replaced" in " ".join(it.screen().split())
        )

    drive(database, look)


def test_a_muted_vehicle_can_be_unmuted_and_the_undo_mutes_it_again(database: Database) -> None:
    ids = small_fleet(database)
    names: dict[UUID, str] = {ids["Crane-02"]: "Crane-02"}
    action = Action("vehicle mute", Actor("peter"))
    bulk_mutes.set_muted(database, names, Pause(None, "tyres"), action)

    async def look(it: Driver) -> None:
        await it.sees("muted by peter: tyres")
        await it.press("P")
        await it.until(lambda: it.dialog() == "MaintenanceForm")
        await it.click("#unmute")
        await it.notified("Crane-02: unmuted, u undoes")
        assert mutes(database) == set()
        await it.press("u")
        await it.notified("undo: Crane-02: muted again")
        assert mutes(database) == {("Crane-02", "tyres")}

    drive(database, look, size=(160, 45))


def test_what_is_no_time_is_told_while_it_is_typed(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await fill(it, "soon", "")
        await it.sees("soon is not a time")
        await it.type("#for", "2020-01-01")
        await it.sees("is not in the future")
        await it.press("enter")
        assert it.dialog() == "MaintenanceForm"
        await it.press("escape")

    drive(database, look)
    assert paused(database) == set()


def test_the_page_of_a_vehicle_says_who_has_paused_it_until_when_and_why(
    database: Database,
) -> None:
    ids = small_fleet(database)
    why = Pause(None, "workshop", "olga")
    database.run(lambda c: pausing.set_paused(c, ids["Crane-02"], True, why))

    async def look(it: Driver) -> None:
        await it.press("home", "enter")
        await it.sees("paused by olga: workshop")

    drive(database, look, size=(160, 45))


def test_the_export_of_the_fleet_says_who_paused_and_muted_what(database: Database) -> None:
    ids = small_fleet(database)
    action = Action("vehicle mute", Actor("peter"))
    muted = {ids["Crane-02"]: "Crane-02"}
    bulk_mutes.set_muted(database, muted, Pause(None, "tyres"), action)
    until = utc_now() + timedelta(hours=8)
    pause = Pause(until, "workshop", "olga")
    database.run(lambda c: pausing.set_paused(c, ids["Truck-01"], True, pause))

    async def look(it: Driver) -> None:
        await it.sees("paused")
        page = it.app.page
        table = page.export_table() if page else None
        assert table is not None
        rows = {row[0]: dict(zip(table.heading, row, strict=True)) for row in table.rows}
        crane, truck, other = rows["Crane-02"], rows["Truck-01"], rows["Dozer-03"]
        assert [crane[name] for name in ("muted", "muted_until", "muted_by", "mute_reason")] == [
            "vehicle", "", "peter", "tyres",
        ]  # fmt: skip
        assert [truck[name] for name in ("paused_until", "paused_by", "pause_reason")] == [
            utc_text(until), "olga", "workshop",
        ]  # fmt: skip
        assert {text for name, text in other.items() if "pause" in name or "mute" in name} == {""}

    drive(database, look)
