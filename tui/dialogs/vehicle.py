"""Dialogs that register, change and remove vehicles."""

from collections.abc import Callable
from dataclasses import dataclass

from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import Input, Label, Static

from fleetsyncd import validation
from fleetsyncd.database.vehicles import VehicleChange
from fleetsyncd.database.views.estimates import RowCounts
from fleetsyncd.errors import CommandError
from fleetsyncd.states import VehicleOverview
from tui.dialogs.dialog import Dialog
from tui.formatting import KEY_HIDDEN
from tui.widgets.checkbox import PlainCheckbox

MANY = "delete"


@dataclass(frozen=True, slots=True)
class CurrentValues:
    """What an edit begins with; None where several vehicles differ."""

    name: str | None
    host: str | None
    port: int | None


class VehicleForm(Dialog[VehicleChange]):
    """Asks for name, address, port and key; answers with what is to be changed or registered.

    Validates in place. A key is never shown; left empty it stays as it is.
    """

    def __init__(self, title: str, accept: str, known: CurrentValues | None) -> None:
        super().__init__(title, accept)
        self.known = known
        self.one = known is None or known.name is not None
        """Whether it is about a single vehicle: only that has a name and an address."""

    def body(self) -> ComposeResult:
        """Lay out the fields."""
        known = self.known or CurrentValues("", "", validation.DEFAULT_PORT)
        if self.one:
            yield Label("Name")
            yield Input(known.name or "", id="name", compact=True)
            yield Label("VPN address (IPv4 or IPv6)")
            yield Input(known.host or "", id="host", compact=True)
        yield Label("Port")
        port = "" if known.port is None else str(known.port)
        yield Input(port, id="port", compact=True)
        yield Label("API key (printable ASCII)")
        empty = "empty: VEHICLE_DEFAULT_API_KEY" if self.known is None else f"{KEY_HIDDEN} as it is"
        yield Input(id="key", password=True, placeholder=empty, compact=True)
        if self.known is not None:
            yield PlainCheckbox(
                "use VEHICLE_DEFAULT_API_KEY from now on", id="drop-key", compact=True
            )

    def on_input_changed(self, event: Input.Changed) -> None:
        """Say what is wrong with a field while it is being typed."""
        try:
            self._read(str(event.input.id))
        except CommandError as error:
            event.input.add_class("-invalid")
            self.show_error(str(error) if event.value else "")
        else:
            event.input.remove_class("-invalid")
            self.show_error("")

    def _read(self, field: str) -> str | int | None:
        """Return a field's value; None if it stays as it is."""
        text = self.query_one(f"#{field}", Input).value
        read: dict[str, Callable[[str], str | int]] = {
            "name": validation.parse_name,
            "host": validation.parse_host,
            "port": validation.parse_port,
            "key": validation.parse_api_key,
        }
        if text == "" and (field == "key" or (field == "port" and not self.one)):
            return None
        return read[field](text)

    def submit(self) -> None:
        """Check everything; hand over what is to be done, or say what is wrong."""
        values: dict[str, str | int | None] = {}
        for field in ("name", "host", "port", "key") if self.one else ("port", "key"):
            try:
                values[field] = self._read(field)
            except CommandError as error:
                self.query_one(f"#{field}", Input).add_class("-invalid")
                self.query_one(f"#{field}", Input).focus()
                self.show_error(str(error))
                return
        drop = bool(self.known and self.query_one("#drop-key", PlainCheckbox).value)
        if drop and values["key"]:
            self.show_error("a new key and the default key exclude each other")
            return
        self.apply(VehicleChange(drop_key=drop, **values))  # type: ignore[arg-type]  # fields have their types

    def apply(self, change: VehicleChange) -> None:
        """Hand over what is to be done."""
        self.finish(change)


class DeleteForm(Dialog[bool]):
    """Asks for a vehicle's name to be typed again; answers whether its measurements go too."""

    def __init__(self, targets: list[VehicleOverview], extent: RowCounts) -> None:
        self.targets = targets
        self.extent = extent
        self.phrase = targets[0].name if len(targets) == 1 else f"{MANY} {len(targets)} vehicles"
        title = f"Delete {targets[0].name}" if len(targets) == 1 else self.phrase.capitalize()
        super().__init__(title, "Delete")

    def body(self) -> ComposeResult:
        """Say what goes and what stays, and ask."""
        extent = self.extent
        if len(self.targets) > 1:
            names = ", ".join(vehicle.name for vehicle in self.targets[:8])
            more = f" and {len(self.targets) - 8} more" if len(self.targets) > 8 else ""  # noqa: PLR2004
            yield Static(Text(names + more))
        yield Static(
            Text(
                f"Goes: {extent.journal:,} journal rows, {extent.alarms:,} alarms,"
                f" {extent.channels:,} channels"
            )
        )
        yield Static("", id="measurements")
        yield PlainCheckbox("delete the measurements as well", id="with", compact=True)
        yield Label(Text(f"Type  {self.phrase}  to confirm"))
        yield Input(id="phrase", compact=True)

    def on_mount(self) -> None:
        """Say what becomes of the measurements."""
        self._tell()
        self.query_one("#phrase").focus()

    def on_checkbox_changed(self) -> None:
        """Say what becomes of the measurements."""
        self._tell()

    @property
    def _with_measurements(self) -> bool:
        return self.query_one("#with", PlainCheckbox).value

    def _tell(self) -> None:
        fate = "Goes" if self._with_measurements else "Stays"
        line = f"{fate}: {self.extent.measurements_text} measurements"
        self.query_one("#measurements", Static).update(Text(line))

    def submit(self) -> None:
        """Go ahead if the name is right."""
        if self.query_one("#phrase", Input).value.strip() != self.phrase:
            self.show_error(f"that is not {self.phrase}: nothing was deleted")
            return
        self.finish(self._with_measurements)
