"""What targets are called: the same in every process that reads the same configuration.

The name is a key of the outbox, and shown: it tells no secret, and tells targets apart.
"""

from hashlib import blake2b
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from fleetsyncd.text import sanitise

NAME_LIMIT = 200
_Form = tuple[str, str, tuple[str, ...], tuple[tuple[str, tuple[str, ...]], ...]]


def target_name(service: Any, configured: str) -> str:
    """Return the name of a target; `configured` is its URL as it was written, or its identity.

    As it was written, a URL gives the same name with every version of the library.
    """
    digest = blake2b(configured.encode(), digest_size=3).hexdigest()
    scheme = service.url(privacy=False).partition(":")[0]
    return sanitise(f"{scheme}://{shown_host(service)}#{digest}", NAME_LIMIT)


def shown_host(service: Any) -> str:
    """Return the host of a target; of what may be a secret, as a token or a topic, only a part."""
    parts = urlsplit(service.url(privacy=True))
    host = parts.hostname or ""
    is_all = parts.path in ("", "/") and parts.username is None
    return f"{host[:3]}…" if is_all and host not in ("localhost", "127.0.0.1") else host


def identity(service: Any) -> str:
    """Return what tells a target from others, whatever order the library keeps its parts in.

    What the library adds to a URL by itself is left out: another version adds other things.
    """
    url = service.url(privacy=False)
    has_order = not _has_set(service)
    whole = _form(url, has_order=has_order)
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    kept = []
    for pair in query:
        rest = urlencode([other for other in query if other != pair])
        without = _made_again(urlunsplit(parts._replace(query=rest)), service)
        if without is None or _form(without, has_order=has_order) != whole:
            kept.append(pair)
    left = urlunsplit(parts._replace(query=urlencode(kept)))
    return repr(_form(left, has_order=has_order))


def _has_set(service: Any) -> bool:
    """Tell whether a service keeps parts of its URL without an order."""
    values = (value for name, value in vars(service).items() if name != "tags")
    return any(isinstance(value, set | frozenset) and len(value) > 1 for value in values)


def _form(url: str, *, has_order: bool) -> _Form:
    parts = urlsplit(url)
    path, query = parts.path.split("/"), parse_qsl(parts.query, keep_blank_values=True)
    values = ((key, value.split(",")) for key, value in query)
    if has_order:
        pairs = [(key, tuple(each)) for key, each in values]
        return parts.scheme, parts.netloc, tuple(path), tuple(sorted(pairs))
    pairs = [(key, tuple(sorted(each))) for key, each in values]
    return parts.scheme, parts.netloc, tuple(sorted(path)), tuple(sorted(pairs))


def _made_again(url: str, service: Any) -> str | None:
    """Return the URL of the service that the library makes of a URL; None if it makes none."""
    import apprise  # noqa: PLC0415  it takes time and memory, where a target is configured alone

    made: Any = apprise.Apprise.instantiate(url, asset=service.asset)
    return None if made is None else str(made.url(privacy=False))
