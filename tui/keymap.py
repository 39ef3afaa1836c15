"""The keys of the app, and the operator's own keys.

The operator's are read from a TOML file with a table [keys] of lines such as `sync = "f5"`.
"""

import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path

from textual.app import App
from textual.binding import Binding, BindingType
from textual.widget import Widget

from fleetsyncd.errors import SettingsError

APP_BINDINGS: list[BindingType] = [
    Binding("s", "sync", "Sync", id="sync", tooltip="Let the daemon sync the vehicle now"),
    Binding("p", "pause", "Pause", id="pause", tooltip="Pause the vehicle, or resume it"),
    Binding("b", "backfill", "Backfill", id="backfill",
            tooltip="Pull a past interval of the vehicle again"),
    Binding("a", "add", "Add", id="add", tooltip="Register a vehicle"),
    Binding("e", "edit", "Edit", id="edit", tooltip="Change name, address, port or key"),
    Binding("ctrl+d", "delete", "Del", id="delete", tooltip="Remove the vehicle"),
    Binding("t", "test", "Test", show=False, id="test",
            tooltip="Test the vehicle's four calls"),
    Binding("l", "journal", "Journal", show=False, id="journal",
            tooltip="The journal of the whole fleet"),
    Binding("D", "daemons", "Daemons", show=False, id="daemons",
            tooltip="The daemons that pull the fleet"),
    Binding("Q", "quarantine", "Quarantine", show=False, id="quarantine",
            tooltip="Refused rows: look at them, try them again, delete them"),
    Binding("B", "backfills", "Backfills", show=False, id="backfills",
            tooltip="The backfills of all vehicles, open and finished"),
    Binding("F", "findings", "Findings", show=False, id="findings",
            tooltip="What doctor finds in the database, and what mends it"),
    Binding("y", "copy", "Copy", show=False, id="copy", tooltip="Copy to the clipboard"),
    Binding("E", "export", "Export", show=False, id="export", tooltip="Write a CSV file"),
    Binding("Z", "freeze", "Freeze", show=False, id="freeze",
            tooltip="Stop updating the screen, or resume"),
    Binding("ctrl+r", "refresh", "Refresh", show=False, id="refresh",
            tooltip="Read the fleet now"),
    Binding("plus", "interval(1)", "Slower", show=False, key_display="+", id="slower",
            tooltip="Read the fleet less often"),
    Binding("minus", "interval(-1)", "Faster", show=False, key_display="-", id="faster",
            tooltip="Read the fleet more often"),
    Binding("ctrl+p", "palette", "Palette", show=False, priority=True, id="palette",
            tooltip="Find and run an action, open a vehicle, set a theme"),
    Binding("question_mark", "help", "Help", key_display="?", id="help"),
    Binding("q", "back", "Quit", id="back", tooltip="Go back; on the fleet page: quit"),
    Binding("ctrl+q", "quit", "Quit", show=False, priority=True, id="quit"),
]  # fmt: skip
"""Keys that work on every page; pages and widgets have their own in addition."""


def load(path: Path, known: Collection[str]) -> Mapping[str, str]:
    """Return the file's keys by binding id; raise SettingsError if an id is not one of `known`."""
    try:
        keys = tomllib.loads(path.read_text(encoding="utf-8")).get("keys", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"the keymap {path} cannot be read: {error}") from error
    if not isinstance(keys, dict):
        raise SettingsError(f"the keymap {path} needs a table [keys]")
    for name, key in keys.items():
        if name not in known:
            raise SettingsError(
                f"the keymap {path}: {name} is not an action; actions: {', '.join(sorted(known))}"
            )
        if not isinstance(key, str) or not key:
            raise SettingsError(f'the keymap {path}: {name} needs a key, as in {name} = "f5"')
    return dict(keys)


def ids(app: type[App[None]]) -> set[str]:
    """Return the ids of all bindings, of `app` and of every widget of this package."""
    binding_ids = {_id(binding) for binding in app.BINDINGS}
    classes: list[type] = [Widget]
    while classes:
        children: list[type] = classes.pop().__subclasses__()
        classes.extend(children)
        for child in children:
            if child.__module__.startswith("tui."):
                binding_ids.update(_id(binding) for binding in vars(child).get("BINDINGS", ()))
    return binding_ids - {""}


def _id(binding: object) -> str:
    return (binding.id or "") if isinstance(binding, Binding) else ""
