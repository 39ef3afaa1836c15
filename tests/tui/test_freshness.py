"""The dashboard shows how current its data are, and why they are not."""

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from psycopg2 import sql

from fleetsyncd.database import replicas
from fleetsyncd.database.pool import Database
from fleetsyncd.database.schema import migrate
from fleetsyncd.demo import embedded
from fleetsyncd.demo.embedded import Server
from fleetsyncd.reports import Unstored
from fleetsyncd.settings import DatabaseSettings
from tests.tui.driving import Driver, add, beat, channel, drive, execute, set_state, small_fleet
from tests.tui.terminal import terminal
from tests.tui.test_palette import resize
from tui import background, schema_watch
from tui.building import build
from tui.dialogs.too_small import TooSmall


def test_without_a_running_daemon_every_state_is_shown_as_old(database: Database) -> None:
    small_fleet(database)
    beat(database, "4 min")

    async def look(it: Driver) -> None:
        assert "✖ no daemon" in it.lines()[0]
        await it.sees("✖ daemon not running, last seen 4m ago: every state below is old")
        assert it.app.screen.query_one("FleetTable").stale  # type: ignore[attr-defined]  # the fleet's
        beat(database)
        await it.refresh()
        assert "● live" in it.lines()[0]
        await it.sees_no("daemon not running")

    drive(database, look)


def test_a_heartbeat_ahead_of_the_databases_clock_shows_no_daemon_as_live(
    database: Database,
) -> None:
    small_fleet(database)
    execute(
        database,
        "UPDATE vehicles SET sync_status = 'ok', last_seen_at = now() + interval '59 min',"
        " last_sync_at = now() + interval '59 min'",
    )
    beat(database, "-59 min")

    async def look(it: Driver) -> None:
        await it.sees("heartbeat is 59m ahead of the database's clock", "◔ heartbeat ahead")
        assert "live" not in it.lines()[0]
        seen = [line.split() for line in it.lines() if "Truck-01" in line]
        assert "late" in seen[0]
        assert "ahead" in seen[0]
        await it.sees("seen 59m ahead of the database's clock")
        assert it.app.screen.query_one("FleetTable").stale  # type: ignore[attr-defined]  # the fleet's
        await it.press("D")
        await it.sees("SEEN", "◔", "ahead", "which was set back")
        await it.press("escape")
        beat(database)
        set_state(database, "Truck-01", "ok", "1 s", "2 s")
        await it.refresh()
        await it.sees("● live")
        await it.sees_no("heartbeat is")
        assert "online" in next(line for line in it.lines() if "Truck-01" in line)

    drive(database, look, size=(140, 30))


def test_a_heartbeat_ahead_is_told_beside_a_daemon_that_runs_elsewhere(database: Database) -> None:
    small_fleet(database)
    gone = replicas.Replica(30, host="gone", pid=7)
    database.run(lambda c: replicas.write_heartbeat(c, gone, 1.0, 2))
    execute(
        database,
        "UPDATE fleetsync.replica SET beat_at = now() + interval '59 min' WHERE host = 'gone'",
    )

    async def look(it: Driver) -> None:
        await it.sees("● live", "! daemon gone:7: heartbeat is 59m ahead of the database's clock")
        again = replicas.Replica(30, host="gone", pid=8)
        database.run(lambda c: replicas.write_heartbeat(c, again, 1.0, 2))
        await it.refresh()
        await it.sees_no("heartbeat is")

    drive(database, look, size=(140, 30))


PAGES = (
    (), ("enter",), ("enter", "2"), ("enter", "3"), ("enter", "4"), ("enter", "5"),
    ("enter", "4", "enter"), ("A",), ("B",), ("Q",), ("F",), ("l",), ("number_sign",),
)  # fmt: skip
NOT_DIMMED = "#totals, #warnings, #hint, #status-line, Input, Tabs *, KeyFooter *, FleetTable"


@pytest.mark.parametrize("keys", PAGES, ids="+".join)
def test_everything_that_was_read_is_dimmed_while_no_daemon_runs(
    database: Database, keys: tuple[str, ...]
) -> None:
    channel(database, small_fleet(database)["Crane-02"], 1, "oil")
    beat(database, "4 min")

    async def look(it: Driver) -> None:
        for key in keys:
            await it.press(key)
            await it.settled()
        screen = it.app.screen
        chosen = set(screen.query(NOT_DIMMED))
        shown = [each for each in screen.query("*") if each.is_on_screen and not each.children]
        read = [each for each in shown if each not in chosen]
        assert read or not keys
        assert [each for each in read if not each.text_style.dim] == []
        beat(database)
        await it.refresh()
        assert [each for each in read if each.text_style.dim] == []

    drive(database, look, size=(160, 45))


