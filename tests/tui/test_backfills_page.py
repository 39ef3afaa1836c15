from datetime import timedelta
from uuid import UUID

from fleetsyncd.database import backfills
from fleetsyncd.database.pool import Database
from fleetsyncd.models import Window
from fleetsyncd.times import utc_now
from tests.tui.driving import Driver, beat, drive, execute, small_fleet


def request(database: Database, vehicle: UUID, hours: int = 10) -> None:
    now = utc_now()
    window = Window(now - timedelta(hours=hours), now - timedelta(hours=1))
    database.run(lambda cursor: backfills.request_backfill(cursor, vehicle, window))


def progress(database: Database, vehicle: UUID, settings: str) -> None:
    execute(
        database,
        f"UPDATE fleetsync.backfill SET {settings} WHERE vehicle_id = %s::uuid",  # noqa: S608  the test's own text
        str(vehicle),
    )


def three_backfills(database: Database) -> dict[str, UUID]:
    """Request one that is being pulled, one that fails and one that is finished."""
    ids = small_fleet(database)
    for name in ("Truck-01", "Dozer-03", "Crane-02"):
        request(database, ids[name])
    half = "reached_at = from_at + (to_at - from_at) / 2, rows_added = 40000, busy_sec = 100"
    progress(database, ids["Truck-01"], half)
    progress(database, ids["Dozer-03"], "last_error = '/data: HTTP 503'")
    progress(database, ids["Crane-02"], "reached_at = to_at, finished_at = now(), rows_added = 7")
    return ids


def line(it: Driver, text: str) -> str:
    return next(each for each in it.lines() if text in each)


def test_open_and_finished_backfills_are_listed_with_what_is_known_of_them(
    database: Database,
) -> None:
    three_backfills(database)

    async def look(it: Driver) -> None:
        await it.press("B")
        await it.sees("2 open, 1 finished")
        for text in ("50%", "400/s", "100s", "40k"):
            assert text in line(it, "Truck-01")
        assert "HTTP 503" in line(it, "Dozer-03")
        assert "complete" in line(it, "Crane-02")
        wanted = ("Truck-01", "Dozer-03", "Crane-02")
        names = [name for each in it.lines() for name in wanted if name in each]
        assert names == list(wanted)
        await it.press("exclamation_mark")
        await it.sees_no("Crane-02")
        await it.sees("only the open ones")
        await it.press("i")
        await it.sees("400 rows/s", "Esc or q goes back")
        await it.press("escape", "enter")
        await it.until(lambda: it.dialog() == "VehiclePage")

    drive(database, look, size=(120, 40))


def test_without_a_daemon_nothing_is_said_to_be_pulled(database: Database) -> None:
    three_backfills(database)
    beat(database, "1 h")

    async def look(it: Driver) -> None:
        await it.press("B")
        await it.sees("2 open, 1 finished", "waits for a daemon")
        assert "being pulled" not in it.screen()
        for text in ("400/s", "100s"):
            assert text not in line(it, "Truck-01")
        assert "50%" in line(it, "Truck-01")
        beat(database)
        await it.refresh()
        await it.sees("being pulled", "400/s")

    drive(database, look, size=(120, 40))


def test_a_backfill_is_called_off_only_as_it_was_shown(database: Database) -> None:
    ids = three_backfills(database)

    async def look(it: Driver) -> None:
        await it.press("B")
        await it.sees("2 open, 1 finished")
        await it.press("ctrl+d")
        await it.sees("Call off the backfill of Truck-01?", "50% is done")
        request(database, ids["Truck-01"], hours=20)
        await it.press("y")
        await it.notified("Truck-01: not cancelled: it has ended, or was requested anew")
        await it.refresh()
        await it.settled()
        await it.press("home", "down")
        await it.press("ctrl+d")
        await it.sees("Call off the backfill of Truck-01?")
        await it.press("y")
        await it.notified("Truck-01: backfill cancelled")
        await it.sees("1 open, 1 finished")
        await it.press("end", "ctrl+d")
        await it.notified("Crane-02: this backfill has ended")

    drive(database, look, size=(120, 40))
    open_ones = "SELECT count(*) FROM fleetsync.backfill WHERE finished_at IS NULL"
    assert execute(database, open_ones) == [(1,)]


def test_the_interval_of_a_finished_backfill_is_requested_again(database: Database) -> None:
    ids = three_backfills(database)

    async def look(it: Driver) -> None:
        await it.press("B")
        await it.sees("2 open, 1 finished")
        await it.press("end", "r")
        await it.sees("Pull this interval of Crane-02 again?")
        await it.press("y")
        await it.notified("Crane-02: backfill requested")
        await it.sees("3 open, 0 finished")

    drive(database, look, size=(120, 40))
    reached = "SELECT reached_at = from_at FROM fleetsync.backfill WHERE vehicle_id = %s::uuid"
    assert execute(database, reached, str(ids["Crane-02"])) == [(True,)]


def test_read_only_neither_cancels_nor_requests(database: Database) -> None:
    three_backfills(database)

    async def look(it: Driver) -> None:
        await it.press("B")
        await it.sees("2 open, 1 finished")
        assert "Call off" not in it.screen()
        await it.press("ctrl+d", "r")
        assert it.dialog() == "BackfillsPage"

    drive(database, look, read_only=True)


def test_without_backfills_it_says_how_one_is_requested(database: Database) -> None:
    async def look(it: Driver) -> None:
        await it.press("B")
        await it.sees("No backfill was requested")
        await it.press("slash", *"truck", "enter")
        await it.sees("No such vehicle has a backfill")
        await it.press("escape", "escape")
        assert it.dialog() == "FleetPage"

    drive(database, look)
