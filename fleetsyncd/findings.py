"""The result of a check: one line for the operator, and what mends it."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How much a finding matters; only a fault keeps the daemon from doing its work."""

    OK = "ok"
    WARNING = "WARNING"
    FAULT = "FAULT"


@dataclass(frozen=True, slots=True)
class Finding:
    """A check's result; `remedy` is a command or a change to make, None if all is well."""

    level: Level
    check: str
    text: str
    remedy: str | None = None


def ok(check: str, text: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(Level.OK, check, text)


def warning(check: str, text: str, remedy: str) -> Finding:
    """Return a finding of what works, but should not stay as it is."""
    return Finding(Level.WARNING, check, text, remedy)


def fault(check: str, text: str, remedy: str) -> Finding:
    """Return a finding of what keeps the daemon, or one vehicle, from working."""
    return Finding(Level.FAULT, check, text, remedy)
