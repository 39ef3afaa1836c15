"""The page of notices: what was told, to whom, what waits or was given up, what is muted."""

import re
from functools import partial

import pytest

from fleetsyncd.actions import Action, Actor
from fleetsyncd.database import mutes, notices, outbox
from fleetsyncd.database.mutes import FLEET, Scope
from fleetsyncd.database.outbox import Waiting
from fleetsyncd.database.pool import Database
from fleetsyncd.database.views.notices import PAGE_ROWS
from fleetsyncd.notices import Notice, NoticeKind, Subject, Weight
from fleetsyncd.states import Pause
from tests.tui.driving import Driver, alarm, drive, execute, small_fleet
from tests.tui.test_tags_page import tag
from tui.gateway import Gateway
from tui.room_gateway import NoticeView

CHAT, MAIL = "slacks://hoo…#19c03a", "mailtos://mail.example.com#7ab2f0"


def tell(database: Database, *titles: str, vehicle: Subject | None = None) -> None:
    found = [Notice(NoticeKind.DOWN, Weight.CRITICAL, title, vehicle=vehicle) for title in titles]
    database.run(lambda cursor: notices.add_notices(cursor, found))


def sent(database: Database, *targets: str) -> None:
    for target in targets:
        [(ids,)] = execute(database, "SELECT array_agg(id)::text FROM fleetsync.notice")
        waiting = Waiting(ids, {}, 1)
        database.run(partial(outbox.record, target=target, waiting=waiting, outcome="sent"))
        database.run(partial(outbox.record_sent, target=target))


def known_targets(database: Database) -> None:
    database.run(lambda cursor: notices.note_targets(cursor, [CHAT, MAIL]))


@pytest.mark.parametrize("key", ["T", "A"], ids=["notices", "alarms"])
def test_what_was_cut_for_a_narrow_screen_is_whole_on_a_wider_one(
    database: Database, key: str
) -> None:
    ids = small_fleet(database)
    text = "a text that is rather too long for eighty columns, as its end shows"
    tell(database, text)
    alarm(database, ids["Truck-01"], 1, text, "3 h", None)

    def row(it: Driver) -> str:
        return next(line for line in it.lines() if "a text that" in line)

    async def look(it: Driver) -> None:
        await it.press(key)
        await it.sees("a text that")
        await it.until(lambda: "…" in row(it))
        await it.press("Z")  # nothing is read again
        await it.pilot.resize_terminal(180, 45)
        await it.until(lambda: text in row(it))

    drive(database, look)


def test_a_notice_is_listed_with_who_has_got_it_and_when_it_is_tried_again(
    database: Database,
) -> None:
    ids = small_fleet(database)
    known_targets(database)
    tell(database, "Truck-01 is down", vehicle=Subject(ids["Truck-01"], "Truck-01"))
    sent(database, CHAT)
    database.run(lambda cursor: outbox.record_failed(cursor, MAIL, "it answers 401"))

    async def look(it: Driver) -> None:
        await it.press("T")
        await it.sees("sent 1, waits 1", "Truck-01 is down", "1 of 2 targets failing: !")
        await it.sees(f"{CHAT}: sent", "tried 1 time since", "answers 401")
        again = "SELECT to_char(next_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')"
        ((at,),) = execute(
            database, f"{again} FROM fleetsync.notice_target WHERE next_at IS NOT NULL"
        )
        lines = " ".join(" ".join(it.lines()).split())
        assert re.search(f"again at {at}(:[0-9]+)? UTC", lines), lines
        await it.press("enter")
        await it.sees("kind", f"{MAIL}: waits")
        await it.press("escape", "v")
        await it.until(lambda: it.dialog() == "VehiclePage")

    drive(database, look)


def test_what_is_not_told_the_targets_and_the_mutes_are_shown_in_turn(database: Database) -> None:
    ids = small_fleet(database)
    known_targets(database)
    tell(database, "everybody knows")
    sent(database, CHAT, MAIL)
    tell(database, "nobody knows")
    mute = [(Scope(ids["Truck-01"]), Pause(None, "workshop")), (FLEET, Pause(None, "night"))]
    action = Action("vehicle mute", Actor("olga", None))
    database.run(lambda cursor: mutes.set_mutes(cursor, mute, action))

    async def look(it: Driver) -> None:
        await it.press("T")
        await it.sees("everybody knows", "nobody knows", "2 mutes")
        await it.press("exclamation_mark")
        await it.sees("notices · not told · newest page", "nobody knows", "waits 2")
        await it.sees_no("everybody knows")
        await it.press("exclamation_mark")
        await it.sees("notices · targets", f"{CHAT}: takes messages", f"{MAIL}: takes messages")
        await it.press("exclamation_mark")
        await it.sees("Truck-01", "by olga: workshop", "the fleet", "by olga: night")
        await it.press("slash", *"truck", "enter")
        await it.sees_no("the fleet")
        await it.press("exclamation_mark")
        await it.sees("Nothing of such a vehicle: Esc clears the filter")

    drive(database, look)


def test_notices_are_turned_page_by_page_and_found_by_vehicle(database: Database) -> None:
    small_fleet(database)
    tell(database, *(f"number {number}" for number in range(PAGE_ROWS + 1)))
    execute(database, "UPDATE fleetsync.notice SET vehicle_name = 'Truck-' || id")

    async def look(it: Driver) -> None:
        await it.press("T")
        await it.sees(f"number {PAGE_ROWS}", "newest page", "nobody")
        await it.press("greater_than_sign")
        await it.sees("number 0", "page 2, the oldest")
        await it.press("slash", *f"truck-{PAGE_ROWS}", "enter")
        await it.sees(f"number {PAGE_ROWS - 1}", "vehicles with", "newest page")
        await it.press("v")
        await it.sees_no("VehiclePage")

    drive(database, look)


def test_an_export_has_each_target_of_a_notice(database: Database) -> None:
    small_fleet(database)
    known_targets(database)
    tell(database, "a, and b")
    sent(database, CHAT)

    async def look(it: Driver) -> None:
        await it.press("T")
        await it.sees("a, and b")
        table = it.app.page.export_table() if it.app.page else None
        assert table is not None
        [row] = table.rows
        named = dict(zip(table.heading, row, strict=True))
        assert named["text"] == "a, and b"
        assert f"{CHAT}: sent" in named["told"]
        assert f"{MAIL}: waits for the next message" in named["told"]
        await it.press("exclamation_mark", "exclamation_mark")
        await it.sees("takes messages")
        targets = it.app.page.export_table() if it.app.page else None
        assert targets is not None
        assert {len(row) for row in targets.rows} == {len(targets.heading)}

    drive(database, look)


def test_only_notices_and_mutes_of_the_shown_vehicles_are_listed(database: Database) -> None:
    ids = small_fleet(database)
    tag(database, "Truck-01", "site-a")
    wanted = []
    for name in ("Truck-01", "Crane-02"):
        tell(database, f"{name} is down", vehicle=Subject(ids[name], name))
        wanted.append((Scope(ids[name]), Pause()))
    wanted += [(Scope(tag="site-a"), Pause()), (Scope(tag="site-b"), Pause()), (FLEET, Pause())]
    action = Action("vehicle mute", Actor("olga", None))
    database.run(lambda cursor: mutes.set_mutes(cursor, wanted, action))
    rooms = Gateway(database, 30, tags=["site-a"]).rooms
    found = rooms.notices(NoticeView.ALL, "", None)
    assert [each.stored.notice.title for each in found.notices] == ["Truck-01 is down"]
    assert {each.scope for each in found.muted.mutes} == {"Truck-01", "tag site-a", "the fleet"}
