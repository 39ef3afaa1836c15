"""What the terminal sends: keys that are no UTF-8, and an Esc with another key right behind it.

Textual 8.2 decodes all input as strict UTF-8 and ends at the first other byte, such as an `ä` of a
Latin-1 terminal. An Esc that comes in one read with another key, as it does over a slow line, it
takes for Alt and that key, or drops: Esc and Enter became Enter, which accepts what was to be
cancelled. This module replaces its decoder, so Textual's version is pinned; tests type such bytes.
"""

import codecs
import sys

from textual.drivers import linux_driver

_ESC = "\x1b"
_INTRODUCERS = frozenset("[O]P_^X" + _ESC)
"""What follows an ESC that begins a sequence; behind an ESC that is a key comes something else."""
_ESCAPE_KEY = "\x1b[27u"
"""The key Esc, as a terminal with the Kitty keyboard protocol sends it: nothing joins it."""
_FOCUS_IN = "\x1b[I"
"""A sequence that ends an Esc before it, and says only what a key says too: that one is there."""


class KeyDecoder(codecs.IncrementalDecoder):
    """Decodes keys; what cannot be decoded becomes U+FFFD. Alt and a key are Esc and the key."""

    def __init__(self, encoding: str) -> None:
        super().__init__("replace")
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")
        self._ends_with_escape = False

    def decode(self, data: bytes, final: bool = False) -> str:  # type: ignore[override]  # bytes only
        """Return the text of what was read, with every Esc that is a key apart from the rest."""
        text = self._decoder.decode(data, final)
        if not text:
            return text
        # An Esc that ended the last read waits for what it may begin.
        apart = _FOCUS_IN if self._ends_with_escape and text[0] not in _INTRODUCERS else ""
        self._ends_with_escape = text.endswith(_ESC)
        following = (*text[1:], "[")
        return apart + "".join(
            _ESCAPE_KEY if each == _ESC and after not in _INTRODUCERS else each
            for each, after in zip(text, following, strict=True)
        )


def decode_leniently() -> None:
    """Let the app decode keys by the locale, whatever bytes come."""
    encoding = codecs.lookup(sys.stdin.encoding or "utf-8").name
    if encoding == "ascii":
        encoding = "utf-8"
    # Textual has no public way to this.
    linux_driver.getincrementaldecoder = lambda _utf8: lambda: KeyDecoder(encoding)  # type: ignore[attr-defined,assignment]  # as above
