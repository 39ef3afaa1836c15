"""The keys of the app, and the operator's own keys.

The operator's are read from a TOML file with a table [keys] of lines such as `sync = "f5"`.
"""

import tomllib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from textual.app import App
from textual.binding import Binding, BindingType
from textual.keys import KEY_NAME_REPLACEMENTS, Keys, key_to_character
from textual.widget import Widget

from fleetsyncd.errors import SettingsError
from fleetsyncd.text import sanitise

MODIFIERS = frozenset({"ctrl", "shift", "alt", "super", "hyper", "meta"})
_CHARACTER_NAMES = frozenset(KEY_NAME_REPLACEMENTS.values())
_KEY_NAMES = frozenset(
    name
    for name in (*(key.value for key in Keys), *KEY_NAME_REPLACEMENTS.values())
    if not name.startswith("<")  # what Textual calls events that are no keys
)

APP_BINDINGS: list[BindingType] = [
    Binding("s", "sync", "Sync", id="sync", tooltip="Let the daemon sync the vehicle now"),
    Binding("p", "pause", "Pause", id="pause", tooltip="Pause the vehicle, or resume it"),
    Binding("P", "maintain", "Mute", show=False, id="maintain",
            tooltip="Pause the vehicle for a time, or mute it, with a reason"),
    Binding("u", "undo", "Undo", show=False, id="undo",
            tooltip="Undo the last pause, resume or mute of this dashboard, then the one before"),
    Binding("b", "backfill", "Backfill", id="backfill",
            tooltip="Pull a past interval of the vehicle again"),
    Binding("x", "audit", "Audit", id="audit",
            tooltip="Compare a past interval with what the vehicle has"),
    Binding("a", "add", "Add", id="add", tooltip="Register a vehicle"),
    Binding("e", "edit", "Edit", id="edit", tooltip="Change name, address, port, key or tags"),
    Binding("ctrl+d", "delete", "Del", show=False, id="delete", tooltip="Remove the vehicle"),
    Binding("t", "test", "Test", show=False, id="test",
            tooltip="Test the vehicle's four calls"),
    Binding("l", "journal", "Journal", show=False, id="journal",
            tooltip="The journal of the whole fleet"),
    Binding("number_sign", "tags", "Tags", show=False, key_display="#", id="tags",
            tooltip="Vehicles by tag, with how many are in which state"),
    Binding("A", "alarms", "Alarms", show=False, id="alarms",
            tooltip="The open alarms of the whole fleet"),
    Binding("D", "daemons", "Daemons", show=False, id="daemons",
            tooltip="The daemons that pull the fleet"),
    Binding("M", "messages", "Messages", show=False, id="messages",
            tooltip="Read the last messages again"),
    Binding("Q", "quarantine", "Quarantine", show=False, id="quarantine",
            tooltip="Refused rows: look at them, try them again, delete them"),
    Binding("B", "backfills", "Backfills", show=False, id="backfills",
            tooltip="The backfills and audits of all vehicles, open and finished"),
    Binding("F", "findings", "Findings", show=False, id="findings",
            tooltip="What doctor finds in the database, and what mends it"),
    Binding("W", "actions", "Actions", show=False, id="actions",
            tooltip="Who did what to which vehicle"),
    Binding("T", "notices", "Notices", show=False, id="notices",
            tooltip="What was told, to whom, what waits, and what is muted"),
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
    """Return the file's keys by binding id.

    Raises SettingsError, with a line for each fault, if an id is not one of `known` or Textual
    knows no such key.
    """
    try:
        keys = tomllib.loads(path.read_text(encoding="utf-8")).get("keys", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"the keymap {path} cannot be read: {error}") from error
    if not isinstance(keys, dict):
        raise SettingsError(f"the keymap {path} needs a table [keys]")
    faults = [fault for name, key in keys.items() for fault in _faults(name, key, known)]
    if faults:
        raise SettingsError("\n".join(f"the keymap {path}: {fault}" for fault in faults))
    return dict(keys)


def _faults(name: str, key: object, known: Collection[str]) -> Iterator[str]:
    if name not in known:
        yield f"{sanitise(name)} is not an action; actions: {', '.join(sorted(known))}"
    elif not isinstance(key, str) or not key:
        yield f'{name} needs a key, as in {name} = "f5"'
    else:
        for each in key.split(","):
            if not is_key(each.strip()):
                text = f"{sanitise(each.strip(), 40)} is not a key that a terminal sends"
                yield f"{name}: {text}; {_advice(each.strip())}"


def _advice(text: str) -> str:
    """Say what to write for what is no key."""
    modifiers, _, key = text.rpartition("+")
    if len(key) == 1 and modifiers == "shift":
        return f'write "{key.upper()}"' if key.isalpha() else "write the character that Shift makes"
    if len(key) == 1 and key.isupper():
        return f'write "{modifiers}+{key.lower()}"'
    return 'keys are such as "f5", "ctrl+x", "m", "question_mark", "shift+up"'


def is_key(text: str) -> bool:
    """Tell whether Textual has a key of this name, which a terminal may send."""
    if len(text) == 1:
        return text.isprintable()
    *modifiers, key = text.split("+")
    if len(set(modifiers)) < len(modifiers) or not MODIFIERS.issuperset(modifiers):
        return False
    is_character = key in _CHARACTER_NAMES or (key_to_character(key) or "\0").isprintable()
    if is_character and modifiers and not _is_sent(set(modifiers), key):
        return False
    return key in _KEY_NAMES or is_character


def _is_sent(modifiers: Collection[str], character: str) -> bool:
    """Tell whether a character arrives with its modifiers: Shift is in it, Alt comes as Esc."""
    return "alt" not in modifiers and modifiers != {"shift"} and character == character.lower()


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
