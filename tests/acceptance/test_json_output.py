"""What commands print with --json: its types, its versions, its documentation."""

import json
import re
from pathlib import Path
from types import GenericAlias
from typing import Any

import msgspec
import pytest

from fleetsyncd.commands.json_output import OUTPUTS, schema
from fleetsyncd.demo import embedded
from tests.acceptance.conftest import Installation

ROOT = Path(__file__).parents[2]
SCHEMAS = Path(__file__).with_name("schemas")
PAGE = (ROOT / "docs" / "json.md").read_text()
CHANGED = "what scripts read has changed: only add fields, or raise the version, then write {path}"
USER = "aaaaaaaa-0000-4000-8000-000000000001"


def structure(described: dict[str, Any]) -> dict[str, Any]:
    """Return a schema without its texts."""
    texts = ("$schema", "description", "title")
    return {
        key: structure(value) if isinstance(value, dict) else value
        for key, value in described.items()
        if key not in texts or isinstance(value, dict)
    }


def fields(described: dict[str, Any]) -> dict[str, set[str]]:
    """Return the names of the fields of each object of a schema."""
    return {
        name: set(definition["properties"])
        for name, definition in described["$defs"].items()
        if "properties" in definition
    }


@pytest.mark.parametrize("name", OUTPUTS)
def test_an_output_keeps_the_schema_of_its_version(name: str) -> None:
    path = SCHEMAS / f"{name}.{OUTPUTS[name].version}.json"
    written = json.loads(json.dumps(structure(schema(name))))
    assert written == json.loads(path.read_text()), CHANGED.format(path=path.name)


def test_no_schema_of_an_older_version_is_forgotten() -> None:
    known = {f"{name}.{output.version}.json" for name, output in OUTPUTS.items()}
    assert {path.name for path in SCHEMAS.iterdir()} == known


@pytest.mark.parametrize("name", OUTPUTS)
def test_every_field_of_an_output_is_documented(name: str) -> None:
    heading = f"## `{name}` version {OUTPUTS[name].version}\n"
    assert PAGE.count(heading) == 1
    section = PAGE.partition(heading)[2].partition("\n## ")[0]
    assert f"fleetsyncd {OUTPUTS[name].command}" in section
    rows = re.findall(r"^\| (`[^|]+`) \|", section, re.MULTILINE)
    documented = set(re.findall(r"`([\w.]+)`", " ".join(rows)))
    if name in ("vehicle-list", "status-vehicle"):
        documented |= fields(schema("status"))["VehicleOverview"]
    entry = schema(name)["items"]["$ref"].rpartition("/")[2]
    assert documented - {each for each in documented if "." in each} == fields(schema(name))[entry]


def test_every_output_is_listed_with_its_version(installation: Installation) -> None:
    code, output, _ = installation.command("schema")
    assert code == 0
    listed = [line.split()[:2] for line in output.splitlines()[1:]]
    assert listed == [[name, str(each.version)] for name, each in OUTPUTS.items()]
    code, output, _ = installation.command("schema", "status")
    assert (code, json.loads(output)) == (0, json.loads(json.dumps(schema("status"))))


@pytest.fixture
def told(installation: Installation) -> Installation:
    """Return an installation of which every output has something to tell."""
    installation.fleet(2)
    assert installation.command("once")[0] == 0
    removed = installation.command("vehicle", "add", "Removed-01", "127.0.0.9")
    assert removed[0] == 0
    assert installation.command("vehicle", "remove", "Removed-01", "--yes")[0] == 0
    ((vehicle_id,),) = installation.rows("SELECT id::text FROM vehicles LIMIT 1")
    installation.rows(
        "INSERT INTO fleetsync.quarantine (vehicle_id, digest, call, raw, reason)"
        " VALUES (%s, gen_random_uuid(), '/data', '{}', 'no time')",
        vehicle_id,
    )
    installation.rows(
        "WITH told AS (INSERT INTO fleetsync.notice (kind, severity, vehicle_id, vehicle_name,"
        " title) VALUES ('down', 'critical', %s::uuid, 'Truck-01', 'down') RETURNING id)"
        " INSERT INTO fleetsync.notice_delivery (notice_id, target, outcome)"
        " SELECT id, 'json://host#1', 'sent' FROM told",
        vehicle_id,
    )
    grant = ("access", "grant", USER, vehicle_id)
    assert installation.command(*grant, DB_USER=embedded.OWNER)[0] == 0
    return installation


def test_what_commands_print_is_what_their_schemas_say(told: Installation) -> None:
    name = told.rows("SELECT name FROM vehicles ORDER BY name LIMIT 1")[0][0]
    for key, output in OUTPUTS.items():
        words = output.command.split()
        if key == "status-vehicle":
            words.insert(1, name)
        if words[:2] == ["vehicle", "test"]:
            words.insert(2, name)
        code, printed, _ = told.command(*words)
        assert code == 0, words
        entries = json.loads(printed)
        assert entries, words
        # As strictly as a script: no field more, none less, of these types.
        read = msgspec.convert(entries, GenericAlias(list, (output.entry,)), strict=True)
        assert json.loads(json.dumps(msgspec.to_builtins(read))) == entries
        described = fields(schema(key))
        assert set(entries[0]) in described.values()
