"""What apprise says, without secrets: its texts may contain URLs, or lines of a file."""

import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from fleetsyncd.notify.names import shown_host
from fleetsyncd.text import sanitise

SAID_LIMIT = 200
_HIDDEN = "***"
_SHORTEST = 3
"""Characters of a word that may be a secret."""
_URL = re.compile(r"\S+://\S+")
_WORDS = re.compile(r"[^\s/:?&=,;@#'\"()\[\]{}]+")
_NO_NEWS = "Failed to load Apprise configuration"


def without_secrets(text: str, service: Any) -> str:
    """Return a text of the library without what is in a target's URL beside the host."""
    url = service.url(privacy=False)
    parts = urlsplit(url)
    secrets = {*parts.path.split("/"), parts.query, parts.username, parts.password, url}
    if shown_host(service) != parts.hostname:
        secrets.add(parts.netloc)
    return sanitise(_hide(text, filter(None, secrets)), SAID_LIMIT)


def said_of_file(said: Collection[str], config: str | None) -> str:
    """Return what the library says of a file, as the end of a sentence, without what is in it.

    Nothing of a file that includes others, of which it is not known what they hold.
    """
    text = " ".join(each for each in said if not each.startswith(_NO_NEWS))
    content = Path(config).read_bytes().decode(errors="replace") if config and text else ""
    if not content or "include" in content:
        return ""
    words = {each for each in _WORDS.findall(content) if len(each) >= _SHORTEST}
    lines = {line.strip() for line in content.splitlines() if line.strip()}
    hidden = _hide(_URL.sub(_HIDDEN, text), words | lines)
    return f"; apprise says: {sanitise(hidden, SAID_LIMIT)}"


def _hide(text: str, secrets: Iterable[str]) -> str:
    found = set(secrets)
    found |= {unquote(each) for each in found}
    for secret in sorted(filter(None, found), key=len, reverse=True):
        text = text.replace(secret, _HIDDEN)
    return text
