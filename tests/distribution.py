"""How the tests are distributed among the workers of pytest-xdist."""

import os
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

WORKERS_PER_CORE = 2
"""A test waits half of its time: for the next cycle, a silent vehicle, a lost database."""
SINGLE = "tests/acceptance/"
"""Each test here is distributed by itself."""
FOLDERS = ("acceptance", "chaos", "mutants", "upgrade", "tui", "integration", "unit")
"""The folders with the longest tests come first, so that the last test to start is a short one."""


def workers() -> int:
    """Return how many workers `-n auto` starts."""
    return WORKERS_PER_CORE * len(os.sched_getaffinity(0))


def scheduler(config: pytest.Config, log: Any) -> Any:
    """Return a scheduler that keeps the order of the tests and distributes them by `unit_of`."""
    scheduling = LoadScopeScheduling(config, log)
    scheduling._split_scope = unit_of
    return scheduling


def unit_of(nodeid: str) -> str:
    """Return the name of what one worker runs as a whole: a file, whose tests may share fixtures.

    An acceptance test shares nothing and takes long, so it is a unit of its own.
    """
    return nodeid if nodeid.startswith(SINGLE) else nodeid.partition("::")[0]


def sort_key(item: pytest.Item) -> tuple[bool, int]:
    """Return the place of a test in the order: those marked as long first, then by folder."""
    folder = item.path.parent.name
    rank = FOLDERS.index(folder) if folder in FOLDERS else len(FOLDERS)
    return item.get_closest_marker("long") is None, rank
