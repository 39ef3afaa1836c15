"""The pane of a vehicle's registration and sync state."""

from datetime import datetime

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll

from fleetsyncd.database.views.channel_changes import StoredChange
from fleetsyncd.database.views.sql_times import from_epoch
from fleetsyncd.database.views.vehicle import VehicleDetails
from fleetsyncd.states import LinkTraffic, VehicleOverview
from fleetsyncd.text import age, counted, size
from fleetsyncd.times import utc_span
from tui.background import query
from tui.formatting import KEY_HIDDEN, moment_text, progress_text
from tui.model.tag_text import gone
from tui.widgets.fixed_text import FixedText
from tui.widgets.panes.pane import Pane
from tui.widgets.panes.requests import read_requests, request_fields
from tui.widgets.row_table import READING, Fields

NAME_WIDTH, NARROWEST, SCROLL_BAR = 25, 20, 2
"""Terminal cells of the names, of the texts at least, and of the scroll bar."""


class ConfigPane(Pane):
    """The vehicle's registration and sync state; never its key."""

    is_read = False
    """Whether the vehicle's state has been read."""

    def compose(self) -> ComposeResult:
        """Lay out the text."""
        with VerticalScroll(id="config-scroll"):
            yield FixedText(id="config")

    def take_focus(self) -> None:
        """Focus what scrolls: a small screen has no room for all lines."""
        self.query_one(VerticalScroll).focus()

    def on_mount(self) -> None:
        """Say that nothing has been read yet."""
        self.query_one("#config", FixedText).show(Text(f" {READING}"))

    def show_unread(self, text: str) -> None:
        """Show why nothing was read, unless something was before."""
        if not self.is_read:
            self.query_one("#config", FixedText).show(Text(f" {text}"))

    async def load(self) -> None:
        """Read the details and show them."""
        gateway, read_only = self.context.gateway, self.context.state.read_only
        details = await query(lambda: gateway.vehicle_details(self.vehicle_id))
        requested = await query(lambda: read_requests(gateway, self.vehicle_id))
        own_keys = set() if read_only else await query(gateway.vehicles_with_own_key)
        vehicle = self.context.state.view.get(self.vehicle_id)
        self.is_read = True
        if details is None or vehicle is None:
            what = f" nothing: this vehicle {gone(self.context.state.tags)}"
            self.query_one("#config", FixedText).show(Text(what))
            return
        key = "its own" if self.vehicle_id in own_keys else "VEHICLE_DEFAULT_API_KEY"
        key = KEY_HIDDEN if read_only else f"{KEY_HIDDEN} {key}"
        lines = Text()
        since_read = self.context.state.since_read(self.context.now())
        state = _state_text(vehicle, _changed_at(vehicle, details.now - since_read))
        changes = await query(lambda: gateway.channel_changes(self.vehicle_id))
        carried = _traffic_text(await query(lambda: gateway.link_traffic(self.vehicle_id)))
        fields = (
            *_fields(details, vehicle, key, state),
            *request_fields(requested),
            ("link has carried", carried),
        )
        for name, text in (*fields, *map(_change_field, changes)):
            if text:
                lines.append_text(self._lines_of(name, text))
        shown = self.query_one("#config", FixedText)
        shown.styles.height = lines.plain.count("\n")
        shown.show(lines)

    def _lines_of(self, name: str, text: str) -> Text:
        """Return a field in as many lines as its text needs, each ended."""
        width = max(NARROWEST, self.size.width - NAME_WIDTH - SCROLL_BAR)
        lines = Text()
        for index, part in enumerate(Text(text).wrap(self.app.console, width)):
            lines.append(f"{'' if index else f' {name}':<{NAME_WIDTH}}", "bold")
            lines.append(f"{part.plain.rstrip()}\n")
        return lines


