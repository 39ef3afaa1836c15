"""The dashboard on 10,000 vehicles; measured in `tests.bench.dashboard`."""

from importlib import import_module
from importlib.util import find_spec

from tests.bench.bench import Bench
from tests.bench.figures import Figure

GROUP = "dashboard"
MODULE = "tests.bench.dashboard"


def measure(bench: Bench) -> list[Figure]:
    if find_spec(MODULE) is None:
        bench.tell(f"dashboard: left out, {MODULE} is not there")
        return []
    found: dict[str, float] = import_module(MODULE).measure()
    return [Figure(GROUP, name, value) for name, value in found.items()]
