"""Try a vehicle's four calls and say how each went."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from fleetsyncd.errors import VehicleError, VehicleRefused
from fleetsyncd.models import Window
from fleetsyncd.telemetry import Status
from fleetsyncd.text import counted
from fleetsyncd.times import floor_ms
from fleetsyncd.vehicle import decode
from fleetsyncd.vehicle.client import PAGE_LIMIT, VehicleClient
from fleetsyncd.vehicle.refusals import judge_by_status

PROBED = timedelta(seconds=60)
MAX_SKEW = timedelta(seconds=5)
"""A clock that is further off is worth a remark."""


@dataclass(frozen=True, slots=True)
class CallResult:
    """How one call went, as `vehicle test --json` prints it."""

    call: str
    good: bool
    text: str
    skewed: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one call went: `text` is for the operator."""

    call: str
    good: bool
    text: str
    skewed: bool = False
    """The vehicle's clock is off by more than MAX_SKEW."""
    error: VehicleError | None = None

    @property
    def result(self) -> CallResult:
        """What scripts read of it."""
        return CallResult(self.call, self.good, self.text, self.skewed)


def probe(
    client: VehicleClient,
    now: Callable[[], datetime],
    check_machine: Callable[[Status], str | None],
) -> list[Verdict]:
    """Make each call once, over the vehicle's last minute; raises no VehicleError.

    `check_machine` returns a remark on the machine that gave this status, if there is one, and
    raises OtherMachine if nothing of it would be stored.
    """
    end = floor_ms(now())
    window = Window(end - PROBED, end)
    any_time = Window(end - timedelta(days=4000), end + timedelta(days=1))

    known: Status | None = None

    def status() -> Verdict:
        nonlocal known
        answer = client.status()
        known = decode.status(answer.body)
        skew = answer.clock - now() if answer.clock else timedelta(0)
        skewed = abs(skew) > MAX_SKEW
        clock = f", clock {skew.total_seconds():+.0f} s off" if skewed else ""
        remark = check_machine(known)
        other = f"; {remark}" if remark else ""
        text = f"sw={known.software_version or '?'} db_ok={known.db_ok}{clock}{other}"
        return Verdict("/status", True, text, skewed)

    def channels() -> Verdict:
        good, bad = decode.channels(client.channels().body)
        return Verdict("/channels", True, f"{len(good)} channels{_bad_count(len(bad))}")

    def data() -> Verdict:
        page = decode.page(client.data(window).body, PAGE_LIMIT, any_time.start, any_time.end)
        rows = f"{len(page.measurements)} rows in the last minute"
        return Verdict("/data", True, f"{rows}{_bad_count(len(page.bad))}")

    def alarms() -> Verdict:
        good, bad = decode.alarms(client.alarms(window).body, any_time.start, any_time.end)
        text = f"{counted(len(good), 'alarm')} in the last minute{_bad_count(len(bad))}"
        return Verdict("/alarms", True, text)

    return [_verdict(ask, lambda: known) for ask in (status, channels, data, alarms)]


def _verdict(ask: Callable[[], Verdict], status: Callable[[], Status | None]) -> Verdict:
    try:
        return ask()
    except VehicleRefused as refused:
        error: VehicleError = judge_by_status(refused, status())
    except VehicleError as failed:
        error = failed
    return Verdict(error.call, False, error.reason, error=error)


def _bad_count(count: int) -> str:
    return f", {count} bad" if count else ""
