"""The dashboard on 10,000 vehicles; two minutes of the long form."""

from tests.bench import dashboard
from tests.bench.bench import Bench
from tests.bench.figures import Figure

GROUP = "dashboard"
MOST = {
    "query ms": 100.0,
    "query ÷ bare SELECT": 1.3,
    "first paint ms": 1000.0,
    "refresh ms": 50.0,
    "longest stall ms": 50.0,
    "idle bytes/s": 1024.0,
    "idle CPU %": 2.0,
    "key ms": 50.0,
    "key ms, 95th percentile": 50.0,
}


def measure(bench: Bench) -> list[Figure]:
    bench.log("dashboard: 10,000 vehicles")
    timings = dashboard.measure()
    return [Figure(GROUP, name, value, most=MOST.get(name)) for name, value in timings.items()]
