"""Tags on the dashboard: groups, their actions, edits, and the view of a site."""

from pathlib import Path
from uuid import UUID

import pytest
from textual.widgets import DataTable, Input

from fleetsyncd.database.pool import Database
from fleetsyncd.database.shard_locks import shard_of
from fleetsyncd.database.views.alarms import AlarmFilter, Order
from fleetsyncd.demo.embedded import Server
from fleetsyncd.errors import DatabaseLost
from fleetsyncd.states import State
from tests.tui.driving import Driver, add, alarm, attempts, drive, execute, set_state, small_fleet
from tests.tui.terminal import terminal
from tests.tui.test_operations import asked_for, paused
from tui.app import FleetApp
from tui.context import ScreenContext
from tui.gateway import Gateway
from tui.model.state import FleetState
from tui.model.tag_groups import group_filter, groups


def tag(database: Database, name: str, *tags: str) -> None:
    execute(
        database,
        "INSERT INTO fleetsync.vehicle_state (vehicle_id, tags)"
        " SELECT id, %s FROM vehicles WHERE name = %s"
        " ON CONFLICT (vehicle_id) DO UPDATE SET tags = excluded.tags",
        list(tags), name,
    )  # fmt: skip


def tags_of(database: Database, name: str) -> list[str]:
    statement = (
        "SELECT tags FROM fleetsync.vehicle_state JOIN vehicles ON id = vehicle_id WHERE name = %s"
    )
    rows = execute(database, statement, name)
    return list(rows[0][0]) if rows else []


@pytest.fixture
def sites(database: Database) -> Database:
    """Return a database with two sites, and a vehicle without a tag."""
    small_fleet(database)
    tag(database, "Crane-02", "north")
    tag(database, "Dozer-03", "south", "rented")
    tag(database, "Loader-04", "south")
    return database


def row_of(it: Driver, label: str) -> str:
    return next(line for line in it.lines() if line.lstrip(" ").startswith(label))


def test_groups_are_counted_by_state_with_the_most_trouble_first(sites: Database) -> None:
    async def look(it: Driver) -> None:
        await it.press("number_sign")
        await it.sees("TIMEOUT", "(no tag)", "3 tags")
        labels = ("south", "north", "rented", "(no tag)")
        order = sorted(labels, key=lambda label: it.lines().index(row_of(it, label)))
        assert order == list(labels)
        assert row_of(it, "south").split() == ["south", "2", "1", "1"]
        heading = next(line for line in it.lines() if "TIMEOUT" in line)
        assert row_of(it, "(no tag)").rstrip().endswith("1")
        assert len(heading.rstrip()) <= 80

    drive(sites, look)


def test_enter_shows_a_groups_vehicles_and_escape_all_again(sites: Database) -> None:
    async def look(it: Driver) -> None:
        await it.press("number_sign")
        await it.sees("south")
        await it.press("enter")
        await it.until(lambda: it.dialog() == "FleetPage")
        await it.sees("filter: tag:south", "Dozer-03", "Loader-04")
        assert "Truck-01" not in it.screen()
        await it.press("escape")
        await it.sees("Truck-01", "Crane-02")
        await it.press("number_sign", "end", "enter")
        await it.sees("filter: -tag:north,rented,south", "Truck-01")
        assert "Dozer-03" not in it.screen()

    drive(sites, look)


def test_the_field_of_the_filter_has_the_groups_text(sites: Database) -> None:
    async def look(it: Driver) -> None:
        await it.press("number_sign", "enter", "slash")
        await it.until(lambda: it.app.screen.query_one("#filter", Input).value == "tag:south")

    drive(sites, look)


def test_an_action_on_a_group_asks_and_is_for_all_of_its_vehicles(sites: Database) -> None:
    async def look(it: Driver) -> None:
        await it.press("number_sign")
        await it.sees("all 2 vehicles of south")
        await it.press("p")
        await it.sees("Pause 2 vehicles?", "Dozer-03, Loader-04")
        assert paused(sites) == set()
        await it.press("y")
        await it.until(lambda: paused(sites) == {"Dozer-03", "Loader-04"})
        await it.refresh()  # a paused vehicle is in no trouble: the other group is first
        await it.press("home")
        await it.sees("1 vehicle of north")
        await it.press("s")
        await it.sees("Sync Crane-02?", "All with the tag north")
        assert asked_for(sites) == set()
        await it.press("y")
        await it.until(lambda: asked_for(sites) == {"Crane-02"})

    drive(sites, look)


