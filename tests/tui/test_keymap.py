"""The operator's own keys: what is refused, and what is told because two actions share a key."""

import re
from pathlib import Path

import pytest

from fleetsyncd.database.pool import Database
from fleetsyncd.demo.embedded import Server
from fleetsyncd.errors import SettingsError
from tests.tui.driving import small_fleet
from tests.tui.terminal import terminal
from tui import keymap
from tui.app import FleetApp
from tui.key_collisions import collisions
from tui.vehicle_actions import is_offered


@pytest.mark.parametrize(
    "key", ["f5", "m", "ä", "?", "+", "plus", "slash", "ctrl+x", "shift+up", "alt+f4", "insert"]
)
def test_what_a_terminal_may_send_is_a_key(key: str) -> None:
    assert keymap.is_key(key)


@pytest.mark.parametrize(
    "key",
    [
        "ctr+x", "ctrl+", "ctrl+ctrl+x", "f25", "pgup", "esc", "strg+x", "foo", "\x1b", "",
        "shift+s", "shift+S", "shift+slash", "shift+1", "ctrl+S", "alt+x", "alt+X", "ctrl+alt+x",
        "<any>", "<scroll-up>", "<sigint>", "ctrl+<any>",
    ],
)  # fmt: skip
def test_what_no_terminal_sends_is_no_key(key: str) -> None:
    assert not keymap.is_key(key)


def test_every_key_of_the_dashboard_is_a_key() -> None:
    keys = {key for binding in keymap.APP_BINDINGS for key in binding.key.split(",")}  # type: ignore[union-attr]  # all are Bindings
    assert all(map(keymap.is_key, keys))


def test_each_fault_of_a_keymap_is_told_in_a_line(tmp_path: Path) -> None:
    path = tmp_path / "keymap.toml"
    path.write_text('[keys]\nsync = "ctr+x"\nfly = "f5"\npause = "m,pgup"\nadd = "f6"\n')
    with pytest.raises(SettingsError) as refused:
        keymap.load(path, keymap.ids(FleetApp))
    first, second, third = str(refused.value).split("\n")
    assert "sync: ctr+x is not a key" in first
    assert "fly is not an action" in second
    assert "pause: pgup is not a key" in third


@pytest.mark.parametrize(
    ("key", "advice"),
    [("shift+s", 'write "S"'), ("ctrl+S", 'write "ctrl+s"'), ("alt+x", 'such as "f5"')],
)
def test_for_a_key_that_no_terminal_sends_it_says_what_to_write(
    tmp_path: Path, key: str, advice: str
) -> None:
    path = tmp_path / "keymap.toml"
    path.write_text(f'[keys]\nsync = "{key}"\n')
    with pytest.raises(SettingsError, match=re.escape(advice)):
        keymap.load(path, keymap.ids(FleetApp))


@pytest.mark.parametrize(
    ("keys", "key", "names"),
    [
        ({"sync": "l"}, "l", "journal and sync"),
        ({"journal": "f5", "sync": "f6,f5"}, "f5", "journal and sync"),
        ({"sync": "S"}, "S", "fleet.sort-status and sync"),
        ({"sync": "?"}, "question_mark", "help and sync"),
        ({"pause": "space"}, "space", "pause and table.mark"),
        ({"quarantine.replay": "v"}, "v", "quarantine.replay and quarantine.vehicle"),
        ({"quarantine.replay": "enter"}, "enter", "quarantine.replay and rows.open"),
        ({"backfills.repeat": "k"}, "k", "backfills.repeat and rows.up"),
        ({"notices.vehicle": "G"}, "G", "notices.vehicle and rows.last"),
    ],
)
def test_two_actions_on_one_key_in_one_place_are_told(
    keys: dict[str, str], key: str, names: str
) -> None:
    told = f"{key} is the key of {names}: only one of them works"
    assert told in collisions(FleetApp, keys, is_offered)


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"sync": "f5", "table.mark": "insert,m"},
        {"journal": "s", "sync": "l"},
        {"vehicle.zoom-out": "minus"},
        {"sync": "r"},
        {"dialog.yes": "s"},
    ],
    ids=str,
)
def test_keys_that_never_meet_are_not_told(keys: dict[str, str]) -> None:
    """What has changed places, what is meant to shadow, what is offered on other pages only."""
    assert collisions(FleetApp, keys, is_offered) == []


def test_a_collision_is_told_at_start_and_a_wrong_key_ends_it(
    server: Server, database: Database, database_name: str, tmp_path: Path
) -> None:
    small_fleet(database)
    path = tmp_path / "keys.toml"
    path.write_text('[keys]\nsync = "l"\n')
    with terminal(server, database_name, tmp_path, "--keymap", "keys.toml") as it:
        it.sees("fleetsync-tui: the keymap keys.toml: l is the key of journal and sync: only one")
        it.sees("1-4 of 4")
        it.type("\x11")
        assert it.ended() == 0
    path.write_text('[keys]\nsync = "ctr+x"\n')
    with terminal(server, database_name, tmp_path, "--keymap", "keys.toml") as it:
        it.sees("fleetsync-tui: the keymap keys.toml: sync: ctr+x is not a key")
        assert it.ended() == 2