def test_without_any_heartbeat_a_warning_is_shown(database: Database) -> None:
    small_fleet(database)
    execute(database, "DELETE FROM fleetsync.replica")

    async def look(it: Driver) -> None:
        await it.sees("✖ daemon not running: every state below is old")

    drive(database, look)


def test_the_heartbeats_age_grows_between_reads(database: Database) -> None:
    small_fleet(database)
    clock = [0.0]

    async def look(it: Driver) -> None:
        clock[0] += 7
        it.app._tick()
        await it.sees("● live 7s")

    drive(database, look, now=lambda: clock[0])


def test_running_daemons_are_counted(database: Database) -> None:
    small_fleet(database)
    database.run(lambda c: replicas.write_heartbeat(c, replicas.Replica(30, host="other"), 1.0, 2))

    async def look(it: Driver) -> None:
        await it.sees("×2 cycle 2.3s" if "cycle 2.3s" in it.lines()[0] else "×2 cycle 1.0s")

    drive(database, look, size=(120, 30))


def test_a_daemon_that_cannot_store_what_it_pulls_has_a_warning_and_is_named_in_the_list(
    database: Database,
) -> None:
    small_fleet(database)
    other = replicas.Replica(30, host="other", pid=7)
    full = Unstored(2, "[Truck-01] database: No space left on device")

    def beat_with(unstored: Unstored) -> None:
        database.run(lambda c: replicas.write_heartbeat(c, other, 1.0, 2, unstored=unstored))

    beat_with(full)
    told = "other:7: 2 vehicle(s) could not be stored in the last cycle: [Truck-01] database: No"

    async def look(it: Driver) -> None:
        await it.sees(f"✖ daemon {told}")
        await it.press("D")
        await it.sees("✖ other:7: 2 vehicle(s) could not be stored")
        await it.press("escape")
        beat_with(Unstored())
        await it.refresh()
        await it.sees_no("could not be stored")

    drive(database, look, size=(140, 30))


def test_an_outage_of_the_whole_fleet_is_one_warning(database: Database) -> None:
    for number in range(3):
        add(database, f"Truck-{number}", f"10.8.0.{number + 1}")
        set_state(database, f"Truck-{number}", "timeout", "10 min", "10 min")
    beat(database)

    async def look(it: Driver) -> None:
        await it.sees("✖ no vehicle answers: check the VPN")
        set_state(database, "Truck-1", "ok", "1 s", "1 s")
        await it.refresh()
        await it.sees_no("check the VPN")

    drive(database, look)


