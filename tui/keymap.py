"""The operator's own keys, read from a TOML file with a table [keys] of lines `sync = "f5"`."""

import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path

from textual.app import App
from textual.binding import Binding
from textual.widget import Widget

from fleetsyncd.errors import SettingsError


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
