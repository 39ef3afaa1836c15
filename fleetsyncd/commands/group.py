"""The layout of the command line: its sections in the help text, and the exit codes."""

from importlib import import_module

import click

PROGRAM = "fleetsyncd"
HELP_CHARACTERS = 80
"""The length of a command's line in the help of its group."""
_SECTIONS = {
    "Daemon": ("run", "once", "health"),
    "Fleet": ("status", "vehicle", "access", "backfill", "quarantine"),
    "Installation": ("migrate", "doctor", "completion"),
    "Demo": ("demo", "simulate"),
}
EXIT_FAILED = 1
"""A check or a requested operation failed."""
EXIT_IMPOSSIBLE = 2
"""The command could not run."""
EXIT_INTERRUPTED = 130
"""Interrupted, or a question answered with no."""
EXIT_CODES = """\b
Exit codes:
  0    done, all well
  1    a check found a fault, or an operation failed
  2    could not run: one message on standard error says why
  130  interrupted, or a question answered with no
"""


class Commands(click.Group):
    """The program's commands in sections.

    Those of the demo are imported only when one is named: production has no demo.
    """

    lazy = ("demo", "simulate")

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted([*super().list_commands(context), *self.lazy])

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return a command by its name."""
        if name not in self.lazy:
            return super().get_command(context, name)
        command = getattr(import_module("fleetsyncd.demo.commands"), name)
        return command if isinstance(command, click.Command) else None

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands into the help text, section by section."""
        present = {name: self.get_command(context, name) for name in self.list_commands(context)}
        width = max(map(len, present))
        placed = {name for names in _SECTIONS.values() for name in names}
        rest = tuple(name for name in present if name not in placed)
        for title, names in {**_SECTIONS, "Other": rest}.items():
            rows = [
                (name.ljust(width), command.get_short_help_str(HELP_CHARACTERS))
                for name in names
                if (command := present.get(name)) is not None
            ]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)
