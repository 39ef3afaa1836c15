"""Files that commands read: a vehicle's key, or a list of vehicles."""

import sys
from pathlib import Path

import click

from fleetsyncd import validation
from fleetsyncd.errors import CommandError

key_file_option = click.option(
    "--key-file",
    type=click.Path(allow_dash=True, dir_okay=False),
    help="File that holds the vehicle's API key, - for standard input. "
    "There is no option for the key itself: process lists would show it.",
)


def read_key(path: str | None) -> str | None:
    """Return the key in a file, None without one; no error repeats it."""
    return (
        None
        if path is None
        else validation.parse_api_key(read_text(path, "the key").rstrip("\r\n"))
    )


def read_text(path: str, what: str) -> str:
    """Return the text of a file, or of standard input for a dash."""
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise CommandError(f"{what} cannot be read from {path}: {reason}") from None
