"""Actions that share a key because of the operator's own keys."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from textual.app import App
from textual.binding import Binding
from textual.dom import DOMNode
from textual.screen import ModalScreen, Screen
from textual.widget import Widget

IsOffered = Callable[[str, type[Screen[Any]]], bool]
"""Whether a screen offers an action of the app."""


def collisions(app: type[App[None]], keys: Mapping[str, str], is_offered: IsOffered) -> list[str]:
    """Say, in a line each, which actions have one key in one place because of `keys`, by their ids.

    What the dashboard itself has on one key is meant to be there.
    """
    told: set[str] = set()
    for screen in _subclasses(Screen):
        bindings = [*_bindings([screen, *_widgets(screen)])]
        # A dialog keeps keys from the app.
        if not issubclass(screen, ModalScreen):
            bindings += [each for each in _bindings([app]) if is_offered(each.action, screen)]
        for one, other in combinations(bindings, 2):
            for key in sorted(_keys(one, keys) & _keys(other, keys)):
                is_own = one.id not in keys and other.id not in keys
                if one.id != other.id and not is_own and key not in _keys(one) & _keys(other):
                    names = " and ".join(sorted(map(str, (one.id, other.id))))
                    told.add(f"{key} is the key of {names}: only one of them works")
    return sorted(told)


def _keys(binding: Binding, keys: Mapping[str, str] | None = None) -> set[str]:
    """Return Textual's names of a binding's keys, with the operator's `keys`."""
    mine = (keys or {}).get(binding.id or "", binding.key)
    return {each.key for each in Binding.make_bindings([Binding(mine, "")])}


def _bindings(classes: Sequence[type[DOMNode]]) -> Iterator[Binding]:
    """Yield the bindings of classes and their bases that an operator can change."""
    for each in {base for cls in classes for base in cls.__mro__}:
        for binding in vars(each).get("BINDINGS", ()):
            if isinstance(binding, Binding) and binding.id:
                yield binding


def _widgets(screen: type) -> list[type[DOMNode]]:
    """Return the widgets that the modules of a screen and of its bases name, and theirs."""
    found: list[type[DOMNode]] = []
    modules = [each.__module__ for each in screen.__mro__ if each.__module__.startswith("tui.")]
    for module in modules:
        for each in vars(sys.modules[module]).values():
            if not isinstance(each, type) or not issubclass(each, Widget):
                continue
            if each.__module__.startswith("tui.") and not issubclass(each, Screen):
                found.append(each)
                modules += [] if each.__module__ in modules else [each.__module__]
    return found


def _subclasses(cls: type) -> Iterator[type[Any]]:
    """Yield the subclasses of this package."""
    children: list[type[Any]] = cls.__subclasses__()
    for child in children:
        if str(child.__module__).startswith("tui."):
            yield child
        yield from _subclasses(child)
