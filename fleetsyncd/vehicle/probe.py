"""Try a vehicle's four calls and say of each what it is worth."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from fleetsyncd.errors import VehicleError
from fleetsyncd.models import Window, floor_ms
from fleetsyncd.vehicle import decode
from fleetsyncd.vehicle.client import PAGE_LIMIT, VehicleClient

SPAN = timedelta(seconds=60)
SKEW_WORTH_TELLING = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one call went: `text` is for the operator."""

    call: str
    good: bool
    text: str


def probe(client: VehicleClient, now: Callable[[], datetime]) -> list[Verdict]:
    """Ask the vehicle everything once, over its last minute; never raises VehicleError."""
    end = floor_ms(now())
    window = Window(end - SPAN, end)
    far = Window(end - timedelta(days=4000), end + timedelta(days=1))

    def status() -> str:
        answer = client.status()
        known = decode.status(answer.body)
        skew = answer.clock - now() if answer.clock else timedelta(0)
        clock = (
            f", clock {skew.total_seconds():+.0f} s off" if abs(skew) > SKEW_WORTH_TELLING else ""
        )
        return f"sw={known.software_version} db_ok={known.db_ok}{clock}"

    def channels() -> str:
        good, bad = decode.channels(client.channels().body)
        return f"{len(good)} channels{_set_aside(len(bad))}"

    def data() -> str:
        page = decode.page(client.data(window).body, PAGE_LIMIT, far.start, far.end)
        return f"{len(page.measurements)} rows in the last minute{_set_aside(len(page.bad))}"

    def alarms() -> str:
        good, bad = decode.alarms(client.alarms(window).body, far.start, far.end)
        return f"{len(good)} alarms in the last minute{_set_aside(len(bad))}"

    calls = {"/status": status, "/channels": channels, "/data": data, "/alarms": alarms}
    return [_verdict(call, ask) for call, ask in calls.items()]


def _verdict(call: str, ask: Callable[[], str]) -> Verdict:
    try:
        return Verdict(call, True, ask())
    except VehicleError as fault:
        return Verdict(call, False, fault.reason)


def _set_aside(count: int) -> str:
    return f", {count} bad" if count else ""
