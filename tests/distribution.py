"""How `make test` shares the tests among its workers."""

import os
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

WORKERS_PER_CORE = 2
"""Half of its time a test waits: for the next cycle, a silent vehicle, a database that is lost."""
APART = "tests/acceptance/"
FOLDERS = ("acceptance", "chaos", "mutants", "upgrade", "tui", "integration", "unit")
"""Folders of tests, those with the longest tests first: what begins last should be over soon."""


def workers() -> int:
    """Return how many workers `-n auto` starts."""
    return WORKERS_PER_CORE * len(os.sched_getaffinity(0))


def scheduler(config: pytest.Config, log: Any) -> Any:
    """Return what hands the tests to the workers, in the order that they are sorted in."""
    made = LoadScopeScheduling(config, log)
    made._split_scope = unit_of
    return made


def unit_of(nodeid: str) -> str:
    """Name what one worker does as a whole: a file, since its tests may share a database.

    Acceptance tests share nothing, and take long: each is a unit.
    """
    return nodeid if nodeid.startswith(APART) else nodeid.partition("::")[0]


def turn(item: pytest.Item) -> tuple[bool, int]:
    """Return by what the tests are sorted: those marked as long, then folder by folder."""
    folder = item.path.parent.name
    rank = FOLDERS.index(folder) if folder in FOLDERS else len(FOLDERS)
    return item.get_closest_marker("long") is None, rank
