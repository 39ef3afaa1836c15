"""An error in one place does not end the dashboard: it is told, written down, and survived."""

import asyncio
import os
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from psycopg2 import errors
from textual.events import Key, MouseDown, MouseUp
from textual.screen import Screen
from textual.widget import Widget

import tui
from fleetsyncd.database.pool import Database
from fleetsyncd.demo.embedded import Server
from fleetsyncd.errors import INTERNAL_ERROR
from tests.tui.driving import Driver, drive, small_fleet
from tests.tui.terminal import terminal
from tui.app import FleetApp
from tui.containment import UNDRAWABLE
from tui.dialogs.help import HelpDialog
from tui.dialogs.vehicle import VehicleForm
from tui.fault_log import MOST_FILES, REPEAT_SEC, FaultLog
from tui.gateway import Gateway
from tui.screens.fleet import FleetPage
from tui.screens.page import Page
from tui.screens.vehicle import VehiclePage
from tui.typing_order import MOST_WAITING
from tui.widgets.fixed_text import FixedText
from tui.widgets.fleet_table import FleetTable
from tui.widgets.panes.alarms import AlarmsPane
from tui.widgets.panes.history import HistoryPane
from tui.widgets.panes.pane import Pane

SECRET = "its-secret-key"


class Planted(Exception):
    pass


def fail(*_: object, **__: object) -> Any:
    raise Planted("here")


async def fail_later(*_: object, **__: object) -> None:
    raise Planted("here")


def traces(folder: Path) -> list[str]:
    return [path.read_text() for path in sorted((folder / "state" / "fleetsync-tui").iterdir())]


def until_told(
    database: Database,
    tmp_path: Path,
    keys: list[str],
    *,
    stays_on: type[Screen[Any]] | None = None,
) -> None:
    """Press keys that lead to the planted error; the dashboard must tell it, and go on."""
    small_fleet(database)

    async def session(it: Driver) -> None:
        for key in keys:
            await it.press(key)
            await it.pilot.pause(0.05)
        await it.notified(f"{INTERNAL_ERROR}: Planted: here")
        if stays_on is not None:
            await it.until(lambda: isinstance(it.app.screen, stays_on))
        assert it.app.is_running
        await it.press("escape", "escape")
        await it.until(lambda: isinstance(it.app.screen, FleetPage))
        await it.press("question_mark")
        await it.until(lambda: isinstance(it.app.screen, HelpDialog))

    drive(database, session, faults=True)
    (trace,) = traces(tmp_path)
    assert "raise Planted" in trace
    assert trace.endswith("Planted: here\n")


@pytest.mark.parametrize(
    ("owner", "name", "keys"),
    [
        (FleetPage, "on_fleet_table_changed", ["j"]),
        (FleetPage, "action_problems", ["exclamation_mark"]),
        (FleetApp, "action_interval", ["plus"]),
        (FleetApp, "_tick", []),
        (FleetTable, "action_move", ["j"]),
        (FleetPage, "on_input_changed", ["slash", "x"]),
        (VehicleForm, "on_input_changed", ["a", "x"]),
        (VehiclePage, "update_body", ["enter"]),
        (FleetApp, "on_fleet_table_opened", ["enter"]),
        (FleetTable, "show", []),
    ],
)  # fmt: skip
def test_a_failing_handler_action_or_timer_is_told_and_survived(
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    owner: type,
    name: str,
    keys: list[str],
) -> None:
    monkeypatch.setattr(owner, name, fail)
    until_told(database, tmp_path, keys)


def test_a_failing_read_of_a_pane_is_told_and_survived(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HistoryPane, "load", fail_later)
    until_told(database, tmp_path, ["enter"], stays_on=VehiclePage)


def test_a_failing_look_for_a_newer_schema_is_told_and_survived(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Gateway, "newer_schema", fail)
    until_told(database, tmp_path, [])


