"""Answers that are wrong: those made by hand, and entries to be mixed into honest ones."""

from collections.abc import Mapping
from random import Random

DEEP = 200_000
BIG = "9" * 400

WHOLE: Mapping[str, bytes] = {
    "nothing": b"",
    "blanks": b" \r\n\t ",
    "null": b"null",
    "true": b"true",
    "a number": b"42",
    "a number without end": BIG.encode(),
    "a string": b'"rows"',
    "a NUL": b"\0",
    "many NULs": b"\0" * 4096,
    "no UTF-8": b"\xff\xfe\x00",
    "no UTF-8 in a string": (
        b'{"rows":[],"truncated":false,"from":"\xc3(","software_version":"\xc3("}'
    ),
    "UTF-16": '{"rows":[]}'.encode("utf-16"),
    "two byte order marks": b'\xef\xbb\xbf\xef\xbb\xbf{"rows":[],"truncated":false}',
    "HTML": b"<!DOCTYPE html><title>Sign in</title>",
    "HTML after blanks": b"\n\n  <html><body>502 Bad Gateway</body></html>",
    "XML": b'<?xml version="1.0"?><rows/>',
    "YAML": b"rows: []\ntruncated: false\n",
    "CSV": b"channel_id,value,time\n1,2,3\n",
    "JSON lines": b'{"channel_id":1}\n{"channel_id":2}\n',
    "two answers": b"[] []",
    "single quotes": b"{'rows': [], 'truncated': false}",
    "a trailing comma": b'{"rows":[],"truncated":false,}',
    "a comment": b'{"rows":[],/* none */"truncated":false}',
    "an open brace": b"{",
    "an open bracket": b"[",
    "an open string": b'{"rows',
    "cut in a number": b'{"rows":[{"channel_id":1',
    "cut in an escape": b'{"rows":["\\u12',
    "a bad escape": b'{"rows":["\\x41"],"truncated":false}',
    "deep lists": b"[" * DEEP,
    "deep lists, closed": b"[" * DEEP + b"]" * DEEP,
    "deep objects": b'{"a":' * DEEP,
    "deep rows": b'{"truncated":false,"rows":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "rows are null": b'{"rows":null,"truncated":false,"db_ok":"null"}',
    "rows are an object": b'{"rows":{},"truncated":false,"db_ok":{}}',
    "rows are a string": b'{"rows":"[]","truncated":false,"db_ok":"true"}',
    "rows are a number": b'{"rows":0,"truncated":false,"db_ok":0}',
    "truncated is missing": b'{"rows":[],"db_ok":"no"}',
    "truncated is a string": b'{"rows":[],"truncated":"false","db_ok":"false"}',
    "truncated is null": b'{"rows":[],"truncated":null,"db_ok":[]}',
    "truncated is a number": b'{"rows":[],"truncated":1,"db_ok":1}',
    "a list of a list": b'{"rows":[[]],"truncated":0,"db_ok":2.5}',
    "a huge integer": b'{"rows":[],"truncated":'
    + BIG.encode()
    + b',"db_ok":'
    + BIG.encode()
    + b"}",
    "a huge exponent": b'{"rows":[],"truncated":1e999999999,"db_ok":1e999999999}',
    "a bare NaN": b"NaN",
    "a bare Infinity": b"-Infinity",
    "commas": b"[" + b"," * 200_000 + b"]",
    "far too many values": b"[" + b"0," * 900_000 + b"0]",
    "another call's error": b'{"error":"invalid_params","detail":"from","db_ok":"?"}',
    "unquoted keys": b"{rows:[],truncated:false}",
    "leading zeros": b'{"rows":[],"truncated":00,"db_ok":01}',
    "hexadecimal": b'{"rows":[],"truncated":0x0,"db_ok":0x1}',
    "capital literals": b'{"rows":[],"truncated":False,"db_ok":True}',
    "the same key twice": b'{"rows":[],"truncated":false,"rows":1,"db_ok":true,"db_ok":1}',
    "gzip that was not announced": b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03",
    "binary JSON": b"\xa2drows\x80itruncated\xf4",
    "a key without end": b'{"' + b"k" * 100_000 + b'":1,"rows":',
    "a version that is a list": b'{"software_version":[],"rows":1}',
    "a version that is an object": b'{"software_version":{"a":1},"rows":false}',
    "a version that is a flag": b'{"software_version":true,"rows":1.1}',
}
"""Bodies that are no answer to any call, whole."""

