"""Parse a vehicle's answer as JSON; of a damaged one, every entry that can be read."""

import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from fleetsyncd.errors import AnswerTooLarge, BadAnswer
from fleetsyncd.models import BadRow
from fleetsyncd.text import sanitise

T = TypeVar("T")

MAX_LIST = 10_000
"""Channels or alarms in one answer: a vehicle has tens, and decoding blocks other greenlets."""
VALUES_PER_ENTRY = 16
"""Commas in one entry, including the one after it; a good entry has fewer."""
RAW_LIMIT = 2_000
NAME_LIMIT = 200
_UP_TO_NAN = re.compile(
    rb'(?:[^"NI-]++|"(?:[^"\\]++|\\.)*+"|-(?!Infinity))*+(-?Infinity|NaN)', re.DOTALL
)
"""From outside a string up to the next NaN or Infinity that is not inside one."""
_SURROGATE = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
_REPLACEMENT = b"\\ufffd"
"""U+FFFD as JSON escapes it; as long as the escape that it replaces."""
DECODE_ERRORS = (msgspec.MsgspecError, ValueError, RecursionError)
"""What decoding raises for an answer that does not fit its type."""

_raw_list = msgspec.json.Decoder(list[Raw])


def decode_body(call: str, decoder: "msgspec.json.Decoder[T]", body: bytes) -> T:
    """Decode an answer, repaired if necessary; raise BadAnswer with the reason if it cannot be."""
    try:
        return decoder.decode(body)
    except DECODE_ERRORS as error:
        reason = _reason(body, error)
    try:
        return decoder.decode(_repair(body))
    except DECODE_ERRORS:
        raise BadAnswer(call, reason) from None


def _repair(body: bytes) -> bytes:
    """Make the faults of single rows valid JSON, so that the other rows can be read.

    A bare NaN or Infinity becomes a string, which is refused where a number is expected; half of a
    surrogate pair becomes U+FFFD.
    """
    parts = []
    end = 0
    suspect = b"NaN" in body or b"Infinity" in body
    while suspect and (match := _UP_TO_NAN.match(body, end)):
        parts += [body[end : match.start(1)], b'"', match[1], b'"']
        end = match.end()
    return _SURROGATE.sub(_replace_half, b"".join([*parts, body[end:]]))


def _replace_half(match: re.Match[bytes]) -> bytes:
    escape = match.group()
    return _REPLACEMENT if len(escape) == len(_REPLACEMENT) else escape


def check_size(call: str, body: bytes, most: int) -> None:
    """Refuse a body with far more values than `most` entries have before it is decoded.

    Decoding blocks every other greenlet, and no deadline can end it.
    """
    if body.count(b",") > most * VALUES_PER_ENTRY:
        raise AnswerTooLarge(call, f"far more values than {most} entries have")


def decode_list(call: str, body: bytes) -> list[Raw]:
    """Return a list's entries, not decoded yet; raise BadAnswer if it is no list or too long."""
    check_size(call, body, MAX_LIST)
    entries = decode_body(call, _raw_list, body)
    if len(entries) > MAX_LIST:
        raise AnswerTooLarge(call, f"{len(entries)} entries, more than the {MAX_LIST} allowed")
    return entries


def decode_entries(
    call: str, raws: Iterable[Raw], decoder: "msgspec.json.Decoder[T]", check: Callable[[T], None]
) -> tuple[list[T], list[BadRow]]:
    """Decode entries one by one; those that do not decode or fail `check` become bad rows."""
    good: list[T] = []
    bad: list[BadRow] = []
    for raw in raws:
        try:
            entry = decoder.decode(raw)
            check(entry)
        except DECODE_ERRORS as error:
            bad.append(BadRow(call, excerpt(bytes(raw)), sanitise(str(error), NAME_LIMIT)))
        else:
            good.append(entry)
    return good, bad


def excerpt(raw: bytes) -> str:
    """Return the start of raw JSON as one harmless line."""
    return sanitise(raw[:RAW_LIMIT].decode("utf-8", "backslashreplace"), RAW_LIMIT)


def _reason(body: bytes, error: Any) -> str:
    """Say what is wrong with an answer; for HTML with its first bytes."""
    start = body[:40].lstrip()
    if not body:
        return "empty answer"
    if start[:1] == b"<":
        return f"HTML instead of JSON: {excerpt(body[:60])}"
    return sanitise(f"not the JSON expected: {error}", NAME_LIMIT)
