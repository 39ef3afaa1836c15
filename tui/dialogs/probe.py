"""The dialog that tests vehicles' four calls."""

import asyncio

import msgspec
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from fleetsyncd.states import VehicleOverview
from fleetsyncd.text import sanitise
from tui import own_program
from tui.dialogs.dialog import Dialog

MAX_PROCESSES = 4


class CallResult(msgspec.Struct, frozen=True):
    """How one call to a vehicle went, as `fleetsyncd vehicle test --json` prints it."""

    call: str
    good: bool
    text: str


class ProbeDialog(Dialog[None]):
    """Runs `fleetsyncd vehicle test` for each vehicle and shows each result when it is there."""

    def __init__(self, targets: list[VehicleOverview]) -> None:
        title = f"Test {targets[0].name}" if len(targets) == 1 else f"Test {len(targets)} vehicles"
        super().__init__(title, "Again")
        self.targets = targets

    def body(self) -> ComposeResult:
        """Lay out one text for each vehicle."""
        with VerticalScroll(id="results"):
            for vehicle in self.targets:
                yield Static(self._heading(vehicle, "testing …"), id=f"test-{vehicle.id}")

    def on_mount(self) -> None:
        """Start the tests."""
        self.submit()
        self.query_one("#results").focus()

    def submit(self) -> None:
        """Test all vehicles, at first and again."""
        self.run_worker(self._test_all(), group="test", exclusive=True, exit_on_error=False)

    async def _test_all(self) -> None:
        limit = asyncio.Semaphore(MAX_PROCESSES)

        async def test(vehicle: VehicleOverview) -> None:
            text = self.query_one(f"#test-{vehicle.id}", Static)
            text.update(self._heading(vehicle, "testing …"))
            async with limit:
                lines = await run_test(vehicle)
            text.update(Text("\n").join([self._heading(vehicle), *lines]))

        await asyncio.gather(*map(test, self.targets))

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
