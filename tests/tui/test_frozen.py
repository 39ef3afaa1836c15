"""In every mode the dashboard tells the state of daemons and database, and how old its rows are."""

from collections.abc import Callable

import pytest
from rich.text import Text

from fleetsyncd.database import replicas
from fleetsyncd.database.pool import Database
from fleetsyncd.errors import DatabaseLost
from tests.tui.driving import Driver, beat, channel, drive, execute, set_state, small_fleet
from tui import poller
from tui.gateway import Gateway
from tui.model.state import FleetState
from tui.widgets.status_bar import freshness

DEAD = "UPDATE fleetsync.replica SET beat_at = beat_at - interval '4 min'"


def top(it: Driver) -> str:
    """Return the line of totals of the page, which a dialog may cover in part."""
    page = it.app.page
    assert page is not None
    return str(page.query_one("#totals").render())


def test_a_frozen_screen_tells_its_age_and_that_the_daemon_died(database: Database) -> None:
    small_fleet(database)
    clock = [0.0]

    async def look(it: Driver) -> None:
        it.app.poller.interval = 0.05
        await it.press("Z")
        clock[0] = 120.0
        await it.until(lambda: "❄ frozen 2m ● live" in it.lines()[0])
        execute(database, DEAD)
        set_state(database, "Truck-01", "error", "1 s", "1 s")
        await it.until(lambda: "❄ frozen 2m ✖ no daemon" in it.lines()[0])
        await it.sees("✖ daemon not running, last seen 4m ago", "● Truck-01")
        beat(database)
        await it.until(lambda: "● live" in it.lines()[0])
        await it.press("Z")
        await it.sees("✖ Truck-01")
        assert "frozen" not in it.screen()

    drive(database, look, now=lambda: clock[0])


def test_a_read_that_ends_after_the_freeze_changes_no_row(database: Database) -> None:
    small_fleet(database)
    gateway = Gateway(database, 30)
    state = FleetState("fleet")
    state.update(gateway.snapshot(), 10.0)
    state.frozen_at = execute(database, "SELECT now()")[0][0]
    set_state(database, "Truck-01", "error", "1 s", "1 s")
    before = state.snapshot
    execute(database, DEAD)
    state.update(gateway.snapshot(), 20.0)
    assert (state.snapshot, state.read_at) == (before, 10.0)
    assert state.daemons(20.0).running == []


@pytest.mark.parametrize(
    "keys", [["enter"], ["l"], ["enter", "4"], ["D"], ["question_mark"], ["a"]]
)
def test_pages_and_dialogs_leave_the_daemons_true_state_in_the_first_line(
    database: Database, keys: list[str]
) -> None:
    small_fleet(database)
    clock = [0.0]

    async def look(it: Driver) -> None:
        it.app.poller.interval = 0.05
        await it.press("Z", *keys)
        clock[0] = 300.0
        execute(database, DEAD)
        it.app.poller.wake()
        await it.until(lambda: "❄ frozen 5m ✖ no daemon" in top(it))

    drive(database, look, now=lambda: clock[0])


