"""`fleetsyncd vehicle pause/resume/mute/unmute`: maintenance of vehicles, with an end if wanted."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import click

from fleetsyncd import bootstrap, validation
from fleetsyncd.actions import Action
from fleetsyncd.commands.acting import act_on, present_action
from fleetsyncd.commands.parameters import (
    all_vehicles_option,
    tag_option,
    vehicles_argument,
    which_argument,
)
from fleetsyncd.database import mutes, pausing, vehicles
from fleetsyncd.database.mutes import FLEET, Scope
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.vehicles import RegisteredVehicle
from fleetsyncd.database.views.sql_times import database_now
from fleetsyncd.errors import CommandError
from fleetsyncd.states import Mute, Pause
from fleetsyncd.time_limits import end_after, end_at

Command = TypeVar("Command", bound=Callable[..., Any])

_with_tag = tag_option("--tag", "All vehicles with this tag, also later ones; several times.")


def _with_end(command: Command) -> Command:
    """Add the options that say for how long, and why."""
    for option in (
        click.option("--reason", help="Why; shown wherever the state is."),
        click.option("--until", metavar="TIME", help="2026-11-28 06:00 by this host's clock, or"
                     " 2026-11-28T06:00Z."),
        click.option("--for", "length", metavar="LENGTH", help="For so long: 90m, 8h, 3d."),
    ):  # fmt: skip
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class _Wanted:
    """For how long, or until when, and why; without both it has no end."""

    length: str | None
    until: str | None
    reason: str | None

    def __post_init__(self) -> None:
        if self.length is not None and self.until is not None:
            raise click.UsageError("--for and --until exclude each other")

    def pause(self, now: datetime, action: Action) -> Pause:
        """Return what is meant at the present moment of the database; raise CommandError."""
        end = None
        if self.length is not None:
            end = end_after(self.length, now)
        elif self.until is not None:
            end = end_at(self.until, now)
        return Pause(end, validation.parse_reason(self.reason or ""), action.actor.login)


@click.command()
@which_argument
@_with_end
def pause(which: str, length: str | None, until: str | None, reason: str | None) -> None:
    """Stop pulling a vehicle until it is resumed, or for a time.

    WHICH is its name or id. Nothing is lost: the vehicle keeps its history meanwhile. After its
    time it is pulled again by itself. Of a paused vehicle, end and reason are replaced.
    """
    wanted, action = _Wanted(length, until, reason), present_action()
    whys: list[Pause] = []

    def work(cursor: Cursor, known: RegisteredVehicle) -> None:
        whys[:] = [wanted.pause(database_now(cursor), action)]
        pausing.set_paused(cursor, known.id, True, whys[0])

    known = act_on(which, work)
    click.echo(f"paused {known.name}{whys[0].text}")


@click.command()
@which_argument
def resume(which: str) -> None:
    """Resume a paused vehicle.

    WHICH is its name or id. What it measured meanwhile is pulled.
    """
    known = act_on(which, lambda cursor, known: pausing.set_paused(cursor, known.id, False))
    click.echo(f"resumed {known.name}")


@click.command()
@vehicles_argument
@_with_tag
@all_vehicles_option
@_with_end
def mute(
    vehicles: tuple[str, ...],
    tag: tuple[str, ...],
    all_vehicles: bool,
    length: str | None,
    until: str | None,
    reason: str | None,
) -> None:
    """Have nothing told of vehicles, which are pulled on.

    VEHICLE is a name or id. What is muted already gets the new end and reason.
    """
    wanted, action = _Wanted(length, until, reason), present_action()

    def work(cursor: Cursor) -> tuple[list[str], Pause]:
        named = _scopes(cursor, vehicles, tag, all_vehicles)
        why = wanted.pause(database_now(cursor), action)
        done = mutes.set_mutes(cursor, [(scope, why) for scope in named], action)
        return [name for scope, name in named.items() if scope in done], why

    names, why = bootstrap.configured_database().run(work)
    for name in names:
        click.echo(f"muted {name}{why.text}")


@click.command()
@vehicles_argument
@_with_tag
@all_vehicles_option
def unmute(vehicles: tuple[str, ...], tag: tuple[str, ...], all_vehicles: bool) -> None:
    """Have everything told again.

    VEHICLE is a name or id. It ends the mute of exactly that: of the vehicle, the tag, or the fleet
    (--all). A vehicle stays muted while one of its tags, or the fleet is.
    """
    action = present_action()

    def work(cursor: Cursor) -> list[str]:
        named = _scopes(cursor, vehicles, tag, all_vehicles)
        done = mutes.clear_mutes(cursor, named, action)
        lines = [
            f"unmuted {name}" if scope in done else f"{name}: was not muted"
            for scope, name in named.items()
        ]
        ids = [scope.vehicle_id for scope in named if scope.vehicle_id is not None]
        left = mutes.muted(cursor, ids) if ids else {}
        return lines + [
            _still_muted(name, left[scope.vehicle_id])
            for scope, name in named.items()
            if scope.vehicle_id in left
        ]

    for line in bootstrap.configured_database().run(work):
        click.echo(line)


def _still_muted(name: str, mute: Mute) -> str:
    what = "--all" if mute.scope == "fleet" else f"--tag {mute.scope.removeprefix('tag ')}"
    return f"{name} stays muted with {mute.scope}: `fleetsyncd vehicle unmute {what}`"


def _scopes(
    cursor: Cursor, names: tuple[str, ...], tags: tuple[str, ...], all_vehicles: bool
) -> dict[Scope, str]:
    """Return what is meant, each with its name; raise CommandError unless one way is used."""
    if sum(map(bool, (names, tags, all_vehicles))) != 1:
        raise CommandError("name the vehicles, or give --tag or --all")
    if all_vehicles:
        return {FLEET: "the fleet"}
    if tags:
        return {Scope(tag=each): f"tag {each}" for each in tags}
    found = vehicles.find_vehicles(cursor, names, all_vehicles=False)
    return {Scope(each.id): each.name for each in found}
