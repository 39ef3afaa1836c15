"""The JSON that commands print for scripts: each output has a type, which is its schema.

Within a version fields and values of enumerations may be added, and none is renamed, removed or
given another meaning. docs/json.md describes them; `fleetsyncd schema` prints them.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from types import GenericAlias
from typing import Any

import click
import msgspec


@dataclass(frozen=True, slots=True)
class Output:
    """A list that a command prints; `place` is where the type of its entries is."""

    command: str
    version: int
    place: str

    @property
    def entry(self) -> Any:
        """The type of an entry, imported when it is asked for."""
        module, _, name = self.place.partition(":")
        return getattr(import_module(module), name)


OUTPUTS = {
    "access-list": Output("access list --json", 1, "fleetsyncd.database.access:Access"),
    "audit": Output(
        "audit --all --no-wait --json", 1, "fleetsyncd.commands.audit_watch:AuditedVehicle"
    ),
    "doctor": Output("doctor --json", 1, "fleetsyncd.findings:Finding"),
    "log": Output("log --json", 1, "fleetsyncd.database.views.actions:LoggedAction"),
    "minutes": Output("minutes --json", 1, "fleetsyncd.database.views.minutes:VehicleMinutes"),
    "notify-list": Output("notify list --json", 1, "fleetsyncd.commands.notify:ToldNotice"),
    "quarantine-count": Output(
        "quarantine list --count --json", 1, "fleetsyncd.database.quarantine:ReasonCount"
    ),
    "quarantine-list": Output(
        "quarantine list --json", 1, "fleetsyncd.database.quarantine:QuarantinedRow"
    ),
    "retention": Output("retention --json", 1, "fleetsyncd.commands.retention:Deletion"),
    "status": Output("status --json", 1, "fleetsyncd.states:VehicleOverview"),
    "status-vehicle": Output("status --json", 1, "fleetsyncd.commands.status:VehicleStatus"),
    "storage": Output("storage --json", 1, "fleetsyncd.commands.storage:StorageReport"),
    "traffic": Output("traffic --json", 1, "fleetsyncd.database.views.traffic:TrafficPeriod"),
    "vehicle-list": Output("vehicle list --json", 1, "fleetsyncd.commands.vehicle:ListedVehicle"),
    "vehicle-list-removed": Output(
        "vehicle list --removed --json", 1, "fleetsyncd.commands.removed_vehicles:ListedLeftover"
    ),
    "vehicle-test": Output("vehicle test --json", 1, "fleetsyncd.vehicle.probe:CallResult"),
}


def print_list(entries: Sequence[object]) -> None:
    """Print the entries of one of the outputs: times as ISO 8601 in UTC, ASCII in any locale."""
    click.echo(json.dumps(msgspec.to_builtins(entries), indent=2))


def schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema of an output."""
    output = OUTPUTS[name]
    described = msgspec.json.schema(GenericAlias(list, (output.entry,)))
    for definition in described["$defs"].values():
        # The rest of a docstring is for those who read the code.
        definition["description"] = definition["description"].partition("\n")[0]
        if "enum" in definition:
            definition |= {"type": "string", "examples": definition.pop("enum")}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:fleetsyncd:{name}:{output.version}",
        "title": f"fleetsyncd {output.command}",
        **described,
    }
