"""An operator's own keys, from a TOML file: `[keys]`, then `sync = "f5"` and so on."""

import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path

from textual.app import App
from textual.binding import Binding
from textual.widget import Widget

from fleetsyncd.errors import SettingsError


def load(path: Path, known: Collection[str]) -> Mapping[str, str]:
    """Return keys by the `known` ids of bindings; raise SettingsError saying what is wrong."""
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8")).get("keys", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"the keymap {path} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise SettingsError(f"the keymap {path} needs a table [keys]")
    for name, key in found.items():
        if name not in known:
            raise SettingsError(
                f"the keymap {path} names {name}, which is no action: {', '.join(sorted(known))}"
            )
        if not isinstance(key, str) or not key:
            raise SettingsError(f'the keymap {path}: {name} needs a key, as in {name} = "f5"')
    return dict(found)


def ids(app: type[App[None]]) -> set[str]:
    """Return the ids of all bindings that can be changed: the app's, and those of its widgets."""
    found = {_id(binding) for binding in app.BINDINGS}
    classes: list[type] = [Widget]
    while classes:
        children: list[type] = classes.pop().__subclasses__()
        classes.extend(children)
        for child in children:
            if child.__module__.startswith("tui."):
                found.update(_id(binding) for binding in vars(child).get("BINDINGS", ()))
    return found - {""}


def _id(binding: object) -> str:
    return (binding.id or "") if isinstance(binding, Binding) else ""
