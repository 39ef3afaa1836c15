"""Parse a vehicle's answer as JSON; of a damaged one, every entry that can be read.

Each step is one pass over the answer, in slices of CPU time.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from fleetsyncd.errors import AnswerTooLarge, BadAnswer
from fleetsyncd.telemetry import BadRow
from fleetsyncd.text import sanitise
from fleetsyncd.vehicle.cpu_slices import CpuSlices
from fleetsyncd.vehicle.notations import write_integers

T = TypeVar("T")
U = TypeVar("U")

MAX_CHANNELS = 5_000
"""Channels in one answer; a vehicle has tens."""
MAX_ALARMS = 2_000
"""Alarms in one answer; if there are more, they are asked for in smaller windows."""
VALUES_PER_ENTRY = 16
"""Commas in one entry, including the one after it; a good entry has fewer."""
RAW_LIMIT = 2_000
NAME_LIMIT = 200
MOST_KEPT, MOST_KEPT_CHARACTERS = 5_000, 1_000_000
"""Bad rows of one answer that are kept, and their text; the others are counted."""
MOST_REPAIRS = 50_000
"""Numbers or escapes that are repaired; an answer with more is not repaired at all."""
REPAIRED_BYTES = 1 << 17
"""So much is searched for half surrogates at once."""
_TOKENS = re.compile(
    rb'(?:[^"NI-]{1,1000}+|"[^"\\]{0,1000}+(?:\\.[^"\\]{0,100}+){0,8}+"|-(?!Infinity)){1,200}+',
    re.DOTALL,
)
"""From outside a string on: some tokens before a NaN, an Infinity, or a long string."""
_ESCAPES = re.compile(rb'(?:\\.[^"\\]{0,100}+){1,5000}+', re.DOTALL)
"""Some escapes of a string, with what stands between them."""
_NO_NUMBER = re.compile(rb"-?Infinity|NaN")
_SURROGATE = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
_PAIR_BYTES = len(rb"\ud83d\ude00")
"""The longest that is replaced together."""
_REPLACEMENT = b"\\ufffd"
"""U+FFFD as JSON escapes it; as long as the escape that it replaces."""
DECODE_ERRORS = (msgspec.MsgspecError, ValueError, RecursionError)
"""What decoding raises for an answer that does not fit its type."""

_raw_list = msgspec.json.Decoder(list[Raw])


class BadRowCollector:
    """Collects the bad rows of one answer; beyond what is kept it only counts them."""

    def __init__(self, call: str) -> None:
        self._call = call
        self._kept: list[BadRow] = []
        self._characters = 0
        self._others = 0

    def add(self, raw: bytes, reason: str) -> None:
        """Take one row as JSON, and why it is bad."""
        if len(self._kept) >= MOST_KEPT or self._characters >= MOST_KEPT_CHARACTERS:
            self._others += 1
            return
        row = BadRow(self._call, excerpt(raw), sanitise(reason, NAME_LIMIT))
        self._characters += len(row.raw)
        self._kept.append(row)

    def rows(self) -> tuple[BadRow, ...]:
        """Return the bad rows; the last one may stand for many of which nothing is kept."""
        if not self._others:
            return tuple(self._kept)
        return (*self._kept, BadRow(self._call, "", "not kept", self._others))


def decode_body(call: str, decoder: "msgspec.json.Decoder[T]", body: bytes, slices: CpuSlices) -> T:
    """Decode an answer, repaired if necessary; raise BadAnswer with the reason if it cannot be."""
    try:
        return decoder.decode(body)
    except DECODE_ERRORS as error:
        reason = _reason(body, error)
    slices.pause()
    try:
        return decoder.decode(_repair(body, slices))
    except DECODE_ERRORS:
        raise BadAnswer(call, reason) from None


def _repair(body: bytes, slices: CpuSlices) -> bytes:
    """Make the faults of single rows valid JSON, so that the other rows can be read.

    A bare NaN or Infinity becomes a string, which is refused where a number is expected; half of a
    surrogate pair becomes U+FFFD.
    """
    if 0 < body.count(b"NaN") + body.count(b"Infinity") <= MOST_REPAIRS:
        body = _quote_numbers(body, slices)
    if 0 < body.count(b"\\") <= MOST_REPAIRS:
        body = _replace_halves(body, slices)
    return body


def _quote_numbers(body: bytes, slices: CpuSlices) -> bytes:
    parts = []
    copied = at = 0
    while at < len(body):
        slices.pause()
        if tokens := _TOKENS.match(body, at):
            at = tokens.end()
        elif number := _NO_NUMBER.match(body, at):
            parts += [body[copied:at], b'"', number[0], b'"']
            copied = at = number.end()
        elif end := _string_end(body, at, slices):
            at = end
        else:
            break  # no JSON in any case
    return b"".join([*parts, body[copied:]])


def _string_end(body: bytes, start: int, slices: CpuSlices) -> int | None:
    """Return where the long string ends that begins here; None if none does."""
    if body[start : start + 1] != b'"':
        return None
    at, quote = start + 1, start
    while True:
        if quote < at:
            quote = body.find(b'"', at)
        if quote < 0:
            return None
        escape = body.find(b"\\", at, quote)
        if escape < 0:
            return quote + 1
        escapes = _ESCAPES.match(body, escape)
        at = escapes.end() if escapes else quote + 1
        slices.pause()


def _replace_halves(body: bytes, slices: CpuSlices) -> bytes:
    """Replace each half of a surrogate pair; the body is cut where no escape is near."""
    parts, at = [], 0
    while at < len(body):
        end = at + REPAIRED_BYTES
        while b"\\" in body[end - _PAIR_BYTES : end]:
            end += _PAIR_BYTES
        parts.append(_SURROGATE.sub(_replace_half, body[at:end]))
        at = end
        slices.pause()
    return b"".join(parts)


def _replace_half(match: re.Match[bytes]) -> bytes:
    escape = match.group()
    return _REPLACEMENT if len(escape) == len(_REPLACEMENT) else escape


def check_size(call: str, body: bytes, most: int) -> None:
    """Refuse a body with far more values than `most` entries have before it is decoded."""
    if body.count(b",") > most * VALUES_PER_ENTRY:
        raise AnswerTooLarge(call, f"far more values than {most} entries have")


def decode_list(call: str, body: bytes, most: int, slices: CpuSlices) -> list[Raw]:
    """Return a list's entries, not decoded yet; raise BadAnswer if it is no list or too long."""
    check_size(call, body, most)
    entries = decode_body(call, _raw_list, body, slices)
    if len(entries) > most:
        raise AnswerTooLarge(call, f"{len(entries)} entries, more than the {most} allowed")
    return entries


def decode_entries(
    raws: Iterable[Raw],
    decoder: "msgspec.json.Decoder[T]",
    convert: Callable[[T], U],
    bad: BadRowCollector,
    slices: CpuSlices,
) -> list[U]:
    """Decode and convert entries one by one; those for which that fails go to `bad`."""
    good: list[U] = []
    for raw in slices.each(raws, every=8):
        try:
            good.append(convert(_decode_entry(decoder, raw)))
        except DECODE_ERRORS as error:
            bad.add(bytes(raw), str(error))
    return good


def _decode_entry(decoder: "msgspec.json.Decoder[T]", raw: Raw) -> T:
    try:
        return decoder.decode(raw)
    except DECODE_ERRORS:
        original = bytes(raw)
        if (written := write_integers(original)) == original:
            raise
    return decoder.decode(written)


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
