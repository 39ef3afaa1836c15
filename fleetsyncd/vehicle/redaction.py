"""A vehicle's API key, to be kept out of whatever the vehicle says."""

import json
import re

from fleetsyncd.text import sanitise

HIDDEN = "••••"
SHORTEST_REDACTED = 8
"""A shorter key is not looked for in answers: it would turn up in honest data."""
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_FOR_HTML = str.maketrans({sign: f"\\u{ord(sign):04x}" for sign in "<>&'+="})
"""What JSON writers escape that mind being put into a page."""


class KeyRedactor:
    """Knows the forms in which a key may turn up."""

    def __init__(self, api_key: str | None) -> None:
        self._forms = _forms(api_key)
        self._in_bodies = [form.encode() for form in self._forms if len(form) >= SHORTEST_REDACTED]

    def redact_body(self, body: bytes) -> bytes:
        """Take the API key out of an answer: what it says is stored and shown."""
        if not any(form in body for form in self._in_bodies):
            return body

        def hide(text: bytes) -> bytes:
            for form in self._in_bodies:
                text = text.replace(form, HIDDEN.encode())
            return text

        if not body.lstrip().startswith((b"{", b"[")):
            return hide(body)
        # A key of digits may turn up in an honest number, which must stay what it is.
        return _STRING.sub(lambda found: hide(found.group()), body)

    def redact_text(self, said: str, limit: int) -> str:
        """Take the API key, then what could steer a terminal, out of what a vehicle said."""
        for form in self._forms:
            said = said.replace(form, HIDDEN)
        return sanitise(said, limit)


def _forms(api_key: str | None) -> list[str]:
    """Return the key as it is and as JSON writers escape it, the longest first."""
    if not api_key:
        return []
    forms = {api_key, json.dumps(api_key)[1:-1]}
    forms |= {form.replace("/", r"\/") for form in forms}
    forms |= {form.translate(_FOR_HTML) for form in forms}
    return sorted(forms, key=len, reverse=True)
