"""Backfills and audits of vehicles: requested by a form, cancelled, and told when they end."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest

from fleetsyncd.database import audits, backfills, pausing
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.demo.embedded import Server
from fleetsyncd.models import Window
from tests.tui.driving import NOW, Driver, add, attempts, drive, execute, set_state, small_fleet
from tests.tui.terminal import terminal
from tests.tui.test_operations import dialog, error_text
from tui import jobs
from tui.gateway import Gateway

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Kind:
    """A kind of job: its key, its table, and how it is requested."""

    noun: str
    key: str
    table: str
    request: Callable[[Cursor, UUID, Window], object]

    @property
    def title(self) -> str:
        return self.noun.capitalize()

    def rows(self, database: Database, columns: str) -> list[tuple[object, ...]]:
        statement = f"SELECT {columns} FROM {self.table} j JOIN vehicles v ON v.id = vehicle_id"  # noqa: S608  the test's own text
        return execute(database, f"{statement} ORDER BY v.name")

    def count(self, database: Database) -> int:
        return len(self.rows(database, "1"))

    def set(self, database: Database, columns: str) -> None:
        execute(database, f"UPDATE {self.table} SET {columns}")  # noqa: S608  the test's own text

    def end(self, database: Database, columns: str) -> None:
        self.set(database, f"reached_at = to_at, finished_at = now(), {columns}")


def _request_audit(cursor: Cursor, vehicle_id: UUID, window: Window) -> Window:
    return audits.request_audit(cursor, vehicle_id, window.start, window.end, report_only=False)


BACKFILL = Kind("backfill", "b", "fleetsync.backfill", backfills.request_backfill)
AUDIT = Kind("audit", "x", "fleetsync.audit", _request_audit)
every_kind = pytest.mark.parametrize("kind", [BACKFILL, AUDIT], ids=["backfill", "audit"])


def request(kind: Kind, vehicle_id: UUID, cursor: Cursor) -> None:
    kind.request(cursor, vehicle_id, Window(NOW - 4 * HOUR, NOW))


def truck(database: Database, name: str = "Truck-01", host: str = "10.8.0.17") -> UUID:
    vehicle_id = add(database, name, host)
    set_state(database, name, "ok", "1 s", "1 s")
    return vehicle_id


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "POLL_SEC", 0.05)


@every_kind
def test_it_is_requested_with_presets_and_an_estimate(database: Database, kind: Kind) -> None:
    attempts(database, truck(database), 119)

    async def look(it: Driver) -> None:
        await it.press(kind.key)
        await it.sees(f"{kind.title} Truck-01", "24h: about 1.56M measurements")
        await it.click("#last-7d")
        await it.sees("7d: about 10.9M measurements")
        await it.type("#from", "yesterday")
        assert "yesterday is not a time; write 24h" in error_text(it)
        await it.type("#from", "6h")
        await it.type("#to", "2h")
        await it.sees("4h: about 259k measurements")
        await it.press("enter")
        await it.notified(f"Truck-01: {kind.noun} of")

    drive(database, look)
    length = "extract(epoch FROM to_at - from_at)::int"
    assert kind.rows(database, f"{length}, finished_at") == [(4 * 3600, None)]


@every_kind
@pytest.mark.parametrize(
    ("start", "keep_months", "told"),
    [("3650d", None, "write 417d at most"), ("60d", 1, "write 52d at most")],
)
def test_what_is_not_kept_is_neither_estimated_nor_requested(
    database: Database, kind: Kind, start: str, keep_months: int | None, told: str
) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("end", kind.key)
        await it.sees(f"{kind.title} Truck-01")
        await it.type("#from", start)
        await it.until(lambda: told in error_text(it))
        await it.press("enter")
        assert dialog(it) == f"{kind.title}Form"

    drive(Gateway(database, 30, keep_months), look)
    assert kind.count(database) == 0


@every_kind
def test_what_is_typed_at_once_lands_in_the_form(
    server: Server, database: Database, database_name: str, tmp_path: Path, kind: Kind
) -> None:
    small_fleet(database)
    set_state(database, "Crane-02", "ok", "1 s", "1 s")
    with terminal(server, database_name, tmp_path) as it:
        it.sees("Truck-01")
        it.type(f"N{kind.key}\x153h\t\x151h\r")
        it.sees(f"Crane-02: {kind.noun} of")
        length = "name, extract(epoch FROM to_at - from_at)::int"
        assert kind.rows(database, length) == [("Crane-02", 2 * 3600)]
        untouched = "SELECT count(*) FROM fleetsync.vehicle_state WHERE paused"
        assert execute(database, untouched) == [(0,)]


@every_kind
def test_what_is_running_is_shown_and_cancelled(database: Database, kind: Kind) -> None:
    key = truck(database)
    window = Window(NOW - 4 * HOUR, NOW)
    database.run(lambda cursor: kind.request(cursor, key, window))
    kind.set(database, "reached_at = to_at - interval '1 h', busy_sec = 30")

    async def look(it: Driver) -> None:
        await it.press("enter")
        await it.sees(f"{kind.noun} 75%", "10s left")
        await it.press(kind.key)
        await it.sees(f"Cancel the running {kind.noun}")
        await it.click("#cancel-running")
        await it.notified(f"Truck-01: {kind.noun} cancelled")
        await it.sees_no(f"{kind.noun} 75%")

    drive(database, look, size=(120, 30))
    assert kind.count(database) == 0


def test_the_fleet_shows_how_far_a_backfill_is(database: Database) -> None:
    key = truck(database)
    window = Window(NOW - 4 * HOUR, NOW)
    database.run(lambda cursor: backfills.request_backfill(cursor, key, window))
    BACKFILL.set(database, "reached_at = to_at - interval '1 h', busy_sec = 30")

    async def look(it: Driver) -> None:
        await it.sees("online +75%")

    drive(database, look)


@every_kind
def test_what_was_replaced_meanwhile_is_not_cancelled(database: Database, kind: Kind) -> None:
    key = truck(database)
    database.run(lambda cursor: kind.request(cursor, key, Window(NOW - 4 * HOUR, NOW - 3 * HOUR)))

    async def look(it: Driver) -> None:
        await it.press(kind.key)
        await it.sees(f"Cancel the running {kind.noun}")
        other = Window(NOW - 9 * HOUR, NOW - HOUR)
        database.run(lambda cursor: kind.request(cursor, key, other))
        await it.click("#cancel-running")
        await it.notified("Truck-01: 0 of 1 cancelled, the others ended or changed meanwhile")

    drive(database, look)
    assert kind.count(database) == 1


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize(
    ("kind", "columns", "told", "on_the_page"),
    [
        (BACKFILL, "gone_sec = 0, rows_added = 1234", "complete, 1,234 rows", " complete"),
        (
            BACKFILL,
            "gone_sec = 18000, rows_added = 1234",
            "complete, but 5h of 24h gone, 1,234 rows",
            "complete, but 5h of 24h gone",
        ),
        (
            BACKFILL,
            "gone_sec = 86400, rows_added = 1234",
            "nothing left to pull: all 24h gone, 1,234 rows",
            "nothing left to pull: all 24h gone",
        ),
        (
            AUDIT,
            "checked = 1234",
            "complete, 1,234 rows checked: nothing missing or different",
            "nothing missing or different",
        ),
        (
            AUDIT,
            "checked = 1234, missing = 12, different = 3, gone = 5, gone_sec = 18000",
            "complete, but 5h of 24h gone, 1,234 rows checked: 12 missing (stored), 3 different,"
            " 5 no longer held",
            "12 missing (stored), 3 different, 5 no longer held",
        ),
    ],
)
def test_the_outcome_is_reported_and_stays_on_the_vehicles_page(
    database: Database, kind: Kind, columns: str, told: str, on_the_page: str
) -> None:
    truck(database)

    async def look(it: Driver) -> None:
        await it.press(kind.key)
        await it.sees(f"{kind.title} Truck-01")
        await it.press("enter")
        await it.notified(f"Truck-01: {kind.noun} of")
        kind.end(database, columns)
        await it.notified(f"{kind.noun} of Truck-01: {told}")
        await it.press("enter", "5")
        await it.sees(f"{kind.noun} of ", "2026-02-21 12:00:00 to 2026-02-22 12:00:00 UTC")
        await it.until(lambda: any(on_the_page in each for each in it.lines() if "▌" not in each))

    drive(database, look, size=(120, 30))


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize(
    ("kind", "columns", "told"),
    [
        (
            BACKFILL,
            "gone_sec = 60, rows_added = 1234",
            "2 complete, 2,468 rows; 2 of them without what is gone: Truck-01, Truck-03; 1"
            " cancelled or replaced: Truck-02",
        ),
        (
            AUDIT,
            "checked = 1234, missing = 1, different = 1",
            "2 complete, 2,468 rows checked; 2 of them with missing rows: Truck-01, Truck-03; 2 of"
            " them with other values: Truck-01, Truck-03; 1 cancelled or replaced: Truck-02",
        ),
    ],
    ids=["backfill", "audit"],
)
def test_those_of_several_vehicles_end_with_one_report(
    database: Database, kind: Kind, columns: str, told: str
) -> None:
    for number in (1, 2, 3):
        truck(database, f"Truck-0{number}", f"10.8.0.{number}")

    async def look(it: Driver) -> None:
        await it.press("asterisk", kind.key)
        await it.sees(f"{kind.title} Truck-01, Truck-02, Truck-03")
        await it.press("enter")
        await it.notified(f"{kind.noun} of")
        execute(
            database,
            f"DELETE FROM {kind.table} j USING vehicles v"  # noqa: S608  the test's own text
            " WHERE v.id = j.vehicle_id AND v.name = 'Truck-02'",
        )
        kind.end(database, columns)
        await it.notified(f"{kind.noun} of 3 vehicles: {told}")

    drive(database, look)


@pytest.mark.parametrize(
    ("kind", "a_noun"), [(BACKFILL, "a backfill"), (AUDIT, "an audit")], ids=["backfill", "audit"]
)
def test_that_of_a_paused_vehicle_says_that_it_waits(
    database: Database, kind: Kind, a_noun: str
) -> None:
    key = truck(database)
    database.run(lambda cursor: pausing.set_paused(cursor, key, True))

    async def look(it: Driver) -> None:
        await it.press(kind.key)
        await it.sees(f"Truck-01: paused, {a_noun} waits until p resumes it")
        await it.press("enter")
        await it.notified(f"Truck-01: paused, {a_noun} waits until p resumes it")
        await it.press("enter", "5")
        await it.sees(f"{kind.noun} waits for", "the vehicle is paused")

    drive(database, look)


def requested_audits(database: Database) -> list[tuple[object, ...]]:
    return AUDIT.rows(database, "name, from_at, to_at, report_only")


def test_an_audit_stores_what_is_missing_unless_it_is_to_report_only(database: Database) -> None:
    truck(database)

    async def look(it: Driver) -> None:
        await it.press("x")
        await it.sees("[x] store what is missing, not only count it")
        await it.type("#from", "2h")
        await it.press("enter")
        await it.notified("Truck-01: audit of 2026-02-22 10:00:00 to")
        assert requested_audits(database) == [("Truck-01", NOW - 2 * HOUR, NOW, False)]
        await it.press("x")
        await it.sees("It takes the place of the running audit")
        await it.type("#from", "3h")
        await it.press("tab", "tab", "space")
        await it.sees("[ ] store what is missing, not only count it")
        await it.click("#accept")
        await it.notified("Truck-01: audit of 2026-02-22 09:00:00 to")

    drive(database, look)
    assert requested_audits(database) == [("Truck-01", NOW - 3 * HOUR, NOW, True)]


def test_an_audit_without_a_beginning_is_of_all_that_is_stored(database: Database) -> None:
    key = str(truck(database))
    execute(database, "SELECT fleetsync.ensure_month('2026-02-01')")
    execute(database, "INSERT INTO channel_config VALUES (%s::uuid, 1, 'oil', 'bar', 0, 1)", key)
    oldest = NOW - 50 * HOUR
    for at in (oldest, NOW - HOUR):
        execute(database, "INSERT INTO measurements VALUES (%s::uuid, 1, %s, 0.5)", key, at)

    async def look(it: Driver) -> None:
        await it.press("x")
        await it.sees("24h")
        await it.click("#last-all")
        await it.sees("all that is stored up to 2026-02-22 12:00:00 UTC")
        await it.type("#to", "later")
        assert "later is not a time" in error_text(it)
        await it.type("#to", "now")
        await it.press("enter")
        await it.notified("Truck-01: audit of 2026-02-20 10:00:00 to 2026-02-22 12:00:00 UTC")

    drive(database, look)
    assert requested_audits(database) == [("Truck-01", oldest, NOW, False)]


@pytest.mark.usefixtures("fast")
def test_vehicles_that_were_never_pulled_are_left_out_of_an_audit_and_named(
    database: Database,
) -> None:
    truck(database)
    add(database, "Wheel-02", "10.8.0.2")

    async def look(it: Driver) -> None:
        await it.press("asterisk", "x")
        await it.sees("Audit Truck-01, Wheel-02")
        await it.press("enter")
        await it.notified("Truck-01: audit of 2026-02-21 12:00:00")
        await it.notified("Wheel-02: left out, nothing of the interval was pulled yet")
        AUDIT.end(database, "checked = 1234")
        await it.notified("complete, 1,234 rows checked: nothing missing or different")

    drive(database, look)
    assert [name for name, *_rest in requested_audits(database)] == ["Truck-01"]


def test_an_audit_of_vehicles_that_were_never_pulled_is_refused(database: Database) -> None:
    add(database, "Wheel-01", "10.8.0.1")
    add(database, "Wheel-02", "10.8.0.2")

    async def look(it: Driver) -> None:
        await it.press("asterisk", "x")
        await it.sees("Audit Wheel-01, Wheel-02")
        await it.press("enter")
        await it.notified("Wheel-02: nothing of the interval was pulled yet")

    drive(database, look)
    assert requested_audits(database) == []


def test_the_vehicles_page_says_up_to_when_looks_found_nothing_missing(database: Database) -> None:
    key = str(truck(database))
    for age, ago, looked in ((60, "70 s", True), (3600, "62 min", True), (86_400, "1 d", False)):
        execute(
            database,
            "INSERT INTO fleetsync.verified (vehicle_id, age_sec, verified_to, looked_to,"
            " looked_at) VALUES (%s::uuid, %s, now() - %s::interval, now(),"
            " CASE WHEN %s THEN now() END)",
            key, age, ago, looked,
        )  # fmt: skip

    async def look(it: Driver) -> None:
        await it.press("enter", "5")
        await it.sees("verified to, by age", "60m: 62m ago")
        assert "24h:" not in it.screen()

    drive(database, look)


def test_what_a_small_screen_has_no_room_for_is_scrolled_to(database: Database) -> None:
    key = truck(database)
    for kind in (BACKFILL, AUDIT):
        database.run(partial(request, kind, key))
    AUDIT.end(database, "checked = 1234, missing = 12")

    async def look(it: Driver) -> None:
        await it.press("enter", "5")
        await it.sees("committed up to")
        assert "audit found" not in it.screen()
        await it.press("end")
        await it.sees("audit found", "12 missing (stored)")
        await it.refresh()
        await it.settled()
        await it.sees("audit found")

    drive(database, look)
