from datetime import timedelta
from uuid import UUID

from fleetsyncd.database import audits, backfills, repairs
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


def audit(
    database: Database, vehicle: UUID, settings: str = "", *, report_only: bool = False
) -> None:
    """Request an audit of nine hours, and set columns of it."""
    now = utc_now()
    start, end = now - timedelta(hours=10), now - timedelta(hours=1)
    execute(database, "UPDATE vehicles SET last_sync_at = now() WHERE id = %s::uuid", str(vehicle))
    database.run(
        lambda cursor: audits.request_audit(cursor, vehicle, start, end, report_only=report_only)
    )
    if settings:
        execute(
            database,
            f"UPDATE fleetsync.audit SET {settings} WHERE vehicle_id = %s::uuid",  # noqa: S608  the test's own text
            str(vehicle),
        )


HALF_AUDITED = (
    "reached_at = from_at + (to_at - from_at) / 2, busy_sec = 100, checked = 40000, missing = 12,"
    " different = 3, gone = 5"
)


def three_audits(database: Database) -> dict[str, UUID]:
    """Request one that is being compared and one that is finished; the daemon wants a repair."""
    ids = small_fleet(database)
    audit(database, ids["Truck-01"], HALF_AUDITED)
    ended = "reached_at = to_at, finished_at = now(), checked = 7"
    audit(database, ids["Crane-02"], ended, report_only=True)
    now = utc_now()
    window = Window(now - timedelta(hours=3), now - timedelta(hours=2))
    database.run(lambda cursor: repairs.request_repair(cursor, ids["Crane-02"], window))
    return ids


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
        rows = [each for each in it.lines() if "asked for" not in each]
        names = [name for each in rows for name in wanted if name in each]
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
        await it.sees("No backfill or audit was requested", "x an audit")
        await it.press("slash", *"truck", "enter")
        await it.sees("No such vehicle has a backfill or an audit")
        await it.press("escape", "escape")
        assert it.dialog() == "FleetPage"

    drive(database, look)


def test_backfills_and_audits_are_in_one_list_with_who_asked_and_what_was_found(
    database: Database,
) -> None:
    ids = three_audits(database)
    request(database, ids["Loader-04"])

    async def look(it: Driver) -> None:
        await it.press("B")
        await it.sees("3 open, 1 finished")
        told = (
            "Truck-01: audit, asked for by an operator. 40,000 rows checked, 12 missing (stored),"
            " 3 different, 5 no longer held. being compared, 50%, 400 rows/s, 100s left"
        )
        await it.until(lambda: told in " ".join(it.screen().split()))
        assert "12 missing" in line(it, "Truck-01   audit ")
        assert "backfill" in line(it, "Loader-04")
        await it.press("end")
        await it.sees("Crane-02: audit, report only, asked for by an operator. 7 rows checked")
        assert "nothing missing" in line(it, "Crane-02   audit ")
        await it.press("home", "down")
        await it.sees("Crane-02: repair, asked for by the daemon. 0 rows checked")
        await it.press("exclamation_mark")
        await it.sees("only the open ones", "Crane-02   repair")
        assert "Crane-02   audit " not in it.screen()
        await it.press("home", "i")
        await it.sees("no longer held", "400 rows/s", "12 (stored)")

    drive(database, look)


def test_what_an_audit_is_called_off_or_repeated_for_is_what_was_shown(
    database: Database,
) -> None:
    ids = three_audits(database)

    async def look(it: Driver) -> None:
        await it.press("B")
        await it.sees("2 open, 1 finished")
        await it.press("ctrl+d")
        await it.sees("Call off the audit of Truck-01?", "50% is done")
        audit(database, ids["Truck-01"], HALF_AUDITED)
        await it.press("y")
        await it.notified("Truck-01: not cancelled: it has ended, or was requested anew")
        await it.refresh()
        await it.settled()
        await it.sees("Truck-01")
        await it.press("home", "down", "ctrl+d")
        await it.sees("Call off the audit of Truck-01?")
        await it.press("y")
        await it.notified("Truck-01: audit cancelled")
        await it.sees("1 open, 1 finished")
        await it.press("end", "r")
        await it.sees("Audit this interval of Crane-02 again?")
        await it.press("y")
        await it.notified("Crane-02: audit requested")
        await it.sees("2 open, 0 finished")

    drive(database, look, size=(120, 40))
    left = "SELECT vehicle_id::text, is_repair, report_only FROM fleetsync.audit ORDER BY is_repair"
    crane = str(ids["Crane-02"])
    assert execute(database, left) == [(crane, False, True), (crane, True, False)]


def test_a_repair_is_neither_called_off_nor_repeated(database: Database) -> None:
    three_audits(database)

    async def look(it: Driver) -> None:
        await it.press("B")
        await it.sees("2 open, 1 finished")
        await it.press("home", "down", "ctrl+d")
        await it.notified("Crane-02: a repair is the daemon's own, it cannot be called off")
        await it.press("r")
        await it.notified("a repair is the daemon's own, x on the vehicle audits any interval")
        assert it.dialog() == "BackfillsPage"

    drive(database, look)
    repairs = "SELECT count(*) FROM fleetsync.audit WHERE is_repair"
    assert execute(database, repairs) == [(1,)]


def test_a_repair_that_waits_says_until_when(database: Database) -> None:
    three_audits(database)
    waits = "not_before = '2100-01-01Z'"
    execute(database, f"UPDATE fleetsync.audit SET {waits} WHERE is_repair")  # noqa: S608  the test's

    async def look(it: Driver) -> None:
        await it.press("B", "down")
        await it.sees("repairs were often in vain: this one waits until 2100-01-01 00:00:00 UTC")

    drive(database, look, size=(160, 45))


def test_the_line_under_the_cursor_outlasts_another_width(database: Database) -> None:
    three_audits(database)

    async def look(it: Driver) -> None:
        await it.press("B", "down")
        await it.sees("Crane-02: repair")
        assert "RATE" not in it.screen()
        await it.pilot.resize_terminal(160, 45)
        await it.sees("RATE", "Crane-02: repair")
        await it.pilot.resize_terminal(80, 24)
        await it.sees_no("RATE")
        await it.sees("Crane-02: repair")

    drive(database, look)