def test_what_was_paused_there_is_undone_there(sites: Database) -> None:
    async def look(it: Driver) -> None:
        await it.press("number_sign", "p")
        await it.sees("Pause 2 vehicles?")
        await it.press("y")
        await it.notified("Dozer-03, Loader-04: paused, u undoes")
        await it.press("u")
        await it.notified("undo: Dozer-03, Loader-04: resumed again")
        assert it.dialog() == "TagsPage"

    drive(sites, look)
    assert paused(sites) == set()


def test_the_tags_page_removes_and_edits_nothing(sites: Database) -> None:
    async def look(it: Driver) -> None:
        await it.press("number_sign", "ctrl+d", "e", "t", "a")
        assert it.dialog() == "TagsPage"

    drive(sites, look)


def test_a_read_only_dashboard_groups_and_acts_on_nothing(sites: Database) -> None:
    async def look(it: Driver) -> None:
        await it.press("number_sign")
        await it.sees("south")
        await it.press("p", "s", "b")
        assert it.dialog() == "TagsPage"
        assert "s, p, P, b and x" not in it.screen()

    drive(sites, look, read_only=True)
    assert paused(sites) == set()


def test_the_cursor_stays_on_its_group_when_the_order_changes(sites: Database) -> None:
    async def look(it: Driver) -> None:
        await it.press("number_sign", "down")
        await it.sees("of north")
        for number in range(5):
            add(sites, f"North-{number}", f"10.9.0.{number + 1}")
            tag(sites, f"North-{number}", "north")
        await it.refresh()
        await it.sees("all 6 vehicles of north")
        order = it.lines()
        assert order.index(row_of(it, "north")) < order.index(row_of(it, "south"))

    drive(sites, look)


def test_of_very_many_tags_those_with_the_most_trouble_are_shown_and_the_others_told(
    sites: Database,
) -> None:
    tag(sites, "Truck-01", *(f"vin-{number:04}" for number in range(1500)))
    tag(sites, "Loader-04", "zz-last")
    add(sites, "Crane-09", "10.9.0.9")

    async def look(it: Driver) -> None:
        await it.press("number_sign")
        told = "the 200 tags with the most trouble of 1,504; / on the fleet finds tag:NAME"
        await it.sees(told, " 1,504 tags · ")
        table = it.app.screen.query_one(DataTable)
        labels = [str(table.get_row_at(row)[0]) for row in range(table.row_count)]
        assert (len(labels), labels[-1]) == (201, "(no tag)")
        assert "zz-last" in labels[:4]
        await it.press("end")
        await it.sees("1 vehicle of (no tag)")
        await it.press("up")
        await it.sees(f"1 vehicle of {labels[199]}")
        await it.press("E")
        await it.sees("Export 1,505 rows")
        await it.press("escape")
        tag(sites, "Truck-01", "north")
        await it.refresh()
        await it.sees_no("with the most trouble")

    drive(sites, look)