_TIMES = (
    "null",
    "5",
    '""',
    '"yesterday"',
    '"2026-02-22"',
    '"2026-02-22T12:00:00"',
    '"2026-13-45T99:99:99Z"',
    '"1970-01-01T00:00:00.000Z"',
    '"0000-00-00T00:00:00Z"',
    '"9999-12-31T23:59:59.999Z"',
    '"+292277026596-12-04T15:30:08Z"',
    '"\\u0000"',
    "[]",
    "{}",
)
_WRONG_IDS = (
    *('"1"', '"1.0"', "1.5", "2147483648", "2147483648.0", "-2147483649", "1e-1", "1e400"),
    *(BIG, "NaN", "[]", "{}", "true"),
)
_IDS = ("null", *_WRONG_IDS)
_VALUES = ("NaN", "Infinity", "-Infinity", "1e999", '"1"', '"\\ud800"', "{}", "[1]", "true")
_TEXTS = ("null", "5", "[]", "{}", "true", "1e400")
_GOOD_TIME = '"2026-02-22T12:00:00.000Z"'


def _object(
    good: dict[str, str], wrong: Mapping[str, tuple[str, ...]], optional: tuple[str, ...] = ()
) -> list[str]:
    """Return one JSON object per wrong value, its other fields good; and one per missing field."""
    spoilt = [good | {field: text} for field, texts in wrong.items() for text in texts]
    missing = [
        {key: text for key, text in good.items() if key != field}
        for field in wrong
        if field not in optional
    ]
    return [
        "{" + ",".join(f'"{key}":{text}' for key, text in fields.items()) + "}"
        for fields in [*spoilt, *missing]
    ]


_NO_OBJECTS = ["null", "[]", "{}", "1", '"row"', "true", BIG, '{"channel_id":', "[[[[]]]]"]
ENTRIES: Mapping[str, list[str]] = {
    "/data": _object(
        {"channel_id": "1", "value": "0.5", "time": _GOOD_TIME},
        {"channel_id": _IDS, "value": _VALUES, "time": _TIMES},
    ),
    "/channels": _object(
        {"channel_id": "901", "name": '"Poison"', "phys_min": "0", "phys_max": "1"},
        {
            "channel_id": _IDS,
            "name": _TEXTS,
            "phys_min": _VALUES,
            "phys_max": _VALUES,
        },
        optional=("phys_min", "phys_max"),
    ),
    "/alarms": _object(
        {"alarm_id": "1", "channel_id": "1", "message": '"Poison"', "triggered_at": _GOOD_TIME},
        {
            "alarm_id": ("null", '"1"', "1.5", "9223372036854775808", BIG, "NaN", "[]", "true"),
            "channel_id": _WRONG_IDS,
            "message": _TEXTS,
            "triggered_at": _TIMES,
        },
        optional=("channel_id",),
    ),
}
"""Entries of a list that must be quarantined, one by one, while their neighbours are stored."""
for _entries in ENTRIES.values():
    _entries += [text for text in _NO_OBJECTS if not text.endswith(":")]


def bad_entries(call: str, dice: Random) -> list[str]:
    """Return a few entries that must be quarantined."""
    return dice.sample(ENTRIES[call], dice.randint(1, 5))


def mixed(call: str, honest: bytes, entries: list[str]) -> bytes:
    """Return an honest answer with these entries put in front of its own."""
    start = b'"rows":[' if call == "/data" else b"["
    before, opening, rest = honest.partition(start)
    comma = b"" if rest.lstrip().startswith(b"]") else b","
    return before + opening + ",".join(entries).encode() + comma + rest


_DEAR_BYTES = 6 << 20
ALARM_FLOOD = b"[" + b",".join([b"0"] * 2_500) + b"]"
"""More alarms than an answer may have, whatever was asked for."""


def dear(call: str, key: str, dice: Random) -> bytes:
    """Return a body that is cheap to send and dear to read; no answer, or one of bad rows only."""
    unit = dice.choice(("NaN ", "-", "\\ud800", "\\\\", '"",', f'"{key}",', "\u200b", "[1,"))
    kind = dice.randrange(3) if call == "/data" else 0
    if kind == 0:
        return (unit * (_DEAR_BYTES // len(unit.encode()))).encode()
    value = "NaN" if kind == 1 else '"\u200b"'
    row = f'{{"channel_id":1,"value":{value},"time":"2026-02-22T12:00:00.000Z"}}'
    return f'{{"truncated":true,"rows":[{",".join([row] * 49_000)}]}}'.encode()
