"""The view that is remembered between two runs: whatever is wrong with it ends nothing."""

import asyncio
import json
import os
import stat
import threading
from pathlib import Path

import pytest

from fleetsyncd.database.pool import Database
from tests.tui.driving import WAIT_SEC, dashboard, small_fleet
from tui.app import FleetApp
from tui.model.fleet_view import FleetView
from tui.model.sorting import Sort
from tui.remembered import FILE, Memory, Remembered, memory, of_view


def test_the_file_is_below_xdg_state_home_if_that_is_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for folder, parent in ((str(tmp_path), tmp_path), ("state", tmp_path / "home/.local/state")):
        kept = memory({"XDG_STATE_HOME": folder})
        assert kept is not None
        assert kept.save(Remembered(theme="nord")) == ""
        assert json.loads((parent / FILE).read_text())["theme"] == "nord"


def test_a_view_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    view = FleetView(sort=Sort.LAG, descending=True, problems_only=True)
    view.columns = {"ROWS": False, "VERSION": True}
    assert Memory(tmp_path / "view.json").save(of_view(view, "nord")) == ""
    kept = Memory(tmp_path / "view.json")
    assert kept.load() == ""
    restored = FleetView()
    kept.last.restore(restored)
    assert of_view(restored, kept.last.theme) == of_view(view, "nord")


def test_a_file_of_a_version_that_knows_more_is_read(tmp_path: Path) -> None:
    (tmp_path / "view.json").write_text('{"sort": "lag", "zoom": 3}')
    kept = Memory(tmp_path / "view.json")
    assert (kept.load(), kept.last.sort) == ("", Sort.LAG)


def test_what_this_version_refuses_is_told_in_a_line_and_the_rest_comes_back(
    tmp_path: Path,
) -> None:
    text = '{"sort": "tag", "problems_only": true, "columns": {"ROWS": "wide"}, "theme": "nord"}'
    (tmp_path / "view.json").write_text(text)
    kept = Memory(tmp_path / "view.json")
    told = kept.load()
    assert "\n" not in told
    assert "sort: Invalid enum value 'tag'" in told
    assert "columns: Expected `bool`" in told
    assert kept.last == Remembered(theme="nord", problems_only=True)


def test_a_pipe_a_folder_and_nothing_hold_up_no_start(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "nothing"):
        kept = Memory(path)
        assert (kept.load(), kept.last) == ("", Remembered())


def test_a_failed_save_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "view.json").mkdir()
    assert "not remembered" in Memory(tmp_path / "view.json").save(Remembered())
    assert os.listdir(tmp_path) == ["view.json"]


def test_a_saved_file_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        Memory(tmp_path / "new" / "view.json").save(Remembered())
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new" / "view.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


async def run(app: FleetApp, chosen: str | None, kept: Memory) -> str:
    """Run the app, choose a theme, wait until it is remembered; return the theme at its start."""
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        begun = app.theme
        if chosen is not None:
            app.theme = chosen
            async with asyncio.timeout(WAIT_SEC):
                while kept.last.theme != chosen:
                    await pilot.pause(0.05)
        app.exit()
    app.save_view()
    return begun


def test_a_chosen_theme_is_that_of_the_next_run_unless_textual_theme_is_set(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_fleet(database)
    monkeypatch.delenv("TEXTUAL_THEME", raising=False)

    def next_run(chosen: str | None) -> str:
        kept = Memory(tmp_path / "view.json")
        return asyncio.run(run(dashboard(database, memory=kept), chosen, kept))

    usual = next_run(None)
    assert next_run("nord") == usual
    assert next_run(None) == "nord"
    monkeypatch.setenv("TEXTUAL_THEME", usual)
    assert next_run(None) == usual
    monkeypatch.delenv("TEXTUAL_THEME")
    assert next_run("gruvbox") == "nord"
    for thread in threading.enumerate():
        if thread.name.startswith("fleetsync-tui"):  # it may still be writing
            thread.join(30)
    (tmp_path / "view.json").write_text('{"theme": "of another version"}')
    assert next_run(None) == usual
