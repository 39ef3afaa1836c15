"""The dashboard on 10,000 vehicles; measured in `tests.bench.dashboard`."""

from tests.bench import dashboard
from tests.bench.bench import Bench
from tests.bench.figures import Figure

GROUP = "dashboard"


def measure(_bench: Bench) -> list[Figure]:
    return [Figure(GROUP, name, value) for name, value in dashboard.measure().items()]