def _fields(details: VehicleDetails, vehicle: VehicleOverview, key: str, state: str) -> Fields:
    return [
        ("name", details.name),
        ("id", str(vehicle.id)),
        ("address", vehicle.address),
        ("tags", " ".join(vehicle.tags)),
        ("key", key),
        ("own terms", "" if vehicle.terms is None else vehicle.terms.text),
        ("state", state),
        ("paused or muted", vehicle.maintenance),
        ("late because", vehicle.late_because or ""),
        ("software", vehicle.software_version or "-"),
        ("calls itself", _hint_text(details)),
        ("pulled by", vehicle.replica or "-"),
        ("registered", moment_text(details.created_at)),
        ("last seen", moment_text(details.last_seen_at)),
        ("committed up to", moment_text(details.last_sync_at)),
        ("live", _live_text(vehicle)),
        ("missing", _missing_text(vehicle)),
        ("loses data", _loss_text(vehicle)),
        ("gap waits for", (vehicle.gap and vehicle.gap.error) or ""),
        ("alarms committed up to", moment_text(details.alarm_watermark)),
        ("newest measurement", moment_text(details.newest_measurement_at)),
        ("clock", _skew_text(details.clock_skew_ms)),
        ("commits", _lateness_text(vehicle)),
        ("failures in a row", str(vehicle.failures)),
        ("last error", vehicle.last_error or ""),
        ("in quarantine", counted(details.quarantined, "bad row")),
        ("catching up", progress_text(vehicle.catching_up)),
    ]


def _changed_at(vehicle: VehicleOverview, now: float) -> datetime | None:
    """Return since when the state lasts, for the database's time when it was read."""
    return None if vehicle.state_age is None else from_epoch(now - vehicle.state_age)


def _state_text(vehicle: VehicleOverview, changed: datetime | None) -> str:
    """Return the state, and since when it lasts if that is known."""
    word = vehicle.state.value
    if changed is None:
        return f"{word}, not known since when"
    return f"{word} since {moment_text(changed)}, {age(vehicle.state_age)}"


def _live_text(vehicle: VehicleOverview) -> str:
    """Return how far what is live is behind; empty without a gap before it."""
    return "" if vehicle.gap is None else f"{age(vehicle.lag)} behind"


def _missing_text(vehicle: VehicleOverview) -> str:
    gap = vehicle.gap
    if gap is None or gap.from_at is None or gap.to_at is None:
        return ""
    return f"{age(gap.missing_sec)} of {utc_span(gap.from_at, gap.to_at)}"


def _loss_text(vehicle: VehicleOverview) -> str:
    gap = vehicle.gap
    if gap is None or gap.loses_from is None:
        return ""
    return f"from {moment_text(gap.loses_from)} on, in {age(gap.loses_in_sec)}"


def _lateness_text(vehicle: VehicleOverview) -> str:
    """Return how late its rows come, and how far back pulls begin for that."""
    if vehicle.overlap_seconds is None:
        return ""
    late = vehicle.lateness_seconds
    met = "" if late is None else f"up to {late:.1f} s late, "
    return f"{met}each pull begins {vehicle.overlap_seconds:.1f} s early"


def _traffic_text(traffic: LinkTraffic | None) -> str:
    """Return what the link has carried, for comparison with what it may; days are in UTC."""
    if traffic is None:
        return ""
    months = f"{size(traffic.this_month)} this month, {size(traffic.last_month)} last month"
    return f"{months}, {size(traffic.today)} today"


def _change_field(change: StoredChange) -> tuple[str, str]:
    """Return what a channel meant before."""
    span = ""
    if change.old_min is not None and change.old_max is not None:
        span = f" {change.old_min:g} to {change.old_max:g}"
    meaning = f"{change.old_name} [{change.old_unit}]{span}"
    return f"channel {change.channel_id} was", f"{meaning} until {moment_text(change.changed_at)}"


def _hint_text(details: VehicleDetails) -> str:
    if details.other_hint is None:
        return details.id_hint or ""
    since = moment_text(details.other_hint_since)
    return f"{details.other_hint} since {since}, {details.id_hint} before"


def _skew_text(skew_ms: int | None) -> str:
    if skew_ms is None:
        return "-"
    return f"{abs(skew_ms) / 1000:.1f} s {'behind' if skew_ms < 0 else 'ahead of'} the daemon's"