def test_a_frozen_screen_does_not_change_and_shows_since_when(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("Z")
        await it.sees("❄ frozen at", "Z resumes")
        set_state(database, "Truck-01", "error", "1 s", "1 s")
        read_at = it.state.read_at
        await it.press("ctrl+r", "down", "N")
        assert it.state.read_at == read_at
        assert "● Truck-01" in it.screen()
        await it.press("Z")
        await it.sees("✖ Truck-01")
        assert "frozen" not in it.screen()

    drive(database, look)


@pytest.mark.parametrize("size", [(79, 24), (80, 23), (20, 5)])
def test_a_terminal_that_is_too_small_shows_the_needed_size_until_it_is_enlarged(
    database: Database, size: tuple[int, int]
) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        assert isinstance(it.app.screen, TooSmall)
        assert "80x24" in "".join(it.screen().split())
        await it.press("s", "ctrl+d", "escape")
        assert isinstance(it.app.screen, TooSmall)
        await it.pilot.resize_terminal(80, 24)
        await it.sees("Truck-01")
        await it.press("a")
        await it.sees("Add a vehicle")
        await it.type("#name", "Truck-77")
        await it.pilot.resize_terminal(*size)
        await it.until(lambda: isinstance(it.app.screen, TooSmall))
        await it.pilot.resize_terminal(100, 30)
        await it.sees("Add a vehicle", "Truck-77")

    drive(database, look, size=size)


def test_a_dialog_that_finishes_in_a_too_small_terminal_closes_after_the_resize(
    database: Database,
) -> None:
    add(database, "Truck-01")

    async def look(it: Driver) -> None:
        await it.press("e")
        await it.sees("Edit Truck-01")
        await it.type("#name", "Truck-02")
        form = it.app.screen
        await it.pilot.resize_terminal(40, 10)
        await it.until(lambda: isinstance(it.app.screen, TooSmall))
        form.submit()  # type: ignore[attr-defined]  # a dialog
        await it.until(lambda: execute(database, "SELECT name FROM vehicles") == [("Truck-02",)])
        await it.pilot.resize_terminal(80, 24)
        await it.notified("Truck-01: changed")
        await it.until(lambda: it.dialog() == "FleetPage")
        await it.sees("Truck-02")

    drive(database, look)


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[tuple[Path, Server]]:
    """Return a server that a test may stop, with a migrated database `fleet`, and its folder."""
    server = embedded.start(tmp_path / "postgres", durable=False)
    server.create_database("fleet")
    owner = DatabaseSettings(server.parameters("fleet", embedded.OWNER))
    migrate.migrate(owner, embedded.APP)
    yield tmp_path / "postgres", server
    server.stop()


def test_a_lost_database_is_reported_and_reconnected(
    own_server: tuple[Path, Server],
) -> None:
    folder, server = own_server
    with closing(Database(DatabaseSettings(server.parameters("fleet")))) as database:
        small_fleet(database)

        async def look(it: Driver) -> None:
            server.stop()
            it.app.action_refresh()
            await it.sees("✖ database lost for", "✖ no database", "Truck-01")
            await it.press("s", "a")
            assert it.dialog() == "FleetPage"
            assert not it.app._notifications
            await it.press("enter", "2", "l", "escape", "escape")
            assert it.dialog() == "FleetPage"
            again = embedded.start(folder, durable=False)
            try:
                await it.sees_no("database lost")
                await it.press("end", "s")
                await it.notified("Truck-01: sync requested")
            finally:
                again.stop()

        drive(database, look)


def test_a_database_that_was_never_reached_is_not_lost_but_named_with_what_to_do(
    tmp_path: Path,
) -> None:
    nowhere = {"host": str(tmp_path), "dbname": "fleet", "user": "fleet_app"}
    database = Database(DatabaseSettings(nowhere))

    async def look(it: Driver) -> None:
        await it.sees("✖ no database", str(tmp_path), "✖ no answer of the database for")
        await it.sees("The fleet has not been read yet: `fleetsyncd doctor` looks for the cause")
        assert "lost" not in it.screen()
        assert "No vehicle" not in it.screen()
        await it.press("l")
        await it.sees("✖ no database", "✖ no answer of the database for")

    drive(database, look, size=(140, 30))


def test_a_refused_query_is_not_reported_as_a_lost_database(
    database: Database, server: Server, database_name: str
) -> None:
    small_fleet(database)
    refuse = sql.SQL("REVOKE SELECT ON public.vehicles FROM {}").format(
        sql.Identifier(embedded.APP)
    )

    async def look(it: Driver) -> None:
        server.execute(refuse, database=database_name)
        it.app.action_refresh()
        await it.sees("✖ the fleet has been unreadable for", "permission denied", "✖ unreadable")
        await it.sees("Truck-01")

    drive(database, look, size=(120, 30))


def test_a_hanging_query_blocks_neither_keys_nor_quitting(
    database: Database, server: Server, database_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_fleet(database)
    monkeypatch.setattr(background, "QUERY_SEC", 0.2)
    before = threading.active_count()

    async def look(it: Driver) -> None:
        with closing(server.connect(database_name)) as other, other.cursor() as cursor:
            cursor.execute("LOCK TABLE public.vehicles IN ACCESS EXCLUSIVE MODE")
            it.app.action_refresh()
            await it.sees("✖ database lost", "no answer within 0.2 s", "Truck-01")
            await it.press("down", "N")
            await it.sees("sort vehicle▼")
            assert threading.active_count() > before
            await it.press("q")
            await it.until(lambda: not it.app.is_running)

    drive(database, look)


def test_an_unreadable_part_is_reported_while_the_rest_is_updated(
    database: Database, server: Server, database_name: str
) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        with closing(server.connect(database_name)) as owner, owner.cursor() as cursor:
            cursor.execute("REVOKE SELECT ON public.channel_config FROM fleet_app")
            owner.commit()
        await it.press("enter", "4")
        await it.sees("✖ part of this page could not be read: permission denied for table")
        assert "● live" in it.lines()[0]
        await it.press("3")
        await it.sees_no("part of this page could not be read")

    drive(database, look)


def test_an_internal_error_is_reported_and_does_not_end_the_dashboard(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        monkeypatch.setattr(it.app.context.gateway, "sync", lambda _ids: 1 / 0)
        await it.press("s")
        await it.notified("internal error, please report: ZeroDivisionError")
        assert it.app.faults.count == 1
        await it.press("down")
        await it.refresh()

    drive(database, look, faults=True)


def test_the_dashboard_uses_the_daemons_configuration(
    server: Server, database_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fleetsyncd import settings  # noqa: PLC0415  after the environment is set

    for name, value in server.environment(database_name).items():
        monkeypatch.setenv(name, value)
    app = build(settings.load(), read_only=True)
    assert app.context.state.read_only
    assert app.context.gateway.snapshot().vehicles == ()


def test_the_daemons_are_listed_and_a_dead_one_is_marked(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("D")
        await it.sees("DAEMON", "●  centre:")
        beat(database, "5 min")
        it.app.action_refresh()
        await it.sees("✖  centre:", "5m")
        await it.press("escape")
        assert it.dialog() == "FleetPage"

    drive(database, look)


NEWER = (
    "INSERT INTO fleetsync.migration (migration_hash, migration_id, applied_at_utc)"
    " VALUES ('later', '9999.of-a-later-version', now())"
)


def test_a_schema_of_a_newer_program_is_told_while_the_fleet_is_shown(
    database: Database, server: Server, database_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema_watch, "EVERY_SEC", 0.05)
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.sees("Truck-01")
        assert "newer" not in it.screen()
        server.execute(sql.SQL(NEWER), database=database_name)
        await it.until(lambda: it.state.newer_schema is not None)
        it.app._tick()
        await it.sees("! the schema is newer than this program, version", "upgrade it", "Truck-01")

    drive(database, look, size=(140, 30))


def test_a_role_that_may_not_read_the_migrations_sees_the_fleet_without_a_word(
    database: Database, server: Server, database_name: str
) -> None:
    small_fleet(database)
    server.execute(sql.SQL(NEWER), database=database_name)
    server.execute(
        sql.SQL("REVOKE SELECT ON fleetsync.migration FROM {}").format(
            sql.Identifier(embedded.APP)
        ),
        database=database_name,
    )

    async def look(it: Driver) -> None:
        await it.sees("Truck-01", "● live")
        await it.settled()
        await it.refresh()
        assert "✖ part" not in it.screen()
        assert "newer" not in it.screen()

    drive(database, look)


def test_a_dialog_that_opens_in_a_too_small_terminal_stays_below_its_cover(
    server: Server,
    database: Database,
    database_name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("COLUMNS", "LINES"):  # they would stand for the size of the terminal
        monkeypatch.delenv(name, raising=False)
    small_fleet(database)
    with (
        terminal(server, database_name, tmp_path) as it,
        closing(server.connect(database_name)) as other,
        other.cursor() as cursor,
    ):
        it.sees("1-4 of 4")
        cursor.execute("LOCK TABLE public.vehicles IN ACCESS EXCLUSIVE MODE")
        it.type("e")
        it.read_for(0.5)
        resize(it, 60, 20, "Too small")
        other.rollback()
        it.read_for(2)
        it.shown.clear()
        resize(it, 80, 24, "VPN address")
        it.type("\x1b")
        it.sees("1-4 of 4")
        it.read_for(0.5)
        assert b"Too small" not in it.shown
        it.type("q")
        assert it.ended() == 0


def test_a_daemon_with_a_name_is_listed_by_it_and_missed_until_that_name_runs_again(
    database: Database,
) -> None:
    small_fleet(database)
    dead = replicas.Replica(30, host="centre", pid=7, given_name="centre@1")
    database.run(lambda c: replicas.write_heartbeat(c, dead, 1.0, 2))
    execute(database, "UPDATE fleetsync.replica SET beat_at = now() - interval '2 minutes',"
            " started_at = now() - interval '1 hour' WHERE name = 'centre@1'")  # fmt: skip
    neighbour = replicas.Replica(30, host="centre", pid=8, given_name="centre@2")
    database.run(lambda c: replicas.write_heartbeat(c, neighbour, 1.0, 2))

    async def look(it: Driver) -> None:
        await it.sees("✖ 1 dead")
        again = replicas.Replica(30, host="centre", pid=9, given_name="centre@1")
        database.run(lambda c: replicas.write_heartbeat(c, again, 1.0, 2))
        await it.refresh()
        await it.sees_no("dead")
        await it.press("D")
        await it.sees("centre@1", "centre@2")

    drive(database, look)
