import threading
from collections.abc import Iterator

import pytest
from psycopg2 import sql

from fleetsyncd.database.pool import Database
from fleetsyncd.database.schema.fleet_checks import Unchecked
from fleetsyncd.demo import embedded
from fleetsyncd.demo.embedded import Server
from fleetsyncd.findings import Finding, fault, ok, warning
from tests.tui.driving import Driver, drive, execute, small_fleet
from tests.tui.test_read_only_role import viewer_database
from tests.tui.test_tags_page import of_site, tag
from tui.gateway import Gateway
from tui.room_gateway import RoomGateway
from tui.screens.findings import FindingsPage

__all__ = ["viewer_database"]


def test_findings_are_listed_with_what_mends_them_and_what_was_not_checked(
    database: Database,
) -> None:
    small_fleet(database)
    execute(database, "UPDATE vehicles SET api_key = NULL WHERE name = 'Truck-01'")
    execute(database, "UPDATE fleetsync.replica SET version = '0.0.1'")

    async def look(it: Driver) -> None:
        await it.press("F")
        await it.sees("1 fault", "checked 2026-02-22 12:00:00 UTC")
        text = it.screen()
        assert "1 vehicle(s) have none of their own, first Truck-01" in text
        assert "set VEHICLE_DEFAULT_API_KEY" in text
        assert "restart it on centre" in text
        assert "run `fleetsyncd doctor` on the daemon's host" in text
        at = [text.index(word) for word in ("✖ FAULT", "! warning", "● ok", "? unknown")]
        assert at == sorted(at)
        await it.press("enter")
        await it.sees("remedy", "API keys", "Esc or q goes back")

    drive(database, look, size=(160, 45))


def test_the_checks_are_made_again_when_a_key_asks(database: Database) -> None:
    small_fleet(database)
    execute(database, "UPDATE vehicles SET api_key = NULL")

    async def look(it: Driver) -> None:
        await it.press("F")
        await it.sees("1 fault", "checked")
        execute(database, "UPDATE vehicles SET api_key = 'k'")
        await it.press("r")
        await it.sees("0 faults", "checked")

    drive(database, look, size=(120, 40))


class SlowRooms(RoomGateway):
    """Makes one check, then waits until it may go on."""

    def __init__(self) -> None:
        self.may_go_on = threading.Event()

    def examine(self, **_options: object) -> Iterator[Finding | Unchecked]:
        yield ok("first", "is well")
        self.may_go_on.wait(60)
        yield fault("last", "is broken", "mend it")
        yield warning("other", "is odd", "look")


def test_findings_come_one_by_one_and_nothing_waits_for_them(database: Database) -> None:
    small_fleet(database)
    gateway = Gateway(database, 30)
    slow = gateway.rooms = SlowRooms()

    async def look(it: Driver) -> None:
        await it.press("F")
        await it.sees("is well", "checking … 1 made")
        await it.press("escape")
        assert it.dialog() == "FleetPage"
        await it.press("F")
        await it.sees("checking … 1 made")
        slow.may_go_on.set()
        await it.sees("is broken → mend it", "1 fault, 1 warning", "checked")

    drive(gateway, look, size=(120, 40))


def test_a_finding_that_comes_in_late_finds_its_page_left(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("F")
        page = it.app.screen
        assert isinstance(page, FindingsPage)
        await it.sees("checked 2026")
        await it.press("escape")
        await it.until(lambda: not page.is_running)
        page._add_line(page._round, ok("late", "is well"))

    drive(database, look)


class BrokenRooms(RoomGateway):
    def __init__(self) -> None:
        """Need no database."""

    def examine(self, **_options: object) -> Iterator[Finding | Unchecked]:
        yield ok("first", "is well")
        raise ValueError("unforeseen")


def test_a_check_that_fails_is_told_and_what_was_found_stays(database: Database) -> None:
    gateway = Gateway(database, 30)
    gateway.rooms = BrokenRooms()

    async def look(it: Driver) -> None:
        await it.press("F")
        await it.sees("is well", "✖ FAULT", "unforeseen")

    drive(gateway, look, size=(120, 40))


@pytest.mark.parametrize("read_only", [True, False], ids=["read-only", "unasked"])
def test_a_viewers_role_is_told_what_it_cannot_check(
    database: Database, viewer_database: Database, read_only: bool
) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("F")
        await it.sees("checked 2026", "0 faults", "only a daemon's role can tell")
        assert "? unknown  API keys" in it.screen()
        assert "permission denied" in it.screen()

    drive(viewer_database, look, size=(120, 40), read_only=read_only)


LONG = "the role may not write into " + ", ".join(f"public.table_{n}" for n in range(9))


class ManyRooms(RoomGateway):
    def __init__(self) -> None:
        """Need no database."""

    def examine(self, **_options: object) -> Iterator[Finding | Unchecked]:
        yield fault("target_session_attrs", "is short", "set it")
        yield warning("rights", LONG, "grant them")


def test_the_finding_under_the_cursor_is_shown_in_full_below_the_table(database: Database) -> None:
    small_fleet(database)
    gateway = Gateway(database, 30)
    gateway.rooms = ManyRooms()

    def below(it: Driver) -> str:
        return " ".join(" ".join(it.lines()[-5:-2]).split())

    async def look(it: Driver) -> None:
        await it.press("F")
        await it.sees("1 fault, 1 warning", "checked")
        assert "target_session_…  is short → set it" in it.screen()
        assert below(it) == "✖ target_session_attrs: is short → set it"
        await it.press("down")
        assert below(it) == f"! rights: {LONG} → grant them"
        await it.pilot.resize_terminal(120, 24)
        await it.until(lambda: below(it) == f"! rights: {LONG} → grant them")

    drive(gateway, look)


def test_every_check_that_was_not_made_has_a_row_of_its_own(
    database: Database, viewer_database: Database, server: Server, database_name: str
) -> None:
    small_fleet(database)
    revoke = f"REVOKE INSERT ON sync_journal FROM {embedded.APP}"
    server.execute(sql.SQL(revoke), database=database_name)
    not_made = [("daemon", "API keys", "retention", "machines"), ("role", "schema", "rights")]
    for role, checks in zip((database, viewer_database), not_made, strict=True):

        async def look(it: Driver, checks: tuple[str, ...] = checks) -> None:
            await it.press("F")
            await it.sees("checked 2026")
            for check in (*checks, "configuration", "host"):
                assert f" ? unknown  {check:<9}" in it.screen()

        drive(role, look, size=(120, 40))


def test_keys_are_missed_of_the_vehicles_that_are_shown_only(database: Database) -> None:
    small_fleet(database)
    execute(database, "UPDATE vehicles SET api_key = NULL WHERE name <> 'Dozer-03'")
    tag(database, "Crane-02", "north")
    tag(database, "Dozer-03", "south")
    for site, told in (("north", "1 vehicle(s) have none"), ("south", "0 faults")):

        async def look(it: Driver, site: str = site, told: str = told) -> None:
            await it.press("F")
            await it.sees("checked 2026", told)
            assert ("first Crane-02" in it.screen()) is (site == "north")

        drive(database, look, size=(120, 40), app=of_site(database, site))
