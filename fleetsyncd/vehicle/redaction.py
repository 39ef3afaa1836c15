"""Remove a vehicle's API key from everything that the vehicle says."""

import json
import re

from fleetsyncd.text import sanitise

HIDDEN = "••••"
SHORTEST_REDACTED = 8
"""A shorter key is not looked for in answers: it may occur in good data."""
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_FOR_HTML = str.maketrans({sign: f"\\u{ord(sign):04x}" for sign in "<>&'+="})
"""Characters that JSON writers escape to make their output safe inside HTML."""


class KeyRedactor:
    """Knows the forms in which a key may occur."""

    def __init__(self, api_key: str | None) -> None:
        self._forms = _forms(api_key)
        self._in_bodies = [form.encode() for form in self._forms if len(form) >= SHORTEST_REDACTED]

    def redact_body(self, body: bytes) -> bytes:
        """Remove the API key from an answer, whose text is stored and shown."""
        if not any(form in body for form in self._in_bodies):
            return body

        def hide(text: bytes) -> bytes:
            for form in self._in_bodies:
                text = text.replace(form, HIDDEN.encode())
            return text

        if not body.lstrip().startswith((b"{", b"[")):
            return hide(body)
        # Only inside strings: a key of digits may occur in a number, which must stay unchanged.
        return _STRING.sub(lambda string: hide(string.group()), body)

    def redact_text(self, text: str, limit: int) -> str:
        """Remove the API key from a vehicle's text, and sanitise it."""
        for form in self._forms:
            text = text.replace(form, HIDDEN)
        return sanitise(text, limit)


def _forms(api_key: str | None) -> list[str]:
    """Return the key as it is and as JSON writers escape it, the longest form first."""
    if not api_key:
        return []
    forms = {api_key, json.dumps(api_key)[1:-1]}
    forms |= {form.replace("/", r"\/") for form in forms}
    forms |= {form.translate(_FOR_HTML) for form in forms}
    return sorted(forms, key=len, reverse=True)