def test_a_fleet_without_tags_is_told_how_to_set_them(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("number_sign")
        await it.sees("No vehicle has a tag: fleetsyncd vehicle set NAME --tag TAG")

    drive(database, look)


def test_tags_that_could_not_be_read_are_not_said_to_be_read(
    sites: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = Gateway(sites, 30)

    def lost(*_args: object, **_more: object) -> None:
        raise DatabaseLost("no connection to the server")

    async def look(it: Driver) -> None:
        with monkeypatch.context() as broken:
            broken.setattr(gateway, "snapshot", lost)
            it.state.snapshot = None
            await it.press("number_sign")
            it.app.action_refresh()
            await it.sees("could not be read: see above")
        it.app.action_refresh()
        await it.sees("south")

    drive(gateway, look)


def test_a_tag_that_no_vehicle_has_is_named_on_the_tags_page(sites: Database) -> None:
    async def look(it: Driver) -> None:
        await it.press("number_sign")
        await it.sees("No vehicle has the tag nowhere: q goes back", "Tags in use: north, rented")
        assert "e on the fleet" not in it.screen()

    drive(sites, look, app=of_site(sites, "nowhere"))


def test_only_who_may_edit_is_sent_to_edit(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("number_sign")
        await it.sees("No vehicle has a tag: fleetsyncd vehicle set NAME --tag TAG")
        assert "e on the fleet" not in it.screen()

    drive(database, look, read_only=True)


def test_a_vehicle_that_loses_its_tag_in_the_view_of_a_site_may_not_be_removed(
    sites: Database,
) -> None:
    gone = "was removed or has not this tag any more"

    async def look(it: Driver) -> None:
        await it.press("home")
        under_cursor = it.state.view.shown[0].name
        await it.press("enter", "5")
        await it.sees("committed up to")
        tag(sites, under_cursor, "north")
        await it.refresh()
        await it.sees(f"this vehicle {gone}: Esc goes back", f"nothing: this vehicle {gone}")
        await it.press("escape")
        await it.sees(f"{under_cursor} {gone}")
        await it.press("space")
        await it.notified(f"{under_cursor} {gone}: nothing was done")
        await it.press("space")
        await it.sees("1 marked")
        tag(sites, it.state.view.shown[0].name, "north")
        await it.refresh()
        await it.sees(f"marked, and it {gone}")

    drive(sites, look, size=(120, 30), app=of_site(sites, "south"))


def test_without_a_vehicle_nothing_is_said_to_be_read(database: Database) -> None:
    async def look(it: Driver) -> None:
        await it.press("number_sign")
        await it.sees("No vehicle has a tag")
        assert "reading" not in it.screen()

    drive(database, look)


def test_an_edit_changes_the_tags_that_it_showed_and_no_others(sites: Database) -> None:
    async def look(it: Driver) -> None:
        await it.press("down", "e")
        await it.sees("Edit Dozer-03", "rented south")
        tag(sites, "Dozer-03", "rented", "south", "by-somebody-else")
        await it.type("#tags", "South crane")
        await it.press("enter")
        await it.notified("Dozer-03: changed")

    drive(sites, look)
    assert tags_of(sites, "Dozer-03") == ["by-somebody-else", "crane", "south"]


def test_an_edit_of_several_vehicles_adds_and_removes_tags(sites: Database) -> None:
    async def look(it: Driver) -> None:
        await it.press("down", "space", "space", "e")
        await it.sees("Tags to add; -tag removes one")
        await it.type("#tags", "winter -south")
        await it.press("enter")
        await it.notified("changed")

    drive(sites, look)
    assert tags_of(sites, "Dozer-03") == ["rented", "winter"]
    assert tags_of(sites, "Loader-04") == ["winter"]


def test_what_is_no_tag_is_refused_in_the_form(sites: Database) -> None:
    async def look(it: Driver) -> None:
        await it.press("e")
        await it.sees("Edit Crane-02")
        await it.type("#tags", "north a:b")
        await it.sees("a:b is no tag")
        await it.press("enter")
        assert it.dialog() == "VehicleForm"

    drive(sites, look)
    assert tags_of(sites, "Crane-02") == ["north"]


def test_both_forms_show_their_buttons_on_the_smallest_screen(sites: Database) -> None:
    async def look(it: Driver) -> None:
        for key in ("a", "e"):
            await it.press(key)
            await it.sees("Tags, separated by blanks", "Cancel (Esc)")
            await it.press("escape")

    drive(sites, look)


def of_site(database: Database, *tags: str, read_only: bool = False) -> FleetApp:
    gateway = Gateway(database, 30, tags=tags)
    state = FleetState(gateway.where, read_only=read_only, tags=tags)
    return FleetApp(ScreenContext(gateway, state))


def test_the_view_of_a_site_has_its_vehicles_only_on_every_page(sites: Database) -> None:
    for name in ("Crane-02", "Dozer-03", "Truck-01"):
        (key,) = execute(sites, "SELECT id::text FROM vehicles WHERE name = %s", name)[0]
        attempts(sites, key, 2)

    async def look(it: Driver) -> None:
        await it.sees("2 veh", "tag south", "Dozer-03", "Loader-04")
        await it.until(lambda: bool(it.state.snapshot and it.state.snapshot.tail))
        assert it.state.counts == {State.TIMEOUT: 1, State.ERROR: 1}
        for gone in ("Crane-02", "Truck-01", "north"):
            assert gone not in it.screen()
        await it.press("l")
        await it.sees("Dozer-03")
        await it.settled()
        assert "Crane-02" not in it.screen()
        await it.press("escape", "number_sign")
        await it.sees("1 tag", "south")
        assert "rented" not in it.screen()
        assert "(no tag)" not in it.screen()

    drive(sites, look, size=(160, 45), app=of_site(sites, "south", read_only=True))


def test_the_rooms_of_a_site_are_about_its_vehicles_only(sites: Database) -> None:
    for number, name in enumerate(("Crane-02", "Dozer-03")):
        execute(
            sites,
            "INSERT INTO fleetsync.quarantine (vehicle_id, digest, call, raw, reason)"
            " SELECT id, %s::uuid, '/data', '{}', 'no time' FROM vehicles WHERE name = %s",
            str(UUID(int=number)),
            name,
        )
        execute(
            sites,
            "INSERT INTO fleetsync.backfill (vehicle_id, from_at, to_at, reached_at)"
            " SELECT id, now() - interval '4 h', now(), now() - interval '1 h' FROM vehicles"
            " WHERE name = %s",
            name,
        )

    async def look(it: Driver) -> None:
        for key in ("Q", "B"):
            await it.press(key)
            await it.sees("Dozer-03")
            assert "Crane-02" not in it.screen()
            await it.press("escape")
        await it.press("F")
        await it.sees("of the whole fleet but for the API keys")
        await it.press("escape")
        await it.press("ctrl+p")
        await it.type("#wanted", "cran")
        await it.sees("nothing matches")

    drive(sites, look, size=(160, 45), app=of_site(sites, "south"))


def test_before_the_first_reading_of_a_site_its_lists_are_not_said_to_be_empty(
    sites: Database,
) -> None:
    for name in ("Crane-02", "Dozer-03"):
        (key,) = execute(sites, "SELECT id::text FROM vehicles WHERE name = %s", name)[0]
        attempts(sites, key, 2)
        alarm(sites, key, 1, "oil lost", "1 h", None)
    site = Gateway(sites, 30, tags=["south"])
    page = site.fleet_alarms(Order.NEWEST, AlarmFilter(), None)
    assert [each.vehicle_name for each in page.rows] == ["Dozer-03"]
    assert {each.vehicle_name for each in site.journal(None, (), None)} == {"Dozer-03"}


def test_the_view_of_a_site_without_vehicles_shows_no_others_journal(sites: Database) -> None:
    (key,) = execute(sites, "SELECT id::text FROM vehicles WHERE name = 'Crane-02'")[0]
    attempts(sites, key, 2)

    async def look(it: Driver) -> None:
        await it.sees("0 veh", "No vehicle has the tag nowhere: q quits")
        assert "Tags in use: north, rented, south" in it.screen()
        assert "press a to add" not in it.screen()
        await it.press("l")
        await it.settled()
        assert "Crane-02" not in it.screen()

    drive(sites, look, size=(160, 45), app=of_site(sites, "nowhere"))


def test_a_vehicle_that_is_added_in_the_view_of_a_site_belongs_to_it(sites: Database) -> None:
    async def look(it: Driver) -> None:
        await it.press("a")
        await it.sees("Add a vehicle")
        assert it.app.screen.query_one("#tags", Input).value == "south"
        await it.type("#name", "Grader-09")
        await it.type("#host", "10.8.0.99")
        await it.press("enter")
        await it.sees("Grader-09", "3 veh")

    drive(sites, look, app=of_site(sites, "south"))
    assert tags_of(sites, "Grader-09") == ["south"]


def test_groups_and_their_filters_agree(sites: Database) -> None:
    everyone = Gateway(sites, 30).snapshot().vehicles
    found = groups(everyone)
    for group in found:
        wanted = group_filter(group, found)
        shown = [v for v in everyone if all(test(v) for test in wanted.tests)]
        assert tuple(shown) == group.vehicles
    assert [group.label for group in groups(everyone, ["rented"])] == ["rented", "(no tag)"]


def test_the_tags_and_the_age_of_the_state_stand_on_the_vehicles_page(sites: Database) -> None:
    execute(
        sites,
        "UPDATE fleetsync.vehicle_state SET dated_status = 'timeout',"
        " status_since = now() - interval '2 h', dated_at = updated_at"
        " WHERE vehicle_id = (SELECT id FROM vehicles WHERE name = 'Dozer-03')",
    )

    async def look(it: Driver) -> None:
        await it.press("down", "enter")
        await it.sees("TIMEOUT 2h")
        await it.press("5")
        await it.sees("rented south", "timeout since ", ", 2h")
        await it.press("escape", "down", "enter", "5")
        await it.sees("error, not known since when")

    drive(sites, look)


def test_c_sorts_by_the_last_change_with_unknown_ones_last(sites: Database) -> None:
    for name, hours in (("Truck-01", 1), ("Dozer-03", 5)):
        set_state(sites, name, "error", "4 s", "5 s")
        execute(
            sites,
            "INSERT INTO fleetsync.vehicle_state AS s (vehicle_id, dated_status, status_since)"
            " SELECT id, 'error', now() - %s * interval '1 h' FROM vehicles WHERE name = %s"
            " ON CONFLICT (vehicle_id) DO UPDATE SET dated_status = 'error',"
            " dated_at = s.updated_at, status_since = excluded.status_since",
            hours, name,
        )  # fmt: skip
    execute(sites, "UPDATE vehicles SET created_at = now() - interval '3 h'")

    async def look(it: Driver) -> None:
        await it.press("C")
        await it.sees("sort since")
        shown = [vehicle.name for vehicle in it.state.view.shown]
        assert shown == ["Truck-01", "Crane-02", "Dozer-03", "Loader-04"]
        await it.press("C")
        assert it.state.view.shown[0].name == "Loader-04"

    drive(sites, look, size=(160, 45))


@pytest.mark.parametrize(
    ("tags", "whose"), [(("south",), "this tag"), (("north", "south"), "one of these tags")]
)
def test_an_empty_room_of_a_site_says_that_it_is_the_sites(
    sites: Database, tags: tuple[str, ...], whose: str
) -> None:
    texts = {
        "Q": f"No row of a vehicle with {whose} was refused",
        "B": f"No backfill or audit of a vehicle with {whose} was requested",
        "A": f"No vehicle with {whose} has an open alarm",
        "l": f"no attempt of a vehicle with {whose} within JOURNAL_KEEP_DAYS",
        "W": f"Nothing was done to a vehicle with {whose}",
        "T": f"Nothing was told of a vehicle with {whose}",
    }

    async def look(it: Driver) -> None:
        await it.sees(f"no attempt of a vehicle with {whose} in the journal yet")
        for key, text in texts.items():
            await it.press(key)
            await it.sees(text)
            if key in "lT":
                await it.press("exclamation_mark")
                what = "attempt like this" if key == "l" else "notice"
                await it.sees(f"o {what} of a vehicle with {whose}")
            await it.press("escape")

    drive(sites, look, size=(160, 45), app=of_site(sites, *tags))


def test_many_tags_in_use_are_counted_where_they_have_no_room(sites: Database) -> None:
    tag(sites, "Truck-01", *(f"a-rather-long-tag-{number}" for number in range(12)))

    async def look(it: Driver) -> None:
        await it.sees("Tags in use: a-rather-long-tag-0, a-rather-long-tag-1 and 13 more")

    drive(sites, look, app=of_site(sites, "nowhere"))


def test_the_daemons_of_a_site_pull_its_vehicles(sites: Database) -> None:
    south = ("Dozer-03", "Loader-04")
    keys = execute(sites, "SELECT id::text FROM vehicles WHERE name = ANY (%s)", list(south))
    shards = [shard_of(UUID(key)) for (key,) in keys]
    execute(sites, "UPDATE fleetsync.replica SET vehicles = 77, shards = %s", shards)

    async def look(it: Driver) -> None:
        await it.press("D")
        await it.sees("VEHICLES: those with this tag")
        assert " 77 " not in it.screen()  # but perhaps in the number of a process
        assert " 2  " in next(line for line in it.lines() if "centre" in line)

    drive(sites, look, app=of_site(sites, "south"))


def test_no_key_is_for_the_neighbour_of_a_group_that_went(
    server: Server, sites: Database, database_name: str, tmp_path: Path
) -> None:
    with terminal(server, database_name, tmp_path) as it:
        it.sees("Truck-01")
        it.type("#j")
        it.sees("of north")
        tag(sites, "Crane-02")
        it.sees("what was chosen is gone")
        it.type("p\r")
        it.sees("nothing was done")
        it.read_for(0.5)
        assert paused(sites) == set()
        it.type("kp")
        it.sees("Pause ")
