"""gzip as a content coding of HTTP: whether a client accepts it, and compression part by part."""

import zlib
from collections.abc import Iterable, Iterator

LEVEL = 1
_GZIP_WBITS = 31


def accepts_gzip(accept_encoding: str) -> bool:
    """Return whether this Accept-Encoding header allows gzip, by name or by `*`: not with q=0."""
    weights = {}
    for item in accept_encoding.lower().split(","):
        coding, _, parameters = item.partition(";")
        weights[coding.strip()] = _weight(parameters)
    return weights.get("gzip", weights.get("*", 0.0)) > 0


def _weight(parameters: str) -> float:
    name, _, value = parameters.partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


def compress(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Yield something for each part, often nothing, and the rest at the end."""
    compressor = zlib.compressobj(LEVEL, wbits=_GZIP_WBITS)
    for part in parts:
        yield compressor.compress(part)
    yield compressor.flush()
