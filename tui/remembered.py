"""Remembers between two runs how the operator wants the fleet to be shown.

The file is a convenience: whatever is wrong with it is told in one line, and the dashboard goes on.
Several dashboards may use it at once; the last one that changes something is remembered.
"""

import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from tui.model.fleet_view import FleetView
from tui.model.sorting import Sort

FILE = "fleetsync-tui/view.json"
_MOST_BYTES = 100_000


class Remembered(msgspec.Struct, frozen=True):
    """What is remembered; names that another version knows are ignored."""

    theme: str | None = None
    """None if the operator has chosen none."""
    sort: Sort = Sort.STATE
    descending: bool = False
    problems_only: bool = False
    columns: dict[str, bool] = {}
    """The columns that the operator wants or hides, by title."""

    def restore(self, view: FleetView) -> None:
        """Show the fleet so."""
        view.sort = self.sort
        view.descending = self.descending and self.sort is not Sort.STATE
        view.problems_only, view.columns = self.problems_only, dict(self.columns)


def of_view(view: FleetView, theme: str | None) -> Remembered:
    """Return what is to be remembered of a view."""
    return Remembered(theme, view.sort, view.descending, view.problems_only, dict(view.columns))


class Memory:
    """The file, and what was read from it or written to it last."""

    def __init__(self, path: Path) -> None:
        self.last = Remembered()
        self._path = path

    def load(self) -> str:
        """Read the file, if there is one; return what is wrong with it, or nothing."""
        try:
            if self._path.is_file():  # a pipe would be waited for
                with self._path.open("rb") as file:
                    self.last, refused = _decode(file.read(_MOST_BYTES))
                if refused:
                    return f"of the last view is ignored: {'; '.join(refused)}: {self._path}"
        except (OSError, ValueError) as error:
            return f"the last view is ignored: {self._path}: {_reason(error)}"
        return ""

    def save(self, remembered: Remembered) -> str:
        """Write the file; return why that failed, or nothing."""
        self.last = remembered
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._replace(msgspec.json.encode(remembered))
        except (OSError, ValueError) as error:
            return f"the view is not remembered: {self._path}: {_reason(error)}"
        return ""

    def _replace(self, content: bytes) -> None:
        """Put a new file in the place of the old one, so that nobody reads half of it."""
        handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=".view-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            Path(name).replace(self._path)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise


def _decode(content: bytes) -> tuple[Remembered, list[str]]:
    """Return what is remembered, and which of it this version does not understand, and why.

    Raises ValueError for what is no object.
    """
    parts = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
    known: dict[str, Any] = {}
    refused = []
    for field in msgspec.structs.fields(Remembered):
        if field.name in parts:
            try:
                known[field.name] = msgspec.json.decode(parts[field.name], type=field.type)
            except msgspec.ValidationError as error:
                refused.append(f"{field.name}: {error}")
    return Remembered(**known), refused


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def memory(environment: Mapping[str, str]) -> Memory | None:
    """Return the file below XDG_STATE_HOME; None without that and without a home folder."""
    folder = Path(environment.get("XDG_STATE_HOME", ""))
    if not folder.is_absolute():
        try:
            folder = Path.home() / ".local" / "state"
        except RuntimeError:
            return None
    return Memory(folder / FILE)
