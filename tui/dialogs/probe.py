"""The dialog that tries vehicles' four calls."""

import asyncio
import json
import sys
from asyncio.subprocess import DEVNULL, PIPE
from typing import Any

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from fleetsyncd.states import VehicleOverview
from fleetsyncd.text import sanitise
from tui.dialogs.dialog import Dialog

AT_ONCE = 4


class ProbeDialog(Dialog[None]):
    """Runs `fleetsyncd vehicle test` for each vehicle and shows the verdicts as they come.

    In a process of its own, because the one that speaks to vehicles is gevent's.
    """

    def __init__(self, targets: list[VehicleOverview]) -> None:
        title = f"Test {targets[0].name}" if len(targets) == 1 else f"Test {len(targets)} vehicles"
        super().__init__(title, "Again")
        self.targets = targets

    def body(self) -> ComposeResult:
        """Lay out one part for each vehicle."""
        with VerticalScroll(id="verdicts"):
            for vehicle in self.targets:
                yield Static(self._heading(vehicle, "asking …"), id=f"test-{vehicle.id}")

    def on_mount(self) -> None:
        """Begin."""
        self.submit()
        self.query_one("#verdicts").focus()

    def submit(self) -> None:
        """Try all of them (again)."""
        self.run_worker(self._try_all(), group="test", exclusive=True, exit_on_error=False)

    async def _try_all(self) -> None:
        turn = asyncio.Semaphore(AT_ONCE)

        async def one(vehicle: VehicleOverview) -> None:
            part = self.query_one(f"#test-{vehicle.id}", Static)
            part.update(self._heading(vehicle, "asking …"))
            async with turn:
                part.update(Text("\n").join([self._heading(vehicle), *await verdicts(vehicle)]))

        await asyncio.gather(*map(one, self.targets))

    def _heading(self, vehicle: VehicleOverview, more: str = "") -> Text:
        return Text(f"{vehicle.name} at {vehicle.address}  {more}", "bold")


async def verdicts(vehicle: VehicleOverview) -> list[Text]:
    """Return a readable line for each of the vehicle's four calls."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "fleetsyncd", "vehicle", "test", str(vehicle.id), "--json",
        stdin=DEVNULL, stdout=PIPE, stderr=PIPE,
    )  # fmt: skip
    try:
        output, complaint = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    try:
        return [_line(verdict) for verdict in json.loads(output)]
    except ValueError:
        return [Text(f"  ✖ {sanitise(complaint.decode(errors='replace').strip(), 300)}", "red")]


def _line(verdict: dict[str, Any]) -> Text:
    line = Text("  ✔ ", "green") if verdict["good"] else Text("  ✖ ", "red")
    return line.append(f"{verdict['call']:<10} {sanitise(str(verdict['text']), 300)}", "default")
