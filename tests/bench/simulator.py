"""A healthy simulated fleet, of which a share falls silent once it is told to.

Prints its vehicles as one JSON line, then serves; a line on its standard input silences the share:
those vehicles accept requests and never answer again. `GET /served` at any vehicle tells how many
measurements that can be stored it has sent.
"""

from fleetsyncd import green

green.patch()

# Nothing may be imported before the patch.
import json  # noqa: E402
import re  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from dataclasses import replace  # noqa: E402
from http import HTTPStatus  # noqa: E402

from gevent.fileobject import FileObject  # noqa: E402

from fleetsyncd.demo.faults import ALWAYS  # noqa: E402
from fleetsyncd.demo.fleet import Fleet, demo_specs  # noqa: E402
from fleetsyncd.demo.vehicle import SimulatedVehicle  # noqa: E402

_COUNT = re.compile(rb'"count":(\d+)')


class CountingVehicle(SimulatedVehicle):
    """A simulated vehicle that counts the measurements it sends."""

    served = 0

    def answer(self, path: str, query: str, key: str | None) -> tuple[HTTPStatus, bytes]:
        if path == "/served":
            return HTTPStatus.OK, b"%d" % self.served
        status, body = super().answer(path, query, key)
        if path == "/data" and (found := _COUNT.search(body, 0, 200)):
            self.served += int(found[1]) - body.count(b":null")
        return status, body


def serve(count: int, silent_share: float) -> None:
    specs = demo_specs(count, with_faults=False, begin=time.time())
    fleet = Fleet([CountingVehicle(spec.name, spec.key) for spec in specs])
    fleet.start()
    known = [
        {"name": spec.name, "host": host, "port": port, "key": spec.key}
        for spec, (host, port) in zip(specs, fleet.addresses, strict=True)
    ]
    print(json.dumps(known), flush=True)
    silent = [v for at, v in enumerate(fleet.vehicles) if at % 100 < silent_share * 100]
    for _ in FileObject(sys.stdin.fileno(), "rb", close=False):
        for vehicle in silent:
            vehicle.faults = replace(vehicle.faults, timeout_every=ALWAYS)
    fleet.stop()


if __name__ == "__main__":
    serve(int(sys.argv[1]), float(sys.argv[2]))
