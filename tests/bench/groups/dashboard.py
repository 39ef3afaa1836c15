"""The dashboard on 10,000 vehicles; two minutes of the long form."""

from tests.bench import dashboard
from tests.bench.bench import Bench
from tests.bench.figures import Figure

GROUP = "dashboard"


def measure(bench: Bench) -> list[Figure]:
    bench.tell("dashboard: 10,000 vehicles")
    return [Figure(GROUP, name, value) for name, value in dashboard.measure().items()]
