"""The HTTP floor: the same four requests with bare requests sessions, and nothing else.

The arguments are a file with the fleet and the seconds to ask for. It pulls the fleet for every
line on its standard input, and answers `done SECONDS`.
"""

from fleetsyncd import green

green.patch()

# Nothing may be imported before the patch.
import json  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from datetime import timedelta  # noqa: E402
from pathlib import Path  # noqa: E402

import requests  # noqa: E402
from gevent.fileobject import FileObject  # noqa: E402
from gevent.pool import Pool  # noqa: E402

from fleetsyncd.times import iso_ms, utc_now  # noqa: E402

GREENLETS = 250
TIMEOUT_SEC = 60


def pull(session: requests.Session, base: str, key: str, reach: timedelta) -> None:
    now = utc_now()
    interval = f"from={iso_ms(now - reach)}&to={iso_ms(now)}"
    for call in ("status", "channels", f"data?{interval}&limit=50000", f"alarms?{interval}"):
        answer = session.get(f"{base}/{call}", headers={"X-API-Key": key}, timeout=TIMEOUT_SEC)
        answer.raise_for_status()
        assert answer.content  # which reads and unpacks it


def serve(fleet: Path, reach: timedelta) -> None:
    vehicles = [
        (requests.Session(), f"http://{vehicle['host']}:{vehicle['port']}", vehicle["key"], reach)
        for vehicle in json.loads(fleet.read_text())
    ]
    print("ready", flush=True)
    for _ in FileObject(sys.stdin.fileno(), "rb", close=False):
        began = time.monotonic()
        pool = Pool(GREENLETS)
        greenlets = [pool.spawn(pull, *vehicle) for vehicle in vehicles]
        for greenlet in greenlets:
            greenlet.get()
        print(f"done {time.monotonic() - began:.4f}", flush=True)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), timedelta(seconds=float(sys.argv[2])))
