"""Validation of what operators register a vehicle with; an error says what is expected."""

import ipaddress

from fleetsyncd.errors import CommandError
from fleetsyncd.settings import is_api_key
from fleetsyncd.text import sanitise

NAME_LIMIT = 200
DEFAULT_PORT = 8001
MAX_PORT = 65535


def parse_name(text: str) -> str:
    """Return a vehicle's name without blanks at its ends; raise CommandError if it is invalid."""
    name = text.strip()
    if not name or len(name) > NAME_LIMIT or not name.isprintable():
        raise CommandError(f"a name has 1 to {NAME_LIMIT} printable characters")
    return name


def parse_host(text: str) -> str:
    """Return an address as PostgreSQL writes it; raise CommandError if it is invalid."""
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        raise CommandError(f"{sanitise(text, 60)} is not an IPv4 or IPv6 address") from None


def parse_port(text: str) -> int:
    """Return a port; raise CommandError if it is invalid."""
    if not (text.strip().isascii() and text.strip().isdigit() and 1 <= int(text) <= MAX_PORT):
        raise CommandError(f"a port is a number from 1 to {MAX_PORT}")
    return int(text)


def parse_api_key(text: str) -> str:
    """Return a key that a header can carry; raise CommandError, which does not repeat it."""
    if not is_api_key(text):
        raise CommandError("an API key is one line of printable ASCII without blanks at its ends")
    return text
