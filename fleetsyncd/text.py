"""Strings from outside, made harmless once, where they enter."""

import unicodedata

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
NEWLINE = "⏎"
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def clean(value: str, limit: int = 500) -> str:
    """Return `value` without control, format or surrogate characters, at most `limit` long.

    A newline becomes a visible sign, every other unsafe character U+FFFD: a terminal that shows
    the result cannot be steered by it, and PostgreSQL can store it.
    """
    if len(value) > limit:
        value = value[: limit - 1] + "…"
    if value.isprintable():
        return value
    return "".join(map(_harmless, value.replace("\r\n", "\n")))


def _harmless(character: str) -> str:
    if character == "\n":
        return NEWLINE
    return REPLACEMENT if unicodedata.category(character) in _UNSAFE else character
