"""Filters and sorts through a real terminal, by the bytes that an operator's keys send."""

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fleetsyncd.database.pool import Database
from fleetsyncd.demo.embedded import Server
from tests.tui.driving import beat, execute, set_state, small_fleet
from tests.tui.terminal import Terminal, terminal

SETTLE_SEC = 1.0
STATE_FILE = "state/fleetsync-tui/view.json"


@contextmanager
def opened(
    server: Server, database_name: str, folder: Path, sees: str, *options: str
) -> Iterator[Terminal]:
    """Open the dashboard, and wait until it shows the fleet."""
    with terminal(server, database_name, folder, *options) as it:
        it.sees(sees)
        it.read_for(SETTLE_SEC)
        yield it


def then(it: Terminal, keys: str, *texts: str) -> None:
    """Send keys; wait until each text has been sent after them, or is on the screen."""
    it.shown.clear()
    it.type(keys)
    for text in texts:
        it.sees(text)
    it.read_for(SETTLE_SEC)


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("st:foo", "st:foo is no state: online catching timeout"),
        ("lag>5x", "5x is not an age, as in lag>5m"),
        ("foo:bar", 'for a text write "foo:bar"'),
        ("lag >", "lag > lacks an age, as in lag>5m"),
    ],
)
def test_a_wrong_filter_is_refused_where_it_stands_and_enter_does_not_drop_it(
    server: Server,
    database: Database,
    database_name: str,
    tmp_path: Path,
    typed: str,
    answer: str,
) -> None:
    small_fleet(database)
    with opened(server, database_name, tmp_path, "Truck-01") as it:
        then(it, "/")
        then(it, f"-st:paused {typed}", answer, "still filtered by -st:paused")
        then(it, "\r")
        then(it, "p")
        then(it, "\x1b", "filter: ")
        it.type("q")
        assert it.ended() == 0
    assert execute(database, "SELECT count(*) FROM fleetsync.vehicle_state WHERE paused") == [(0,)]


def thousand(database: Database) -> None:
    """Register 1,000 healthy vehicles, and two in trouble with the last names of all."""
    execute(
        database,
        "INSERT INTO vehicles (name, vpn_ip, sync_status, last_seen_at, last_sync_at)"
        " SELECT 'truck-' || lpad(n::text, 4, '0'), '10.9.0.0'::inet + n, 'ok', now(), now()"
        " FROM generate_series(1, 998) n"
        " UNION ALL SELECT name, host::inet, 'ok', now(), now()"
        " FROM (VALUES ('zz-mute', '10.8.0.1'), ('zz-refused', '10.8.0.2')) v (name, host)",
    )
    set_state(database, "zz-mute", "timeout", "3 h", "3 h")
    set_state(database, "zz-refused", "error", "5 s", "9 min")
    beat(database)


def test_the_worst_are_at_the_top_when_it_opens_and_whenever_they_are_asked_for(
    server: Server, database: Database, database_name: str, tmp_path: Path
) -> None:
    thousand(database)
    with opened(server, database_name, tmp_path, "zz-refused") as it:
        worst = ["zz-refused", "zz-mute"]
        assert [line.split()[1] for line in it.lines()[2:4]] == worst
        it.sees("1-19 of 1000")
        then(it, "N", "truck-0019")
        for keys in ("S", "!"):
            then(it, "\x1b[F", "982-1000 of 1000")
            then(it, keys, " 1-")
            shown = [line.split()[1] for line in it.lines()[2:4]]
            assert shown == (worst if keys == "S" else sorted(worst))
            then(it, "!" if keys == "!" else "N", "truck-0019")
        it.type("q")
        assert it.ended() == 0


def test_a_vehicle_that_is_paused_among_the_problems_stays_and_says_so(
    server: Server, database: Database, database_name: str, tmp_path: Path
) -> None:
    thousand(database)
    with opened(server, database_name, tmp_path, "zz-refused") as it:
        then(it, "!", "1-2 of 2")
        then(it, "p", "zz-refused kept")
        assert "1-2 of 2" in it.screen()
        then(it, "j")
        assert "1-2 of 2" in it.screen()
        then(it, "S", "1-1")
        it.type("q")
        assert it.ended() == 0


def test_sort_problems_columns_and_theme_are_those_of_the_last_run(
    server: Server, database: Database, database_name: str, tmp_path: Path
) -> None:
    small_fleet(database)
    file = tmp_path / STATE_FILE
    with opened(server, database_name, tmp_path, "Truck-01", "--read-only") as it:
        then(it, "L", "LAG")
        it.type("!q")
        assert it.ended() == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    remembered = json.loads(file.read_text())
    assert (remembered["sort"], remembered["problems_only"]) == ("lag", True)
    file.write_text(json.dumps({**remembered, "theme": "nord", "columns": {"VERSION": True}}))
    with opened(server, database_name, tmp_path, "problems only") as it:
        it.sees("sort lag▼ · 1-3 of 3 (4)")
        it.sees("VERSION")
        it.type("q")
        assert it.ended() == 0
    assert json.loads(file.read_text())["theme"] == "nord"


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff", b'{"sort": "by magic"}', b'{"columns": {"ROWS": 7}}']
)
def test_a_broken_file_of_the_view_is_told_and_ignored(
    server: Server, database: Database, database_name: str, tmp_path: Path, content: bytes
) -> None:
    small_fleet(database)
    file = tmp_path / STATE_FILE
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    with opened(server, database_name, tmp_path, "Truck-01") as it:
        it.sees("is ignored")
        it.type("L")
        it.read_for(SETTLE_SEC)
        it.type("q")
        assert it.ended() == 0
        assert b"Traceback" not in it.shown
    assert json.loads(file.read_text())["sort"] == "lag"


def test_a_view_that_cannot_be_saved_is_told_once_and_the_dashboard_goes_on(
    server: Server, database: Database, database_name: str, tmp_path: Path
) -> None:
    small_fleet(database)
    (tmp_path / "state").write_text("no folder")
    with opened(server, database_name, tmp_path, "Truck-01") as it:
        then(it, "L", "not remembered")
        then(it, "N")
        it.read_for(SETTLE_SEC)
        assert b"not remembered" not in it.shown
        it.type("q")
        assert it.ended() == 0
    assert (tmp_path / "state").read_text() == "no folder"
    assert os.listdir(tmp_path) == ["state"]
