"""A vehicle's answer: how long and how encoded it may be, and its body."""

from codecs import BOM_UTF8
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b

import requests

from fleetsyncd import __version__
from fleetsyncd.errors import AnswerTooLarge, BadAnswer
from fleetsyncd.vehicle.adapter import AnswerReader
from fleetsyncd.vehicle.redaction import KeyRedactor

CHUNK_BYTES = 1 << 14
CHUNKS_A_TURN = 64
TURN_BYTES = CHUNKS_A_TURN * CHUNK_BYTES
"""After so much other greenlets may run."""
MOST_BYTES = {"/status": 1 << 16, "/channels": 1 << 21, "/alarms": 1 << 22}
"""Of an answer after decompression, unless PULL_MAX_BODY_MB is less; of others it is that."""
KNOWN_ENCODINGS = ("gzip", "identity")
PLAIN = ("", "identity")
"""Elements of a Content-Encoding that stand for no encoding."""
LENGTH_DIGITS = 15
"""A Content-Length with more digits is too large without being converted."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A call's body after decompression, and the vehicle's clock from its `Date` header."""

    body: bytes
    clock: datetime | None
    latency_sec: float = 0.0
    """How long the call took before its body came."""
    transfer_sec: float = 0.0
    """How long the body took."""
    received: int = 0
    """Bytes of the body, compressed."""
    cpu_sec: float = 0.0
    """What reading it has cost."""

    @property
    def digest(self) -> int:
        """A 64-bit digest of the body; other versions, which may read it otherwise, differ."""
        hashed = blake2b(self.body, digest_size=8, key=__version__.encode())
        return int.from_bytes(hashed.digest(), signed=True)


def check_encoding(call: str, response: requests.Response, redactor: KeyRedactor) -> None:
    """Raise BadAnswer for a body neither plain nor gzip; name gzip as the decoder knows it."""
    told = response.headers.get("Content-Encoding")
    if told is None or told in KNOWN_ENCODINGS:
        return
    names = [name.strip() for name in told.lower().split(",")]
    encodings = [name for name in names if name not in PLAIN]
    if encodings not in ([], ["gzip"], ["x-gzip"]):
        named = redactor.redact_text(told.strip(), 60)
        raise BadAnswer(call, f"Content-Encoding {named} unasked for")
    response.raw.headers["Content-Encoding"] = "gzip" if encodings else "identity"


def expected_bytes(call: str, response: requests.Response, max_body: int) -> int | None:
    """Return how long the body is to be, if the head says it; raise AnswerTooLarge."""
    length = response.headers.get("Content-Length", "")
    if not length.isdecimal():
        return None
    if len(length) > LENGTH_DIGITS or int(length) > _most_bytes(call, max_body):
        raise _too_large(call, max_body)
    return int(length)


def read_body(call: str, response: requests.Response, reader: AnswerReader, max_body: int) -> bytes:
    """Return the body after decompression; raise AnswerTooLarge.

    At most `max_body` bytes, or what the call allows if that is less.
    """
    chunks: list[bytes] = []
    size, most = 0, _most_bytes(call, max_body)
    for chunk in response.iter_content(CHUNK_BYTES):
        size += len(chunk)
        if size > most:
            raise _too_large(call, max_body)
        chunks.append(chunk)
        if len(chunks) % CHUNKS_A_TURN == 0:
            reader.give_way()  # few bytes from the socket may become many chunks
    return b"".join(chunks).removeprefix(BOM_UTF8)


def _most_bytes(call: str, max_body: int) -> int:
    return min(max_body, MOST_BYTES.get(call, max_body))


def _too_large(call: str, max_body: int) -> AnswerTooLarge:
    most = _most_bytes(call, max_body)
    megabytes, kilobytes = most >> 20, most >> 10
    return AnswerTooLarge(
        call, f"longer than {megabytes or kilobytes} {'MB' if megabytes else 'kB'}"
    )
