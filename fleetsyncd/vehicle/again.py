"""A row from the quarantine read once more: what was refused may be accepted by now."""

from dataclasses import dataclass, field

from fleetsyncd.errors import BadAnswer
from fleetsyncd.limits import ALARMS_SINCE
from fleetsyncd.models import Alarm, BadRow, Channel, Measurements, Window
from fleetsyncd.vehicle import decode


@dataclass(frozen=True, slots=True)
class Reread:
    """What a quarantined row turned out to be; `reason` says why it is still nothing."""

    measurements: Measurements = field(default_factory=lambda: Measurements((), (), ()))
    channels: tuple[Channel, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    reason: str | None = None


def reread(row: BadRow, bounds: Window) -> Reread:
    """Decode a quarantined row by today's rules; times of measurements must lie in `bounds`."""
    raw = row.raw.encode()
    try:
        match row.call:
            case "/data":
                page = decode.page(
                    b'{"rows":[%b],"truncated":false}' % raw, 2, bounds.start, bounds.end
                )
                return Reread(measurements=page.measurements, reason=_reason(page.bad))
            case "/channels":
                channels, bad = decode.channels(b"[%b]" % raw)
                return Reread(channels=channels, reason=_reason(bad))
            case "/alarms":
                alarms, faults = decode.alarms(b"[%b]" % raw, ALARMS_SINCE, bounds.end)
                return Reread(alarms=tuple(alarms), reason=_reason(faults))
    except BadAnswer as fault:
        return Reread(reason=fault.reason)
    return Reread(reason=f"no rows are set aside from {row.call}")


def _reason(bad: "tuple[BadRow, ...] | list[BadRow]") -> str | None:
    return bad[0].reason if bad else None
