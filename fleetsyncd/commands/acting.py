"""The running command as the action log stores it, and acting on a vehicle by it."""

import shlex
from collections.abc import Callable, Iterator

import click
from click.core import ParameterSource

from fleetsyncd import bootstrap
from fleetsyncd.actions import Action, present_actor
from fleetsyncd.database.action_log import recorded
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.vehicles import RegisteredVehicle, find_vehicle


def present_action() -> Action:
    """Return the running command, with the arguments that were given.

    They hold no key: commands read keys from files only. To be called once for a command, outside
    of what a transaction repeats.
    """
    context = click.get_current_context()
    path = context.command_path.split()[1:]
    return Action(" ".join([*path, shlex.join(_words(context))]).strip(), present_actor())


def _words(context: click.Context) -> Iterator[str]:
    for parameter in context.command.params:
        name = parameter.name or ""
        if context.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            continue
        value = context.params[name]
        values = value if isinstance(value, tuple) else (value,)
        for each in values:
            if isinstance(parameter, click.Option):
                yield parameter.opts[0]
                if parameter.is_flag:
                    continue
            yield str(each)


def act_on(which: str, act: Callable[[Cursor, RegisteredVehicle], None]) -> RegisteredVehicle:
    """Find the vehicle and act on it in one transaction; return what it was registered as."""
    action = present_action()

    def work(cursor: Cursor) -> RegisteredVehicle:
        known = find_vehicle(cursor, which)
        with recorded(cursor, action, [known.id]):
            act(cursor, known)
        return known

    return bootstrap.configured_database().run(work)
