"""The dialog that tests vehicles' four calls."""

import asyncio
from uuid import UUID

import msgspec
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from fleetsyncd.states import VehicleOverview
from fleetsyncd.text import sanitise
from tui import own_program
from tui.background import is_live
from tui.dialogs.dialog import Dialog
from tui.model.targets import Targets

MAX_PROCESSES = 4
MOST_TESTED = 50
"""Vehicles of one dialog: each starts a process, and all results are laid out at each new one."""


class CallResult(msgspec.Struct, frozen=True):
    """How one call to a vehicle went, as `fleetsyncd vehicle test --json` prints it."""

    call: str
    good: bool
    text: str


class ProbeDialog(Dialog[None]):
    """Runs `fleetsyncd vehicle test` for each vehicle and shows each result when it is there."""

    CLOSE_LABEL = "Close (Esc, q)"

    def __init__(self, targets: Targets) -> None:
        super().__init__(f"Test {targets.title}", "Again", notice=targets.notice)
        self.targets = targets
        self._results: dict[UUID, Text] = {}

    def body(self) -> ComposeResult:
        """Lay out one text for all vehicles: a widget for each of a thousand takes 30 MB."""
        with VerticalScroll(id="results"):
            yield Static(id="tests")

    def on_mount(self) -> None:
        """Start the tests."""
        self.submit()
        self.query_one("#results").focus()

    def submit(self) -> None:
        """Test all vehicles, at first and again."""
        self.run_worker(self._test_all(), group="test", exclusive=True)

    async def _test_all(self) -> None:
        limit = asyncio.Semaphore(MAX_PROCESSES)

        async def test(vehicle: VehicleOverview) -> None:
            async with limit:
                lines = await run_test(vehicle)
            self._results[vehicle.id] = Text("\n").join([self._heading(vehicle), *lines])
            self._show_results()

        self._results = {each.id: self._heading(each, "testing …") for each in self.targets}
        self._show_results()
        await asyncio.gather(*map(test, self.targets))

    def _show_results(self) -> None:
        if not is_live(self):  # it was closed meanwhile
            return
        self.query_one("#tests", Static).update(Text("\n\n").join(self._results.values()))

    def _heading(self, vehicle: VehicleOverview, progress: str = "") -> Text:
        return Text(f"{vehicle.name} at {vehicle.address}  {progress}", "bold")


async def run_test(vehicle: VehicleOverview) -> list[Text]:
    """Test the vehicle; return a line for each of its four calls, or one with the error."""
    ended = await own_program.run("vehicle", "test", str(vehicle.id), "--json")
    try:
        results = msgspec.json.decode(ended.output, type=list[CallResult])
    except msgspec.MsgspecError:
        return [Text(f"  ✖ {ended.error}", "red")]
    return [_line(result) for result in results]


def _line(result: CallResult) -> Text:
    line = Text("  ✔ ", "green") if result.good else Text("  ✖ ", "red")
    return line.append(f"{result.call:<10} {sanitise(result.text, 300)}", "default")
