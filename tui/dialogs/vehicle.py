"""Dialogs that register, change and remove vehicles."""

from collections.abc import Callable
from dataclasses import dataclass

from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import Input, Label, Static

from fleetsyncd import validation
from fleetsyncd.database.vehicles import RegisteredVehicle, VehicleChange
from fleetsyncd.database.views.estimates import RowCounts
from fleetsyncd.errors import CommandError, FleetsyncError
from tui.background import in_thread, is_live
from tui.dialogs.dialog import Dialog
from tui.formatting import KEY_HIDDEN
from tui.widgets.checkbox import PlainCheckbox

WAY_BACK = "fleetsyncd vehicle restore gives a vehicle back, purge deletes them"
DISK_SPACE = "the disk gets their space back when their month is dropped"
MAX_NAMES = 8
"""A deletion of more vehicles names only the first ones."""


@dataclass(frozen=True, slots=True)
class CurrentValues:
    """The values that an edit starts from; None where the vehicles differ."""

    name: str | None
    host: str | None
    port: int | None


class VehicleForm(Dialog[VehicleChange]):
    """Asks for name, address, port and key of a new vehicle (`current` None) or for an edit.

    Each field is checked while it is typed. A key is never shown; an empty field does not change
    it. `save` runs in a thread; if it raises, the dialog shows the error and keeps the input.
    """

    def __init__(
        self,
        title: str,
        accept: str,
        current: CurrentValues | None,
        save: Callable[[VehicleChange], None],
    ) -> None:
        super().__init__(title, accept)
        self.current = current
        self.single = current is None or current.name is not None
        """Whether it is about one vehicle: several cannot share a name and an address."""
        self._save = save

    def body(self) -> ComposeResult:
        """Lay out the fields."""
        current = self.current or CurrentValues("", "", validation.DEFAULT_PORT)
        if self.single:
            yield Label("Name")
            yield Input(current.name or "", id="name", compact=True)
            yield Label("VPN address (IPv4 or IPv6)")
            yield Input(current.host or "", id="host", compact=True)
        yield Label("Port")
        port = "" if current.port is None else str(current.port)
        yield Input(port, id="port", compact=True)
        yield Label("API key (printable ASCII)")
        is_new = self.current is None
        empty = "empty: VEHICLE_DEFAULT_API_KEY" if is_new else f"{KEY_HIDDEN} unchanged"
        yield Input(id="key", password=True, placeholder=empty, compact=True)
        if not is_new:
            yield PlainCheckbox(
                "use VEHICLE_DEFAULT_API_KEY from now on", id="drop-key", compact=True
            )

    def on_input_changed(self, event: Input.Changed) -> None:
        """Check a field while it is typed."""
        try:
            self._parse(str(event.input.id))
        except CommandError as error:
            event.input.add_class("-invalid")
            self.show_error(str(error) if event.value else "")
        else:
            event.input.remove_class("-invalid")
            self.show_error("")

    def _parse(self, field: str) -> str | int | None:
        """Return a field's value; None means unchanged; raise CommandError if it is not valid.

        What is registered already stays possible: an adopted vehicle's name need not be valid.
        """
        text = self.query_one(f"#{field}", Input).value
        registered = getattr(self.current, field, None)
        if registered is not None and text == str(registered):
            return None
        parsers: dict[str, Callable[[str], str | int]] = {
            "name": validation.parse_name,
            "host": validation.parse_host,
            "port": validation.parse_port,
            "key": validation.parse_api_key,
        }
        if text == "" and (field == "key" or (field == "port" and not self.single)):
            return None
        return parsers[field](text)

    def submit(self) -> None:
        """Check every field; save the change, or show the first error."""
        values: dict[str, str | int | None] = {}
        for field in ("name", "host", "port", "key") if self.single else ("port", "key"):
            try:
                values[field] = self._parse(field)
            except CommandError as error:
                self.query_one(f"#{field}", Input).add_class("-invalid")
                self.query_one(f"#{field}", Input).focus()
                self.show_error(str(error))
                return
        drop_key = bool(self.current and self.query_one("#drop-key", PlainCheckbox).value)
        if drop_key and values["key"]:
            self.show_error("a new key and the default key exclude each other")
            return
        change = VehicleChange(drop_key=drop_key, **values)  # type: ignore[arg-type]  # fields have their types
        self.run_worker(self._save_and_finish(change), exclusive=True)

    async def _save_and_finish(self, change: VehicleChange) -> None:
        try:
            await in_thread(lambda: self._save(change))
        except FleetsyncError as error:
            if is_live(self):
                self.show_error(str(error))
            else:  # it was closed meanwhile
                self.app.notify(str(error), severity="error", markup=False)
        else:
            self.finish(change)


class DeleteForm(Dialog[bool]):
    """Asks to type a vehicle's name; answers whether its measurements are deleted too."""

    def __init__(self, targets: list[RegisteredVehicle], rows: RowCounts) -> None:
        self.targets = targets
        self.rows = rows
        self.phrase = targets[0].name if len(targets) == 1 else f"delete {len(targets)} vehicles"
        title = f"Delete {targets[0].name}" if len(targets) == 1 else self.phrase.capitalize()
        super().__init__(title, "Delete")

    def body(self) -> ComposeResult:
        """Show which rows are deleted, and ask for the name."""
        rows = self.rows
        if len(self.targets) > 1:
            names = ", ".join(vehicle.name for vehicle in self.targets[:MAX_NAMES])
            others = len(self.targets) - MAX_NAMES
            yield Static(Text(names + (f" and {others} more" if others > 0 else "")))
        yield Static(
            Text(
                f"Deletes: {rows.journal:,} journal entries, {rows.alarms:,} alarms,"
                f" {rows.channels:,} channels"
            )
        )
        yield Static("", id="measurements")
        yield PlainCheckbox("delete the measurements as well", id="with", compact=True)
        yield Label(Text(f"Type  {self.phrase}  to confirm"))
        yield Input(id="phrase", compact=True)

    def on_mount(self) -> None:
        """Show whether the measurements are deleted."""
        self._update_measurements_line()
        self.query_one("#phrase").focus()

    def on_checkbox_changed(self) -> None:
        """Show whether the measurements are deleted."""
        self._update_measurements_line()

    @property
    def _with_measurements(self) -> bool:
        return self.query_one("#with", PlainCheckbox).value

    def _update_measurements_line(self) -> None:
        verb = "Deletes" if self._with_measurements else "Keeps"
        line = f"{verb}: {self.rows.measurements_text} measurements"
        note = DISK_SPACE if self._with_measurements else WAY_BACK
        self.query_one("#measurements", Static).update(Text(f"{line}\n{note}"))

    def submit(self) -> None:
        """Confirm the deletion if the name is right."""
        if self.query_one("#phrase", Input).value.strip() != self.phrase:
            self.show_error(f"that is not {self.phrase}: nothing was deleted")
            return
        self.finish(self._with_measurements)
