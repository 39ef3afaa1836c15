"""Files that commands read: a vehicle's key, or a list of vehicles."""

import sys
from contextlib import nullcontext
from pathlib import Path

import click

from fleetsyncd import validation
from fleetsyncd.errors import CommandError
from fleetsyncd.text import sanitise

MAX_BYTES = 16 << 20
"""Of a file; a fleet's list has less, and a device or a wrong path must not fill the memory."""

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
    """Return the text of a file, or of standard input for a dash; both are UTF-8."""
    try:
        with nullcontext(sys.stdin.buffer) if path == "-" else Path(path).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) <= MAX_BYTES:
            return content.decode("utf-8")
        reason: str | None = f"it has more than {MAX_BYTES >> 20} MB"
    except OSError as error:
        reason = error.strerror
    except UnicodeDecodeError:
        reason = "it is not UTF-8"
    raise CommandError(f"{what} cannot be read from {sanitise(path)}: {reason}")
