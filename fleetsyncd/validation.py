"""Validation of what operators register a vehicle with; an error says what is expected.

The commands, the CSV file and the dashboard's dialog all use these functions. That a name or an
address is not taken is checked where it is written, in `database/vehicles.py`.
"""

import ipaddress
import re
import unicodedata

from fleetsyncd.allowed import API_KEY_RULE, is_new_api_key
from fleetsyncd.errors import CommandError
from fleetsyncd.text import sanitise

NAME_LIMIT = 200
TAG_LIMIT = 32
REASON_LIMIT = 200
TAG_RULE = f"a tag has 1 to {TAG_LIMIT} letters, digits or -_./ and begins with a letter or a digit"
DEFAULT_PORT = 8001
MAX_PORT = 65535
# Printable to Python, and yet nothing is seen of them: two names would look the same.
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\ufffc"
    "\U00016fe4\U0001d159\U000e0100-\U000e01ef]"
)
_PORT = re.compile(r"0{0,99}([0-9]{1,5})")
_THIS_NETWORK = ipaddress.ip_network("0.0.0.0/8")
_BROADCAST = ipaddress.ip_address("255.255.255.255")
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def parse_name(text: str) -> str:
    """Return a vehicle's name without blanks at its ends; raise CommandError if it is invalid."""
    name = text.strip()
    if not name or len(name) > NAME_LIMIT or not name.isprintable():
        raise CommandError(f"a name has 1 to {NAME_LIMIT} printable characters, on one line")
    if invisible := _INVISIBLE.search(name):
        code = f"U+{ord(invisible[0]):04X}"
        raise CommandError(f"a name has visible characters only, and {code} is not: leave it out")
    if unicodedata.category(name[0]).startswith("M"):
        raise CommandError("a name cannot begin with a mark that belongs onto another character")
    return name


def fold_tag(text: str) -> str:
    """Return a tag as it is compared with others, in small letters."""
    return unicodedata.normalize("NFC", text.strip().casefold())


def parse_tag(text: str) -> str:
    """Return a tag in small letters; raise CommandError if it is invalid.

    A filter and a list of tags hold it without quotes.
    """
    tag = fold_tag(text)
    marks = (char in "-_./" or unicodedata.category(char).startswith("M") for char in tag[1:])
    valid = all(char.isalnum() or mark for char, mark in zip(tag[1:], marks, strict=True))
    if not (0 < len(tag) <= TAG_LIMIT and tag[0].isalnum() and valid) or _INVISIBLE.search(tag):
        raise CommandError(f"{sanitise(text, 40)} is no tag: {TAG_RULE}")
    return tag


def parse_tags(text: str) -> tuple[str, ...]:
    """Return tags that blanks separate, each once, sorted; raise CommandError as `parse_tag`."""
    return tuple(sorted({parse_tag(part) for part in text.split()}))


def parse_reason(text: str) -> str | None:
    """Return a reason without blanks at its ends, None for none; raise CommandError."""
    reason = text.strip()
    if len(reason) > REASON_LIMIT or not reason.isprintable():
        raise CommandError(f"a reason has at most {REASON_LIMIT} printable characters, on one line")
    return reason or None


def parse_host(text: str) -> str:
    """Return an address as PostgreSQL writes it; raise CommandError if it is invalid."""
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        raise CommandError(f"{sanitise(text, 60)} is not an IPv4 or IPv6 address") from None
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    if fault := _address_fault(address):
        raise CommandError(f"{address} is {fault}: give the vehicle's own address in the VPN")
    return str(address)


def address_text(host: str, port: int | None) -> str:
    """Return host and port as one text; None means the default port."""
    port = DEFAULT_PORT if port is None else port
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _address_fault(address: _Address) -> str | None:
    """Return what an address is that no single vehicle can have."""
    if address.is_unspecified or address in _THIS_NETWORK:
        return "no address of a host"
    if address.is_multicast:
        return "a multicast address"
    if address == _BROADCAST:
        return "the broadcast address"
    if isinstance(address, ipaddress.IPv6Address) and (address.is_link_local or address.scope_id):
        return "valid on one interface only, which the database cannot name"
    return None


def parse_port(text: str) -> int:
    """Return a port; raise CommandError if it is invalid."""
    digits = _PORT.fullmatch(text.strip())
    if digits is None or not 1 <= int(digits[1]) <= MAX_PORT:
        raise CommandError(f"a port is a number from 1 to {MAX_PORT}")
    return int(digits[1])


def parse_api_key(text: str) -> str:
    """Return a key that a header can carry; raise CommandError, which does not repeat it."""
    if not is_new_api_key(text):
        raise CommandError(f"an API key is one line of {API_KEY_RULE}")
    return text
