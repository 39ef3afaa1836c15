"""A vehicle's own answer, and how another one is made of it."""

import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from tests.hostile import Answer, http


@dataclass(frozen=True, slots=True)
class Honest:
    """A vehicle's own answer, as it came over the wire and taken apart."""

    call: str
    query: str
    key: str
    canary: str
    """`host:port` of a listener that must receive no connection."""
    wire: bytes
    date: str
    body: bytes
    """After decompression."""


Fault = Callable[[Honest, Random], Answer]


def changed(honest: Honest, **fields: object) -> Answer:
    """Return an honest object with some of its fields changed."""
    return json_answer(honest, json.dumps(json.loads(honest.body) | fields).encode())


def json_answer(honest: Honest, body: bytes) -> Answer:
    """Return another body, compressed as an honest one."""
    packed = zlib.compress(body, level=1, wbits=31)
    return http(packed, honest.date, "Content-Encoding: gzip")
