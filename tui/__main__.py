"""`python -m tui` and `fleetsync-tui`: the command that starts the dashboard."""

import os
import sys
from pathlib import Path

import click

from fleetsyncd import __version__, process, settings, streams, validation
from fleetsyncd.errors import FleetsyncError
from tui import keymap, presence, remembered, terminal_input
from tui.app import FleetApp
from tui.building import build
from tui.key_collisions import collisions
from tui.vehicle_actions import is_offered

NO_TERMINAL = "standard input and error must be a terminal; over ssh and docker give -t"
KEYMAP = "fleetsync-tui/keymap.toml"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--read-only", is_flag=True, help="Disable every key that changes something.")
@click.option(
    "--keymap",
    "keymap_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help=f"TOML file with your own keys, instead of ~/.config/{KEYMAP}.",
)
@click.option(
    "--tag",
    "tags",
    multiple=True,
    help="Show only vehicles with this tag; given several times, with any of them.",
)
@click.version_option(__version__, prog_name="fleetsync-tui")
def main(read_only: bool, keymap_path: Path | None, tags: tuple[str, ...]) -> None:
    """Show the fleet live in the terminal, and act on it. The configuration is the daemon's."""
    streams.prepare()
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        streams.tell(f"fleetsync-tui: {NO_TERMINAL}")
        sys.exit(2)
    process.forbid_core_dumps()
    terminal_input.decode_leniently()
    try:
        memory = remembered.memory(os.environ)
        wanted = tuple(sorted({validation.parse_tag(tag) for tag in tags}))
        app = build(settings.load(), read_only=read_only, tags=wanted, memory=memory)
        default_path = Path(click.get_app_dir("fleetsync-tui", roaming=False)) / "keymap.toml"
        if keymap_path is not None or default_path.exists():
            path = keymap_path or default_path
            keys = keymap.load(path, keymap.ids(FleetApp))
            app.set_keymap(keys)
            app.remarks = [
                f"the keymap {path}: {each}" for each in collisions(FleetApp, keys, is_offered)
            ]
    except FleetsyncError as error:
        for line in str(error).split("\n"):
            streams.tell(f"fleetsync-tui: {line}")
        sys.exit(2)
    process.hold_little_memory()
    for remark in app.remarks:
        streams.tell(f"fleetsync-tui: {remark}")
    app.run()
    app.save_view()
    if presence.is_hung_up():
        os._exit(0)  # what is buffered for the terminal could not be written
    if app.last_words:
        streams.tell(f"fleetsync-tui: {app.last_words}")
    sys.exit(app.return_code or 0)


if __name__ == "__main__":
    main(prog_name="fleetsync-tui")
