"""`fleetsyncd completion`: shell completion of commands, options and vehicles' names."""

import click
from click.shell_completion import get_completion_class

from fleetsyncd.commands.group import PROGRAM
from fleetsyncd.errors import CommandError

_COMPLETE = "_FLEETSYNCD_COMPLETE"


_EXAMPLES = """\b
bash:
  fleetsyncd completion bash \\
    > ~/.local/share/bash-completion/completions/fleetsyncd
zsh:
  fleetsyncd completion zsh > "${fpath[1]}/_fleetsyncd"
fish:
  fleetsyncd completion fish > ~/.config/fish/completions/fleetsyncd.fish
"""


@click.command(epilog=_EXAMPLES)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script for a shell.

    It completes commands, options and the names of vehicles.
    """
    completion_class = get_completion_class(shell)
    root = context.find_root().command
    if completion_class is None:
        raise CommandError(f"there is no completion for {shell}")
    click.echo(completion_class(root, {}, PROGRAM, _COMPLETE).source())
