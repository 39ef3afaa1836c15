from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from fleetsyncd.actions import Action, Actor
from fleetsyncd.database import action_log, store
from fleetsyncd.database.action_log import Change
from fleetsyncd.database.pool import Database
from fleetsyncd.database.vehicle_changes import VehicleChange
from fleetsyncd.database.views.actions import PAGE_ROWS
from fleetsyncd.models import Window
from fleetsyncd.states import Pause
from fleetsyncd.telemetry import BadRow
from fleetsyncd.times import utc_now
from tests.tui.driving import Driver, drive, execute, small_fleet
from tui.gateway import Gateway
from tui.job_gateway import JobGateway, WantedAudit
from tui.room_gateway import RoomGateway
from tui.writing_gateway import WritingGateway

READS = {
    "snapshot", "heartbeats", "newer_schema", "journal", "journal_hours", "history", "fleet_alarms",
    "alarms", "channel_changes", "channels", "plot", "channel_beside", "vehicle_details",
    "coverage", "vehicles_with_own_key", "registered", "count_rows", "outcomes", "pull_rate",
    "refused_groups", "refused_page", "jobs", "examine", "actions", "notices", "statuses",
    "link_traffic",
}  # fmt: skip
DAY = Window(utc_now() - timedelta(days=1), utc_now())
AUDIT = WantedAudit(DAY.start, DAY.end, report_only=False)
Work = Callable[[Gateway, dict[str, Any]], object]


def known(gateway: Gateway, ids: dict[str, Any]) -> dict[Any, str]:
    del gateway
    return {ids["Truck-01"]: "Truck-01"}


def muted(gateway: Gateway, ids: dict[str, Any]) -> Gateway:
    gateway.mute(known(gateway, ids), Pause(None, "workshop"))
    execute(gateway._database, "DELETE FROM fleetsync.action_log")
    return gateway


def versions(gateway: Any, ids: dict[str, Any]) -> dict[Any, Any]:
    return {key: each.asked_at for key, each in gateway.statuses(list(ids.values())).items()}


def seen(gateway: Gateway, ids: dict[str, Any]) -> list[Any]:
    return gateway.registered([ids["Truck-01"]])


WRITES: dict[str, tuple[Work, str]] = {
    "add": (lambda g, _: g.add("Truck-09", "10.8.0.99", 8001, None), "add"),
    "change": (lambda g, ids: g.change(seen(g, ids), VehicleChange(port=9001)), "edit"),
    "remove": (lambda g, ids: g.remove(seen(g, ids), with_measurements=True), "remove with"),
    "pause": (lambda g, ids: g.pause(known(g, ids), True), "pause"),
    "undo_pause": (lambda g, ids: g.undo_pause(known(g, ids), False, {}), "undo resume"),
    "mute": (lambda g, ids: g.mute(known(g, ids), Pause(None, "workshop")), "mute"),
    "mute no more": (lambda g, ids: muted(g, ids).mute(known(g, ids), None), "unmute"),
    "undo_mute": (lambda g, ids: muted(g, ids).undo_mute(known(g, ids), True, {}, {}), "undo mute"),
    "sync": (lambda g, ids: g.sync(known(g, ids)), "sync"),
    "purge_groups": (
        lambda g, _: g.rooms.purge_groups(g.rooms.refused_groups("").groups),
        "delete refused rows",
    ),
    "purge_rows": (
        lambda g, _: g.rooms.purge_rows(
            g.rooms.refused_page(g.rooms.refused_groups("").groups[0], None).page
        ),
        "delete refused rows",
    ),
    "request": (lambda g, ids: g.backfills.request(known(g, ids), DAY), "backfill"),
    "request an audit": (lambda g, ids: g.audits.request(known(g, ids), AUDIT), "audit"),
    "cancel": (lambda g, ids: g.backfills.cancel(versions(g.backfills, ids)), "cancel backfill"),
    "cancel an audit": (lambda g, ids: g.audits.cancel(versions(g.audits, ids)), "cancel audit"),
}


def prepared(database: Database) -> dict[str, Any]:
    """Make a fleet with something to act on: refused rows, a backfill, an audit."""
    ids = small_fleet(database)
    execute(database, "UPDATE vehicles SET last_sync_at = now()")
    truck = ids["Truck-01"]
    database.run(lambda c: store.quarantine_rows(c, truck, [BadRow("/data", "{}", "no time")]))
    gateway = Gateway(database, 30)
    gateway.backfills.request({truck: "Truck-01"}, DAY)
    gateway.audits.request({truck: "Truck-01"}, AUDIT)
    execute(database, "DELETE FROM fleetsync.action_log")
    return ids


def test_every_method_of_the_gateway_is_known_to_write_or_not_to() -> None:
    names = {
        name
        for kind in (Gateway, WritingGateway, RoomGateway, JobGateway)
        for name in vars(kind)
        if not name.startswith("_") and name != "NAME"
    }
    assert names == READS | {name for name in WRITES if " " not in name}


@pytest.mark.parametrize("name", WRITES)
def test_every_action_of_the_dashboard_leaves_a_row(
    database: Database, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_USER", "olga")
    ids = prepared(database)
    work, action = WRITES[name]
    work(Gateway(database, 30), ids)
    logged = execute(database, "SELECT DISTINCT login, action FROM fleetsync.action_log")
    assert [login for login, _ in logged] == ["olga"]
    assert [text.startswith(f"dashboard: {action}") for _, text in logged] == [True]


def log(database: Database, count: int, text: str = "vehicle pause Truck-01") -> None:
    for number in range(count):
        action = Action(f"{text} {number}", Actor("olga", "192.0.2.7"))
        change = Change(None, {"paused": False}, {"paused": True})
        database.run(partial(action_log.record, action=action, changes=[change]))


def test_actions_are_listed_page_by_page_and_opened_in_full(database: Database) -> None:
    small_fleet(database)
    log(database, PAGE_ROWS + 1)

    async def look(it: Driver) -> None:
        await it.press("W")
        await it.sees(f"Truck-01 {PAGE_ROWS} (paused no → yes)", "newest page")
        await it.press("enter")
        await it.sees("192.0.2.7", "paused no → yes")
        await it.press("escape", "greater_than_sign")
        await it.sees("vehicle pause Truck-01 0", "page 2, the oldest")
        await it.press("less_than_sign")
        await it.sees("newest page")

    drive(database, look)


def test_what_this_dashboard_does_is_listed_and_found_by_vehicle(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("p")
        await it.notified("paused, u undoes")
        await it.press("W")
        await it.sees("dashboard: pause (paused no → yes)")
        await it.press("slash", *"nobody", "enter")
        await it.sees("Nothing was done to such a vehicle")
        await it.press("escape")
        await it.sees("dashboard: pause")
        await it.press("v")
        await it.until(lambda: it.dialog() == "VehiclePage")

    drive(database, look)


def test_a_log_without_a_row_says_so(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("W")
        await it.sees("Nothing was done: nothing yet, or all of it is older than JOURNAL_KEEP_DAYS")

    drive(database, look)