def test_a_terminal_that_is_too_small_still_tells_that_the_daemon_died(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.sees("● live")
        execute(database, DEAD)
        it.app.action_refresh()
        await it.sees("Too small", "✖ no daemon")

    drive(database, look, size=(60, 10))


def test_between_rare_reads_of_the_fleet_the_heartbeats_are_read(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_fleet(database)
    monkeypatch.setattr(poller, "PULSE_SEC", 0.05)

    async def look(it: Driver) -> None:
        it.app.poller.interval = 3600.0
        await it.refresh()
        read_at = it.state.read_at
        execute(database, DEAD)
        await it.sees("✖ no daemon", "✖ daemon not running")
        assert it.state.read_at == read_at

    drive(database, look)


@pytest.mark.parametrize(
    ("beat_age", "shown"),
    [("5 s", "● live"), ("14 s", "● live"), ("20 s", "◔ late 20s"), ("40 s", "✖ no daemon")],
)
def test_a_heartbeat_that_two_others_should_have_followed_is_late(
    database: Database, beat_age: str, shown: str
) -> None:
    small_fleet(database)
    execute(database, "DELETE FROM fleetsync.replica")
    beat(database, beat_age)
    state = state_of(database)
    line = freshness(state, 0.0)
    assert shown in line.plain
    assert ("green" in styles(line)) == ("live" in shown)
    assert ("bold yellow" in styles(line)) == ("late" in shown)


def test_the_first_line_has_the_age_of_what_is_shown_once_it_is_not_new(database: Database) -> None:
    small_fleet(database)
    state = state_of(database)
    assert "old" not in freshness(state, 9.0).plain
    state.update_heartbeats(state.heartbeats, 29.0)
    assert freshness(state, 30.0).plain.startswith("30s old ● live")
    state.mark_lost("no connection", 100.0, 1.0)
    assert freshness(state, 130.0).plain == "2m old ✖ no database"


def styles(line: Text) -> set[str]:
    return {str(span.style) for span in line.spans}


def state_of(database: Database) -> FleetState:
    """Return the state after a read at 0 s."""
    state = FleetState("fleet")
    state.update(Gateway(database, 30).snapshot(), 0.0)
    return state


def run_daemon(database: Database, host: str, *, started: str, beat_ago: str) -> None:
    """Write the heartbeat of a daemon that was started and heard so long ago."""
    it = replicas.Replica(30, host=host)
    database.run(lambda cursor: replicas.write_heartbeat(cursor, it, 1.0, 2))
    execute(
        database,
        "UPDATE fleetsync.replica SET started_at = now() - %s::interval,"
        " beat_at = now() - %s::interval WHERE id = %s::uuid",
        started, beat_ago, str(it.id),
    )  # fmt: skip


def one_of_two(database: Database) -> None:
    run_daemon(database, "one", started="9 h", beat_ago="1 s")
    run_daemon(database, "two", started="9 h", beat_ago="4 min")


def restarted(database: Database) -> None:
    run_daemon(database, "one", started="9 h", beat_ago="4 min")
    run_daemon(database, "elsewhere", started="3 min", beat_ago="1 s")


def crashing_again_and_again(database: Database) -> None:
    for ago in range(10, 50, 10):
        run_daemon(database, "one", started=f"{ago + 9} min", beat_ago=f"{ago} min")
    run_daemon(database, "one", started="9 min", beat_ago="1 s")


def one_of_two_and_the_other_was_restarted(database: Database) -> None:
    run_daemon(database, "two", started="9 h", beat_ago="60 min")
    run_daemon(database, "one", started="9 h", beat_ago="5 min")
    run_daemon(database, "one", started="4 min", beat_ago="1 s")


@pytest.mark.parametrize(
    ("daemons", "missing"),
    [
        (one_of_two, ["two"]),
        (restarted, []),
        (crashing_again_and_again, []),
        (one_of_two_and_the_other_was_restarted, ["two"]),
    ],
    ids=lambda it: getattr(it, "__name__", ""),
)
def test_a_daemon_is_missing_unless_another_was_started_in_its_place(
    database: Database, daemons: Callable[[Database], None], missing: list[str]
) -> None:
    daemons(database)
    state = state_of(database)
    assert [each.host for each in state.daemons(0.0).missing] == missing
    line = freshness(state, 0.0).plain
    assert ("✖ 1 dead" in line) == bool(missing)
    texts = [warning.text for warning in state.warnings(0.0)]
    assert [text for text in texts if "1 of 2 daemons run (D)" in text] == texts[: len(missing)]


def colour_of(it: Driver, text: str) -> str:
    """Return the colour of the piece of a line that holds the text."""
    parts = [segment for strip in it.strips() for segment in strip if text in segment.text]
    assert parts, it.screen()
    assert parts[0].style is not None
    return str(parts[0].style.color)


@pytest.mark.parametrize("page", ["journal", "plot"])
def test_what_follows_the_present_says_so_only_while_it_does(
    database: Database, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    ids = small_fleet(database)
    channel(database, ids["Crane-02"], 1, "oil")
    gateway = Gateway(database, 30)
    clock = [0.0]

    def lost(*_args: object, **_more: object) -> None:
        raise DatabaseLost("no connection to the server")

    def later(it: Driver) -> str:
        """Return the line; what was being read as a query broke is read again."""
        clock[0] += 100.0
        it.app.action_refresh()
        return line(it)

    def line(it: Driver) -> str:
        line = it.app.screen.query_one("#status-line" if page == "journal" else "#headline")
        return str(line.render())

    async def look(it: Driver) -> None:
        it.app.poller.interval = 0.05
        await it.press(*(["l"] if page == "journal" else ["enter", "4", "enter"]))
        live, frozen, neither = (
            [f"newest page, {word}" for word in ("live", "frozen", "not live")]
            if page == "journal"
            else [f"UTC · {word}" for word in ("live", "frozen", "not live")]
        )
        await it.until(lambda: live in line(it))
        await it.press("Z")
        await it.until(lambda: frozen in line(it))
        await it.press("Z")
        await it.until(lambda: live in line(it))
        for query in ("snapshot", page):
            with monkeypatch.context() as broken:
                broken.setattr(gateway, query, lost)
                await it.until(lambda: neither in later(it))
            await it.until(lambda: live in later(it))

    drive(gateway, look, size=(120, 30), now=lambda: clock[0])


@pytest.mark.parametrize(
    ("keys", "texts"),
    [
        ([], ["Crane-02"]),
        (["enter"], [" seen ", "no attempts"]),
        (["enter", "2"], [" seen ", "SINCE"]),
        (["enter", "3"], [" seen ", "STARTED"]),
        (["enter", "5"], [" seen ", "committed up to"]),
        (["l"], ["STARTED"]),
    ],
    ids=["fleet", "history", "alarms", "vehicle's journal", "config", "journal"],
)
def test_while_the_database_is_lost_everything_that_was_read_is_dimmed(
    database: Database, monkeypatch: pytest.MonkeyPatch, keys: list[str], texts: list[str]
) -> None:
    small_fleet(database)
    gateway = Gateway(database, 30)
    clock = [0.0]

    def lost() -> None:
        raise DatabaseLost("no connection to the server")

    async def look(it: Driver) -> None:
        await it.press("end", *keys)
        await it.sees(*texts)
        await it.settled()
        before = [colour_of(it, text) for text in texts]
        with monkeypatch.context() as broken:
            broken.setattr(gateway, "snapshot", lambda *_args, **_more: lost())
            clock[0] = 130.0
            it.app.action_refresh()
            await it.sees(" old ✖ no database", "✖ database lost for")
            await it.pilot.pause()
            dimmed = [colour_of(it, text) for text in texts]
            assert [now != then for now, then in zip(dimmed, before, strict=True)] == [
                True for _ in texts
            ]
        it.app.action_refresh()
        await it.sees_no("✖ no database")
        await it.until(lambda: [colour_of(it, text) for text in texts] == before)

    drive(gateway, look, size=(120, 30), now=lambda: clock[0])
