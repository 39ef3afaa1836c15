"""Remove a vehicle's API key from everything that the vehicle says."""

import html
import json
import re

from fleetsyncd.errors import BadAnswer
from fleetsyncd.text import sanitise
from fleetsyncd.vehicle.key_finder import PlainText, plain_keys, without_unfinished_escape

HIDDEN = "••••"
SHORTEST_REDACTED = 8
"""A shorter key is not looked for in answers: it may occur in good data."""
MOST_ECHOES = 1_000
"""Of the key in one answer."""
PAGE_START = 1 << 13
"""Of a page in place of an answer; its first bytes are told."""
MOST_LOOKED_AHEAD = 1 << 12
"""Characters after those that are told, in which a key that begins in these may end."""
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_OUTSIDE_STRINGS = re.compile(rb'(?:[^"]++|"(?:[^"\\]++|\\.)*+"){0,2000}+', re.DOTALL)
"""Some whole strings, and what stands between them."""
_NUMBER_SIGNS = re.compile(rb"[0-9eE.+-]*")
_FOR_HTML = str.maketrans({sign: f"\\u{ord(sign):04x}" for sign in "<>&'+="})
"""Characters that JSON writers escape to make their output safe inside HTML."""


class KeyRedactor:
    """Knows the forms in which a key may occur."""

    def __init__(self, api_key: str | None) -> None:
        self._forms = _forms(api_key)
        self._plain_keys = plain_keys(api_key or "")
        self._in_bodies = [form.encode() for form in self._forms if len(form) >= SHORTEST_REDACTED]

    def redact_body(self, call: str, body: bytes) -> bytes:
        """Remove the API key from an answer, whose text is stored and shown.

        Raises BadAnswer if it repeats the key without end.
        """
        if body[:40].lstrip()[:1] == b"<":
            return self._redact_page(body)
        echoes = sum(body.count(form) for form in self._in_bodies)
        if not echoes:
            return body
        if echoes > MOST_ECHOES:
            raise BadAnswer(call, f"it repeats the API key {echoes} times")
        is_json = body.lstrip()[:1] in (b"{", b"[")
        if is_json and any(_NUMBER_SIGNS.fullmatch(form) for form in self._in_bodies):
            return self._redact_strings(body)
        return self._hide(body)

    def _hide(self, text: bytes) -> bytes:
        for form in self._in_bodies:
            text = text.replace(form, HIDDEN.encode())
        return text

    def _redact_page(self, body: bytes) -> bytes:
        """Remove the key in any notation from the start of a page."""
        start = body[:PAGE_START].decode(errors="surrogateescape")
        return self.hide(start, cut=len(body) > PAGE_START).encode(errors="surrogateescape")

    def _redact_strings(self, body: bytes) -> bytes:
        """Remove a key of digits from strings only: a number must stay unchanged."""
        parts: list[bytes] = []
        copied = at = 0
        for echo in self._echoes(body):
            while at < echo and (ahead := _OUTSIDE_STRINGS.match(body, at, echo)):
                if ahead.end() == at:
                    break
                at = ahead.end()
            if at >= echo:  # inside a number, or within a string that is redacted already
                continue
            string = _STRING.match(body, at)
            end = string.end() if string else len(body)
            parts += [body[copied:at], self._hide(body[at:end])]
            copied = at = end
        return b"".join([*parts, body[copied:]])

    def _echoes(self, body: bytes) -> list[int]:
        """Return where forms of the key begin, in order."""
        found = set()
        for form in self._in_bodies:
            at = body.find(form)
            while at >= 0:
                found.add(at)
                at = body.find(form, at + 1)
        return sorted(found)

    def redact_text(self, text: str, limit: int) -> str:
        """Remove the API key from a vehicle's text, and sanitise it; `limit` characters at most."""
        read = text[: limit + MOST_LOOKED_AHEAD]
        return sanitise(self.hide(read, cut=len(read) < len(text)), limit)

    def hide(self, text: str, *, cut: bool = False) -> str:
        """Remove the API key, in any notation, from a text that is about to be told.

        `cut`: it ends where reading ended, perhaps within the key.
        """
        for key in self._plain_keys:
            for start, end in reversed(PlainText.of(text).find(key)):
                text = text[:start] + HIDDEN + text[end:]
        for form in self._forms:  # also where what follows makes an escape of the key's end
            text = text.replace(form, HIDDEN)
        return self._without_beginning(text) if cut and self._forms else text

    def _without_beginning(self, text: str) -> str:
        """Remove from the end of a text what may be the beginning of the key."""
        if not self._plain_keys:
            return text[: -len(self._forms[0])]
        text = without_unfinished_escape(text)
        plain = PlainText.of(text)
        return text[: min(plain.beginning_at_end(key) for key in self._plain_keys)]


def _forms(api_key: str | None) -> list[str]:
    """Return the key as it is, and as writers of JSON and HTML escape it, the longest first."""
    if not api_key:
        return []
    forms = {api_key, json.dumps(api_key)[1:-1]}
    forms |= {form.replace("/", r"\/") for form in forms}
    forms |= {form.translate(_FOR_HTML) for form in forms}
    forms |= {html.escape(api_key), html.escape(api_key, quote=False)}
    return sorted(forms, key=len, reverse=True)
