"""The pane of what is known of a vehicle beside its state."""

from rich.text import Text
from textual.app import ComposeResult

from fleetsyncd.database.views.vehicle import VehicleDetails
from fleetsyncd.states import VehicleOverview
from tui.background import query
from tui.formatting import KEY_HIDDEN, progress_text, time_text
from tui.widgets.fixed_text import FixedText
from tui.widgets.panes.pane import Pane


class ConfigPane(Pane):
    """What is known of the vehicle beside its state."""

    def compose(self) -> ComposeResult:
        """Lay out the text."""
        yield FixedText(id="config")

    async def load(self) -> None:
        """Read and show it."""
        gateway, read_only = self.context.gateway, self.context.state.read_only
        found = await query(lambda: gateway.vehicle_details(self.vehicle_id))
        own_keys = set() if read_only else await query(gateway.vehicles_with_own_key)
        vehicle = self.context.state.view.get(self.vehicle_id)
        if found is None or vehicle is None:
            return
        key = "its own" if self.vehicle_id in own_keys else "VEHICLE_DEFAULT_API_KEY"
        key = KEY_HIDDEN if read_only else f"{KEY_HIDDEN} {key}"
        lines = [(name, text) for name, text in _config(found, vehicle, key) if text]
        told = Text()
        for name, text in lines:
            told.append(f" {name:<24}", "bold").append(f"{text}\n")
        self.query_one("#config", FixedText).show(told)


def _config(found: VehicleDetails, vehicle: VehicleOverview, key: str) -> list[tuple[str, str]]:
    skew = found.clock_skew_ms
    return [
        ("name", found.name),
        ("id", str(vehicle.id)),
        ("address", vehicle.address),
        ("key", key),
        ("software", vehicle.software_version or "-"),
        ("pulled by", vehicle.replica or "-"),
        ("registered", time_text(found.created_at)),
        ("last seen", time_text(found.last_seen_at)),
        ("committed up to", time_text(found.last_sync_at)),
        ("alarms asked for up to", time_text(found.alarm_watermark)),
        ("newest measurement", time_text(found.newest_measurement_at)),
        ("clock", "-" if skew is None else f"{skew / 1000:+.1f} s from ours"),
        ("failures in a row", str(vehicle.failures)),
        ("in quarantine", f"{found.quarantined} bad row(s)"),
        ("catching up", progress_text(vehicle.catching_up)),
        ("backfill", progress_text(vehicle.backfill)),
    ]
