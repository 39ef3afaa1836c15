"""`fleetsyncd vehicle ...`: register, change, pause, sync and test vehicles."""

import ipaddress
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import click
import msgspec

from fleetsyncd import settings
from fleetsyncd.database import fleet
from fleetsyncd.database.overview import overview, with_own_key
from fleetsyncd.database.pool import Cursor
from fleetsyncd.errors import CommandError
from fleetsyncd.models import utc_now
from fleetsyncd.parts import Parts
from fleetsyncd.tables import table
from fleetsyncd.text import clean
from fleetsyncd.vehicle.probe import probe

NAME_LIMIT = 200
DEFAULT_PORT = 8001

_port = click.IntRange(1, 65535)
_key_file = click.option(
    "--key-file",
    type=click.Path(allow_dash=True, dir_okay=False),
    help="File that holds the vehicle's API key, - for standard input. "
    "There is no option for the key itself: process lists would show it.",
)


@click.group()
def vehicle() -> None:
    """Register, change, pause, sync and test vehicles."""


@vehicle.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON list instead of a table.")
@click.pass_obj
def list_vehicles(parts: Parts, as_json: bool) -> None:
    """List every vehicle with its address, id and whether it has a key of its own."""
    found = parts.settings()
    database = parts.database(found)
    vehicles = database.run(lambda c: overview(c, found.sync_interval))
    own_key = database.run(with_own_key)
    if as_json:
        known_vehicles = [
            {**msgspec.to_builtins(known), "has_own_key": known.id in own_key} for known in vehicles
        ]
        click.echo(json.dumps(known_vehicles, default=str, indent=2))
        return
    rows = [
        [known.name, known.address, "own" if known.id in own_key else "default", str(known.id)]
        for known in vehicles
    ]
    click.echo(table(["VEHICLE", "ADDRESS", "KEY", "ID"], rows))


@vehicle.command()
@click.argument("name")
@click.argument("address")
@click.option("--port", type=_port, default=DEFAULT_PORT, show_default=True)
@_key_file
@click.pass_obj
def add(parts: Parts, name: str, address: str, port: int, key_file: str | None) -> None:
    """Register NAME at the VPN ADDRESS (IPv4 or IPv6)."""
    name, host, key = _name(name), _host(address), _key(key_file)
    database = parts.database(parts.settings())
    vehicle_id = database.run(lambda cursor: fleet.add(cursor, name, host, port, key))
    click.echo(f"added {name} as {vehicle_id}: the daemon takes it in at its next cycle")


@vehicle.command("set")
@click.argument("which")
@click.option("--name", help="New name.")
@click.option("--address", help="New VPN address.")
@click.option("--port", type=_port, help="New port.")
@_key_file
@click.option("--no-key", is_flag=True, help="Use VEHICLE_DEFAULT_API_KEY from now on.")
@click.pass_obj
def set_vehicle(
    parts: Parts,
    which: str,
    name: str | None,
    address: str | None,
    port: int | None,
    key_file: str | None,
    no_key: bool,
) -> None:
    """Change the vehicle WHICH (a name or an id)."""
    if no_key and key_file:
        raise CommandError("--key-file and --no-key exclude each other")
    new = fleet.Change(
        name=None if name is None else _name(name),
        host=None if address is None else _host(address),
        port=port,
        key=_key(key_file),
        drop_key=no_key,
    )
    if new == fleet.Change():
        raise CommandError("nothing to change: see `fleetsyncd vehicle set --help`")
    known = _act_on(parts, which, lambda cursor, known: fleet.change(cursor, known.id, new))
    click.echo(f"changed {known.name}")


@vehicle.command()
@click.argument("which")
@click.option("--with-measurements", is_flag=True, help="Delete its measurements as well.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def remove(parts: Parts, which: str, with_measurements: bool, yes: bool) -> None:
    """Remove the vehicle WHICH with its journal, alarms and channels."""
    if not yes:
        extent = "and all its measurements" if with_measurements else "but keep its measurements"
        click.confirm(f"Remove {clean(which)} {extent}?", abort=True)
    outcome: list[fleet.Removal] = []

    def take_out(cursor: Cursor, known: fleet.Registered) -> None:
        outcome[:] = [fleet.remove(cursor, known.id, with_measurements=with_measurements)]

    known = _act_on(parts, which, take_out)
    done = outcome[0]
    left = "; its measurements stay" if done.measurements_left else ""
    click.echo(f"removed {known.name} and {done.measurements_removed} measurements{left}")


@vehicle.command()
@click.argument("which")
@click.pass_obj
def pause(parts: Parts, which: str) -> None:
    """Leave the vehicle WHICH alone until it is resumed; nothing is lost meanwhile."""
    known = _act_on(parts, which, lambda cursor, known: fleet.set_paused(cursor, known.id, True))
    click.echo(f"paused {known.name}")


@vehicle.command()
@click.argument("which")
@click.pass_obj
def resume(parts: Parts, which: str) -> None:
    """Take a paused vehicle up again; the gap is pulled."""
    known = _act_on(parts, which, lambda cursor, known: fleet.set_paused(cursor, known.id, False))
    click.echo(f"resumed {known.name}")


@vehicle.command()
@click.argument("which")
@click.pass_obj
def sync(parts: Parts, which: str) -> None:
    """Ask the running daemon to sync the vehicle WHICH now."""
    known = _act_on(parts, which, lambda cursor, known: fleet.request_sync(cursor, known.id))
    click.echo(f"asked for {known.name} to be synced now")


@vehicle.command()
@click.argument("which")
@click.option("--json", "as_json", is_flag=True, help="One JSON list instead of a table.")
@click.pass_obj
def test(parts: Parts, which: str, as_json: bool) -> int:
    """Try the four calls of the vehicle WHICH; exit 1 if one fails."""
    found = parts.settings()
    known = parts.database(found).run(lambda cursor: fleet.find(cursor, which))
    client = parts.client(found, known.host, known.port, known.key)
    verdicts = probe(client, utc_now)
    client.close()
    if as_json:
        click.echo(json.dumps([asdict(verdict) for verdict in verdicts], indent=2))
    else:
        rows = [["ok" if tried.good else "FAILED", tried.call, tried.text] for tried in verdicts]
        click.echo(table(["", "CALL", f"{known.name} AT {known.host} PORT {known.port}"], rows))
    return 0 if all(verdict.good for verdict in verdicts) else 1


def _act_on(
    parts: Parts, which: str, action: Callable[[Cursor, fleet.Registered], None]
) -> fleet.Registered:
    """Find the vehicle and act on it in one transaction; return what it was registered as."""

    def work(cursor: Cursor) -> fleet.Registered:
        known = fleet.find(cursor, which)
        action(cursor, known)
        return known

    return parts.database(parts.settings()).run(work)


def _name(text: str) -> str:
    name = text.strip()
    if not name or len(name) > NAME_LIMIT or not name.isprintable():
        raise CommandError(f"a name has 1 to {NAME_LIMIT} printable characters")
    return name


def _host(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise CommandError(f"{clean(text, 60)} is no IPv4 or IPv6 address") from None


def _key(path: str | None) -> str | None:
    """Read a key from a file; its text is in no message."""
    if path is None:
        return None
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text()
    except (OSError, UnicodeDecodeError) as fault:
        raise CommandError(f"the key cannot be read from {path}: {fault}") from None
    key = text.rstrip("\r\n")
    if not settings.is_api_key(key):
        raise CommandError("an API key is one line of printable ASCII without blanks at its ends")
    return key
