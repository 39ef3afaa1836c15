"""A vehicle's answer as JSON: what can be read of one that is damaged, entry by entry."""

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
"""Channels or alarms in one answer: a vehicle has tens, and decoding keeps the others waiting."""
VALUES_PER_ENTRY = 16
"""Commas that an honest entry stays under, with those between entries."""
RAW_LIMIT = 2_000
NAME_LIMIT = 200
_UP_TO_NAN = re.compile(
    rb'(?:[^"NI-]++|"(?:[^"\\]++|\\.)*+"|-(?!Infinity))*+(-?Infinity|NaN)', re.DOTALL
)
"""From outside a string up to the next NaN or Infinity that is not in one."""
_SURROGATE = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
_UNKNOWN = b"\\ufffd"
"""U+FFFD as JSON escapes it: as long as the half of a pair that it stands for."""
DECODE_ERRORS = (msgspec.MsgspecError, ValueError, RecursionError)
"""What decoding raises on an answer that does not fit."""

_raw_list = msgspec.json.Decoder(list[Raw])


def decode_body(call: str, decoder: "msgspec.json.Decoder[T]", body: bytes) -> T:
    """Decode an answer, mended if need be; raise BadAnswer that says why it cannot be."""
    try:
        return decoder.decode(body)
    except DECODE_ERRORS as error:
        reason = _reason(body, error)
    try:
        return decoder.decode(_repair(body))
    except DECODE_ERRORS:
        raise BadAnswer(call, reason) from None


def _repair(body: bytes) -> bytes:
    """Turn what only one row is to blame for into valid JSON, so that the others can be read.

    A bare NaN or Infinity becomes a string, which no number's type accepts; half a surrogate pair
    becomes U+FFFD.
    """
    parts = []
    end = 0
    suspect = b"NaN" in body or b"Infinity" in body
    while suspect and (found := _UP_TO_NAN.match(body, end)):
        parts += [body[end : found.start(1)], b'"', found[1], b'"']
        end = found.end()
    return _SURROGATE.sub(_replace_half, b"".join([*parts, body[end:]]))


def _replace_half(found: re.Match[bytes]) -> bytes:
    escape = found.group()
    return _UNKNOWN if len(escape) == len(_UNKNOWN) else escape


def check_size(call: str, body: bytes, most: int) -> None:
    """Refuse a body with far more values than `most` entries have, before decoding it.

    Decoding keeps every other vehicle waiting, and no deadline can end it.
    """
    if body.count(b",") > most * VALUES_PER_ENTRY:
        raise AnswerTooLarge(call, f"far more values than {most} entries have")


def decode_list(call: str, body: bytes) -> list[Raw]:
    """Return the entries of a list, not yet decoded; raise BadAnswer if it is none or too long."""
    check_size(call, body, MAX_LIST)
    entries = decode_body(call, _raw_list, body)
    if len(entries) > MAX_LIST:
        raise AnswerTooLarge(call, f"{len(entries)} entries, more than the {MAX_LIST} allowed")
    return entries


def decode_entries(
    call: str, raws: Iterable[Raw], decoder: "msgspec.json.Decoder[T]", check: Callable[[T], None]
) -> tuple[list[T], list[BadRow]]:
    """Decode entries one by one; those that do not decode or fail `check` come back as bad rows."""
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
    """Return a bad row as it came, in one harmless line."""
    return sanitise(raw[:RAW_LIMIT].decode("utf-8", "backslashreplace"), RAW_LIMIT)


def _reason(body: bytes, error: Any) -> str:
    """Say what is wrong with an answer, with its first bytes when it is no JSON at all."""
    start = body[:40].lstrip()
    if not body:
        return "empty answer"
    if start[:1] == b"<":
        return f"HTML instead of JSON: {excerpt(body[:60])}"
    return sanitise(f"not the JSON expected: {error}", NAME_LIMIT)
