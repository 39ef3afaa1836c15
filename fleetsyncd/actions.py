"""What operators do, and who they are, as the action log stores it."""

import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from uuid import UUID, uuid4

from fleetsyncd.text import sanitise

DAEMON = "daemon"
DASHBOARD = "dashboard"
TEXT_LIMIT, LOGIN_LIMIT = 1_000, 100


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a login name of this host, and the address from which it came by SSH."""

    login: str
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Action:
    """A command, or an action of the dashboard, with its arguments; never with a key.

    One that is tried again, after its answer was lost, has its `id` again: it is logged once.
    """

    text: str
    actor: Actor
    id: UUID = field(default_factory=uuid4)


def present_actor(environment: Mapping[str, str] = os.environ) -> Actor:
    """Return who runs this process: who called sudo, else the login name."""
    login = environment.get("SUDO_USER") or _login()
    return Actor(sanitise(login, LOGIN_LIMIT), _address(environment.get("SSH_CONNECTION", "")))


def daemon_actor() -> Actor:
    """Return the actor of what the daemon does by itself."""
    return Actor(f"{DAEMON} on {sanitise(os.uname().nodename, LOGIN_LIMIT)}")


def on_dashboard(actor: Actor, text: str) -> Action:
    """Return an action of the dashboard."""
    return Action(f"{DASHBOARD}: {text}", actor)


def _login() -> str:
    """Return the name with which the terminal was logged in to, else that of the user."""
    try:
        return os.getlogin()
    except OSError:
        pass  # there is no terminal
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def _address(connection: str) -> str | None:
    """Return the client's address of SSH_CONNECTION; None if it has none."""
    client = connection.partition(" ")[0]
    try:
        return str(ip_address(client))
    except ValueError:
        return None