def test_a_failing_watcher_is_told_and_survived(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plant(self: FleetPage) -> None:
        self.watch(self, "title", fail, init=False)
        self.title = "other"

    monkeypatch.setattr(FleetPage, "action_problems", plant)
    until_told(database, tmp_path, ["exclamation_mark"])


@pytest.mark.parametrize(
    "how", ["call_next", "call_later", "call_after_refresh", "task", "worker", "timer"]
)
def test_what_fails_later_is_told_and_survived(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    def plant(self: FleetPage) -> None:
        if how == "task":
            asyncio.get_running_loop().call_soon(fail)
        elif how == "worker":
            self.run_worker(fail_later())
        elif how == "timer":
            self.set_timer(0.01, fail)
        else:
            getattr(self, how)(fail)

    monkeypatch.setattr(FleetPage, "action_problems", plant)
    until_told(database, tmp_path, ["exclamation_mark"])


@pytest.mark.parametrize("name", ["body", "on_mount"])
def test_a_page_that_cannot_be_built_is_left(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(VehiclePage, name, fail)
    until_told(database, tmp_path, ["enter"], stays_on=FleetPage)


def test_a_page_that_cannot_be_laid_out_is_left(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(VehiclePage, "arrange", fail)
    until_told(database, tmp_path, ["enter"], stays_on=FleetPage)


def test_a_dialog_that_cannot_be_built_is_cancelled(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(VehicleForm, "body", fail)
    until_told(database, tmp_path, ["a"], stays_on=FleetPage)


@pytest.mark.parametrize(("owner", "name"), [(FixedText, "render"), (FleetTable, "render_line")])
def test_a_widget_that_cannot_be_drawn_says_so_in_its_place(
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    owner: type[Widget],
    name: str,
) -> None:
    monkeypatch.setattr(owner, name, fail)
    small_fleet(database)

    async def session(it: Driver) -> None:
        await it.sees(UNDRAWABLE)
        await it.press("question_mark")
        await it.until(lambda: isinstance(it.app.screen, HelpDialog))

    drive(database, session, faults=True)
    assert len(traces(tmp_path)) == 1


def test_the_fleet_page_going_ends_it_with_one_line_and_the_exit_code_1(
    server: Server, database: Database, database_name: str, tmp_path: Path
) -> None:
    small_fleet(database)
    planted = (
        "from tui.screens.fleet import FleetPage\n"
        "def fail(*_):\n    raise ValueError('no body')\n"
        "FleetPage.body = fail\n"
        "from tui.__main__ import main\nmain(prog_name='fleetsync-tui')\n"
    )
    with terminal(server, database_name, tmp_path, command=[sys.executable, "-c", planted]) as it:
        assert it.ended() == 1
        said = it.shown[it.shown.index(b"\x1b[?1049l") :].decode()
    assert f"fleetsync-tui: {INTERNAL_ERROR}: ValueError: no body; its trace is in " in said
    assert "Traceback" not in said
    assert said.count("ValueError") == 1


def test_a_fault_that_repeats_is_told_once(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FleetTable, "action_move", fail)
    small_fleet(database)

    async def session(it: Driver) -> None:
        await it.press(*"jkjkjkjk")
        await it.notified(INTERNAL_ERROR)
        assert it.app.faults.count == 8
        assert len([n for n in it.app._notifications if INTERNAL_ERROR in n.message]) == 1

    drive(database, session, faults=True)
    assert len(traces(tmp_path)) == 1


def log(folder: Path, clock: Callable[[], float] = lambda: 0.0) -> FaultLog:
    return FaultLog(lambda: [SECRET], clock, folder)


def raised(make: Callable[[], BaseException]) -> BaseException:
    error = make()
    with suppress(type(error)):
        raise error
    return error


def test_neither_message_nor_file_holds_secrets_or_values(tmp_path: Path) -> None:
    key = SECRET
    detail = f"null value\nDETAIL:  Failing row contains (1, Truck-01, {key})."
    made = [
        ValueError(f"{key} is no key"),
        errors.NotNullViolation(detail),
        RuntimeError("cannot reach postgresql://fleet:pa$$w@rd@db:5432/fleet password=hunter2x"),
        KeyError({"api_key": "another-one"}),
    ]
    for number, error in enumerate(made):
        fault = log(tmp_path / str(number)).note(raised(lambda error=error: error))  # type: ignore[misc]  # a default is no argument
        assert fault is not None
        assert fault.path is not None
        for text in (fault.text, fault.path.read_text()):
            for hidden in (key, "Failing row", "pa$$w", "hunter2x", "another-one"):
                assert hidden not in text.replace("def test_neither", "")


def test_a_trace_names_the_error_that_led_to_it_and_no_control_characters(tmp_path: Path) -> None:
    def chained() -> BaseException:
        error = ValueError("outer\x1b[2J")
        error.__cause__ = raised(lambda: KeyError("inner"))
        return error

    fault = log(tmp_path).note(raised(chained))
    assert fault is not None
    assert fault.path is not None
    text = fault.path.read_text()
    assert text.index("KeyError: 'inner'") < text.index("ValueError: outer")
    assert "\x1b" not in text


def test_files_are_private_and_few(tmp_path: Path) -> None:
    folder = tmp_path / "faults"
    for _ in range(MOST_FILES + 5):
        fault = log(folder).note(raised(lambda: ValueError("x")))
    assert fault is not None
    assert fault.path is not None
    assert len(list(folder.iterdir())) == MOST_FILES
    assert fault.path.exists()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(fault.path.stat().st_mode) == 0o600


def test_a_folder_that_is_not_private_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = tmp_path / "public"
    public.mkdir()
    public.chmod(0o777)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    fault = log(public).note(raised(lambda: ValueError("x")))
    assert fault is not None
    assert fault.path is not None
    assert fault.path.parent == tmp_path / "state" / "fleetsync-tui"
    assert not os.listdir(public)


def test_a_fault_that_still_happens_is_told_again_after_a_while(tmp_path: Path) -> None:
    time = 0.0
    it = log(tmp_path, lambda: time)

    def happen() -> bool:
        return it.note(raised(lambda: ValueError("x"))) is not None

    assert happen()
    time = REPEAT_SEC - 1
    assert not happen()
    time = REPEAT_SEC
    assert happen()
    assert len(list(tmp_path.iterdir())) == 1


def test_pages_that_were_left_at_once_do_nothing_any_more(
    database: Database, tmp_path: Path
) -> None:
    small_fleet(database)

    async def session(it: Driver) -> None:
        for keys in (["enter", "question_mark", "escape", "escape"], ["l", "D", "escape", "q"]):
            for pause in (0.0, 0.01, 0.05):
                for key in keys:
                    it.app.simulate_key(key)
                    await asyncio.sleep(pause)
                await it.until(lambda: isinstance(it.app.screen, FleetPage))
                await it.pilot.pause(0.2)
        assert not it.app.faults.count, traces(tmp_path)

    drive(database, session)


def test_what_was_to_happen_later_finds_its_page_left(database: Database) -> None:
    small_fleet(database)

    async def session(it: Driver) -> None:
        await it.press("enter")
        page = it.app.page
        assert isinstance(page, VehiclePage)
        pane = page.query_one(AlarmsPane)
        await it.press("escape")
        await it.until(lambda: not page.is_running)
        for later in (page.update_page, page.tick, pane.refresh_data):
            later()
        await it.pilot.pause(0.2)

    drive(database, session)


def test_every_page_and_pane_asks_whether_it_is_open() -> None:
    for asking in (Page.update_page, Page.tick):
        assert "is_live" in asking.__code__.co_names
    assert Pane.refresh_data.__code__.co_names[0] == "read_part"


def test_a_click_on_what_is_gone_but_still_painted_does_nothing(database: Database) -> None:
    small_fleet(database)

    async def session(it: Driver) -> None:
        await it.press("question_mark")
        await it.settled()
        gone = it.app.screen.query_one("#box > *")
        x, y = gone.region.offset
        with it.app.batch_update():  # nothing is laid out anew meanwhile
            await gone.remove()
            for kind in (MouseDown, MouseUp):
                it.app.post_message(kind(None, x, y, 0, 0, 1, False, False, False, x, y))
            await it.until(lambda: not it.app.message_queue_size and not it.app.keys_are_waiting)

    drive(database, session)


def test_the_keys_behind_one_that_fails_have_their_turns(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_fleet(database)

    async def session(it: Driver) -> None:
        monkeypatch.setattr(Screen, "_forward_event", fail)
        it.app.post_message(MouseDown(None, 1, 5, 0, 0, 1, False, False, False, 1, 5))
        it.app.post_message(Key("question_mark", "?"))
        await it.until(lambda: isinstance(it.app.screen, HelpDialog))
        assert it.app.faults.count == 1

    drive(database, session, faults=True)


def test_more_keys_than_can_be_acted_on_are_forgotten_together(database: Database) -> None:
    small_fleet(database)

    async def session(it: Driver) -> None:
        begun = it.app.open_soon()  # every key waits for what is going to open
        for _ in range(MOST_WAITING + 1):
            it.app.post_message(Key("l", "l"))
        await it.until(lambda: not it.app.message_queue_size)
        assert len(it.app._waiting) == 0
        begun.release()
        await it.sees(f"{MOST_WAITING + 1} keys came faster")
        assert isinstance(it.app.screen, FleetPage)

    drive(database, session)


def test_one_error_of_a_library_from_two_places_of_the_program_is_two_faults(
    tmp_path: Path,
) -> None:
    it = log(tmp_path)
    for place in ("one", "other"):
        parts: dict[str, Any] = {}
        source = Path(tui.__file__).parent / f"{place}.py"
        exec(compile("import json\ndef read():\n    json.loads('{')", source, "exec"), parts)  # noqa: S102  a test's
        with pytest.raises(ValueError) as caught:  # noqa: PT011  of the library
            parts["read"]()
        assert it.note(caught.value) is not None
        assert it.note(caught.value) is None
    assert len(list(tmp_path.iterdir())) == 2


def test_a_fault_that_is_told_again_names_its_file(tmp_path: Path) -> None:
    time = 0.0
    it = log(tmp_path, lambda: time)

    def happen() -> Path:
        fault = it.note(raised(lambda: ValueError("x")))
        assert fault is not None
        assert fault.path is not None
        return fault.path

    first = happen()
    time = REPEAT_SEC
    assert happen() == first
    first.unlink()
    time = 2 * REPEAT_SEC
    assert happen().exists()
