"""Keys of a terminal that does not send UTF-8.

Textual 8.2 decodes all input as strict UTF-8 and ends at the first other byte, such as an `ä` of a
Latin-1 terminal. This module replaces its decoder, so Textual's version is pinned; a test types
such a byte.
"""

import codecs
import sys
from functools import partial

from textual.drivers import linux_driver


def decode_leniently() -> None:
    """Let the app decode keys by the locale; what cannot be decoded becomes U+FFFD."""
    encoding = codecs.lookup(sys.stdin.encoding or "utf-8").name
    if encoding == "ascii":
        encoding = "utf-8"
    decoder = partial(codecs.getincrementaldecoder(encoding), errors="replace")
    # Textual has no public way to this.
    linux_driver.getincrementaldecoder = lambda _utf8: decoder  # type: ignore[attr-defined,assignment]  # as above
