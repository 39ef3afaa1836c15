"""Hold a command line against the program's own parser, without running it."""

from collections.abc import Sequence
from pathlib import Path

import click

from fleetsyncd.cli import cli

ROOT = Path(__file__).parents[2]


def fault_of(words: Sequence[str]) -> str | None:
    """Return what is wrong with the arguments of `fleetsyncd`; None if they can be run."""
    command: click.Command = cli
    context = click.Context(cli, info_name="fleetsyncd")
    rest = list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        name = rest.pop(0)
        subcommand = command.get_command(context, name)
        if subcommand is None:
            return f"there is no command {name}"
        command, context = subcommand, click.Context(subcommand, parent=context, info_name=name)
    try:
        command.make_context(context.info_name, rest, parent=context.parent)
    except (click.exceptions.Exit, click.exceptions.NoArgsIsHelpError):
        return None  # it shows its help
    except click.ClickException as error:
        return error.format_message()
    return None
