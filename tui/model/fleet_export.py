"""The fleet as a table of text, for CSV files and for the clipboard."""

from collections.abc import Sequence

from fleetsyncd.states import Pause, VehicleOverview
from fleetsyncd.times import utc_text
from tui.formatting import SEVERITY_STYLES, percent_text
from tui.model.export_table import ExportTable
from tui.open_alarms import alarms_of

HEADING = (
    "vehicle", "id", "address", "state", "since_s", "progress", "seen_s", "lag_s", "data_s", "rows",
    "fails", "version", "tags", "interval_s", "last_error", "paused_until", "paused_by",
    "pause_reason", "muted", "muted_until", "muted_by", "mute_reason", "late_because", "gap",
    "open_alarms", "worst_alarm",
)  # fmt: skip


def fleet_table(vehicles: Sequence[VehicleOverview]) -> ExportTable:
    """Return the vehicles as a table."""
    return ExportTable("fleet", HEADING, [fleet_row(vehicle) for vehicle in vehicles])


def fleet_row(vehicle: VehicleOverview) -> list[str]:
    """Return a vehicle's cells, as HEADING names them; ages in seconds, what is unknown empty."""
    progress = vehicle.catching_up or vehicle.backfill
    return [
        vehicle.name,
        str(vehicle.id),
        vehicle.address,
        str(vehicle.state),
        _seconds(vehicle.state_age),
        "" if progress is None else percent_text(progress.fraction),
        _seconds(vehicle.seen_age),
        _seconds(vehicle.lag),
        _seconds(vehicle.data_age),
        "" if vehicle.rows is None else str(vehicle.rows),
        str(vehicle.failures),
        vehicle.software_version or "",
        " ".join(vehicle.tags),
        _seconds(vehicle.interval_sec),
        vehicle.last_error or "",
        *_why(vehicle.pause),
        "" if vehicle.mute is None else vehicle.mute.scope,
        *_why(vehicle.mute),
        vehicle.late_because or "",
        (vehicle.gap and vehicle.gap.remark) or "",
        *_alarms(vehicle),
    ]


def _alarms(vehicle: VehicleOverview) -> list[str]:
    """Return how many alarms are open, and the worst one's severity."""
    alarms = alarms_of(vehicle)
    return ["0", ""] if alarms is None else [str(alarms.count), SEVERITY_STYLES[alarms.worst].word]


def _why(pause: Pause | None) -> list[str]:
    """Return until when a pause or a mute lasts, by whom and why."""
    if pause is None:
        return ["", "", ""]
    until = "" if pause.until is None else utc_text(pause.until)
    return [until, pause.by or "", pause.reason or ""]


def _seconds(age: float | None) -> str:
    return "" if age is None else f"{age:.0f}"
