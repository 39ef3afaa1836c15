"""The variables of the environment and of `.env`, as clean text, before they are settings.

Both are UTF-8, whatever the locale: a password must reach PostgreSQL as it was written. A value of
`.env` means what stands there: `${NAME}` is not replaced, since passwords contain such text. Only
the working directory's file is read: one of a folder above may belong to another program, and its
DATABASE_URL would lead to another database.
"""

import io
import os
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dotenv.parser import Binding, parse_stream

from fleetsyncd.text import UNSAFE_CATEGORIES

DOTENV = Path(".env")
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(slots=True)
class Variables:
    """What is set, and what is wrong with it, by the variable's name; `.env` may be such a name."""

    values: dict[str, str] = field(default_factory=dict, repr=False)
    faults: dict[str, str] = field(default_factory=dict)


def read(names: Collection[str], *, dotenv: bool = True) -> Variables:
    """Read these variables from the environment, and from `.env` what the environment lacks.

    A blank value counts as unset, as compose files pass `NAME=` for what is not given; in the
    environment it also hides the value of `.env`.
    """
    read_ones = Variables()
    found = {**(_dotenv(names, read_ones.faults) if dotenv else {}), **_environment(names)}
    for name, raw in found.items():
        # The end of a line that was written on Windows: no value is meant to end so.
        value = raw.removesuffix("\r")
        fault = _fault(value)
        if fault:
            read_ones.faults[name] = fault
        elif value:
            read_ones.values[name] = value
    return read_ones


def _environment(names: Collection[str]) -> Mapping[str, str]:
    encoded = {name: os.environb.get(name.encode()) for name in names}
    return {
        name: value.decode("utf-8", "surrogateescape")
        for name, value in encoded.items()
        if value is not None
    }


def _fault(value: str) -> str | None:
    """Return what is wrong with a value, without repeating it: it may be a password."""
    unsafe = [each for each in value if unicodedata.category(each) in UNSAFE_CATEGORIES]
    if not unsafe:
        return None
    if unicodedata.category(unsafe[0]) == "Cs":
        return "Is not UTF-8."
    return f"Has a control or invisible character, U+{ord(unsafe[0]):04X}: remove it."


def _dotenv(names: Collection[str], faults: dict[str, str]) -> dict[str, str]:
    """Return the values of `.env`; what cannot be read of it is added to `faults`."""
    if DOTENV.is_dir():
        return {}  # some keep a Python environment there
    try:
        content = DOTENV.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        faults[str(DOTENV)] = f"cannot be read: {error.strerror}."
        return {}
    text = _text(content, faults)
    bindings = list(parse_stream(io.StringIO(text, newline="")))
    for name, line in _broken(bindings, names):
        faults[name] = f"line {line} of {DOTENV} cannot be read: check its quotes."
    pairs = ((each.key, each.value) for each in bindings)
    return {name: value for name, value in pairs if name in names and name and value}


def _text(content: bytes, faults: dict[str, str]) -> str:
    try:
        if b"\0" not in content:
            return content.decode("utf-8")
        kind = "it is UTF-16" if content.startswith(_UTF16) else "it has a NUL byte"
    except UnicodeDecodeError as error:
        lines_before = content.count(b"\n", 0, error.start)
        kind = f"line {lines_before + 1} is not UTF-8"
    faults[str(DOTENV)] = f"cannot be read: {kind}: save it as UTF-8."
    return ""


def _broken(bindings: list[Binding], names: Collection[str]) -> Iterator[tuple[str, int]]:
    """Yield our variables that stand in lines which cannot be parsed, with the lines' numbers."""
    for binding in bindings:
        name = binding.original.string.strip().removeprefix("export ").partition("=")[0].strip()
        if binding.error and name in names:
            yield name, binding.original.line
