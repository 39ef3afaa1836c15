"""The layout of the command line: its commands in sections, and the exit codes."""

from importlib import import_module

import click

PROGRAM = "fleetsyncd"
HELP_CHARACTERS = 80
"""The length of a command's line in the help of its group."""
_SECTIONS = {
    "Daemon": ("run", "once", "health"),
    "Fleet": (
        "status",
        "vehicle",
        "access",
        "backfill",
        "audit",
        "quarantine",
        "notify",
        "traffic",
        "log",
    ),
    "Installation": (
        "migrate",
        "doctor",
        "retention",
        "storage",
        "minutes",
        "completion",
        "schema",
    ),
    "Demo": ("demo", "simulate"),
}
COMMANDS = {
    "access": "fleetsyncd.commands.access:access_group",
    "audit": "fleetsyncd.commands.audit:audit",
    "backfill": "fleetsyncd.commands.backfill:backfill",
    "completion": "fleetsyncd.commands.completion:completion",
    "demo": "fleetsyncd.demo.commands:demo",
    "doctor": "fleetsyncd.commands.doctor:doctor",
    "health": "fleetsyncd.commands.health:health",
    "log": "fleetsyncd.commands.log:log_command",
    "migrate": "fleetsyncd.commands.migrate:migrate_command",
    "minutes": "fleetsyncd.commands.minutes:minutes_command",
    "notify": "fleetsyncd.commands.notify:notify_group",
    "quarantine": "fleetsyncd.commands.quarantine:quarantine_group",
    "retention": "fleetsyncd.commands.retention:retention",
    "schema": "fleetsyncd.commands.schema:schema_command",
    "simulate": "fleetsyncd.demo.commands:simulate",
    "status": "fleetsyncd.commands.status:status",
    "storage": "fleetsyncd.commands.storage:storage_command",
    "traffic": "fleetsyncd.commands.traffic:traffic_command",
    "vehicle": "fleetsyncd.commands.vehicle:vehicle",
}
"""Where each command is that `cli` does not have itself."""
EXIT_FAILED = 1
"""A check or a requested operation failed."""
EXIT_IMPOSSIBLE = 2
"""The command could not run."""
EXIT_INTERRUPTED = 130
"""Interrupted, or a question answered with no; another signal has 128 and its own number."""
EXIT_CODES = """\b
Exit codes:
  0    done, all well
  1    a check found a fault, or an operation failed
  2    could not run: one message on standard error says why
  130  interrupted, or a question answered with no (SIGHUP: 129, SIGTERM: 143)
"""


class Commands(click.Group):
    """The program's commands in sections; a command is imported only when it is asked for.

    So each start costs what its own command needs: `health` runs every 30 s, and production has no
    demo.
    """

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted({*super().list_commands(context), *COMMANDS})

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return a command by its name."""
        if name not in self.commands and name in COMMANDS:
            module, _, attribute = COMMANDS[name].partition(":")
            self.add_command(getattr(import_module(module), attribute), name)
        return super().get_command(context, name)

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the arguments name; the error suggests from all commands."""
        if self.get_command(context, arguments[0]) is None:
            for name in COMMANDS:
                self.get_command(context, name)
        return super().resolve_command(context, arguments)

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
