"""A CSV file of vehicles to register; every fault is reported with its line."""

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from fleetsyncd import validation
from fleetsyncd.errors import CommandError
from fleetsyncd.terms import NO_TERMS, PARSERS, Given, Terms, TermsChange

TERMS = {
    "interval": "interval_sec",
    "timeout": "timeout_sec",
    "window": "window_sec",
    "gap_kbit": "gap_kbit",
}
"""The columns of a vehicle's own terms, and the fields that they fill."""
COLUMNS = ("name", "address", "port", "api_key", "tags", *TERMS)
REQUIRED = ("name", "address")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class NewVehicle:
    """A vehicle to be registered, from this line of the file."""

    line: int
    name: str
    host: str
    port: int
    key: str | None = field(repr=False)
    tags: tuple[str, ...] = ()
    terms: Terms = NO_TERMS


def parse_vehicles(text: str) -> list[NewVehicle]:
    """Return the vehicles of a CSV text; raise CommandError with all faults, by line.

    The first line names the columns: `name`, `address`, and optionally others of COLUMNS, in any
    order, separated by commas or semicolons. No error repeats a key.
    """
    # Line ends stay: within quotes they belong to the cell, which is then refused.
    file = io.StringIO(text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}"), newline="")
    delimiter = ";" if ";" in file.readline() else ","
    file.seek(0)
    reader = csv.DictReader(file, delimiter=delimiter, skipinitialspace=True, strict=True)
    faults: list[str] = []
    vehicles: list[NewVehicle] = []
    try:
        _check_columns([name.strip() for name in reader.fieldnames or ()])
        reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
        for row in reader:
            vehicle = _vehicle(reader.line_num, row, faults)
            if vehicle is not None:
                vehicles.append(vehicle)
    except csv.Error:
        number = reader.reader.line_num
        faults.append(f"line {number}: this is not CSV, or a cell is huge: check its quotes")
    faults += _duplicates(vehicles)
    if not faults and not vehicles:
        faults.append("line 1: no vehicle follows")
    raise_faults(faults)
    return vehicles


def raise_faults(faults: list[str]) -> None:
    """Raise CommandError if there are faults."""
    if faults:
        lines = "\n".join(f"  {line}" for line in faults)
        raise CommandError(f"no vehicle was registered:\n{lines}")


def _check_columns(names: list[str]) -> None:
    unknown = [name for name in names if name not in COLUMNS]
    missing = [name for name in REQUIRED if name not in names]
    if unknown or missing or len(set(names)) < len(names):
        raise CommandError(
            "the file's first line must name its columns: name, address and, if wanted, port,"
            f" api_key, tags, {', '.join(TERMS)}"
        )


def _vehicle(line: int, row: dict[str, str | None], faults: list[str]) -> NewVehicle | None:
    before = len(faults)

    def checked(check: Callable[[str], T], column: str, default: T) -> T:
        value = row.get(column) or ""
        if not value.strip() and column not in REQUIRED:
            return default
        try:
            return check(value)
        except CommandError as error:
            faults.append(f"line {line}: {error}")
            return default

    if None in row.values() or None in row:
        faults.append(f"line {line}: it has more or fewer cells than the first line names")
        return None
    name = checked(validation.parse_name, "name", "")
    host = checked(validation.parse_host, "address", "")
    port = checked(validation.parse_port, "port", validation.DEFAULT_PORT)
    key = checked(_key, "api_key", None)
    tags: tuple[str, ...] = checked(validation.parse_tags, "tags", ())
    own = {field: checked(PARSERS[field], column, None) for column, field in TERMS.items()}
    if len(faults) > before:
        return None
    given = TermsChange(**{field: Given(value) for field, value in own.items()})
    return NewVehicle(line, name, host, port, key, tags, given.applied_to(NO_TERMS))


def _key(text: str) -> str | None:
    return validation.parse_api_key(text)


def _duplicates(vehicles: list[NewVehicle]) -> list[str]:
    faults = []
    names: dict[str, int] = {}
    addresses: dict[tuple[str, int], int] = {}
    for vehicle in vehicles:
        first = names.setdefault(vehicle.name, vehicle.line)
        if first != vehicle.line:
            faults.append(f"line {vehicle.line}: {vehicle.name} is in line {first} already")
        first = addresses.setdefault((vehicle.host, vehicle.port), vehicle.line)
        if first != vehicle.line:
            where = f"{vehicle.host} port {vehicle.port}"
            faults.append(f"line {vehicle.line}: {where} is in line {first} already")
    return faults
