"""Questions that a command asks before it deletes something."""

import sys

import click

from fleetsyncd.errors import CommandError


def confirm(question: str) -> None:
    """Ask; raise click.Abort if the answer is no, CommandError if nobody can answer."""
    try:
        answer = click.confirm(question)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        raise CommandError("nobody can answer without a terminal: give --yes") from None
    if not answer:
        raise click.Abort
