"""A vehicle that lies about its past: it answers the newest window honestly, and no other.

To pull is to see the newest window, so that nothing looks wrong until the past is asked for again.
"""

import json
from datetime import UTC, datetime, timedelta
from random import Random
from urllib.parse import parse_qs

from fleetsyncd.demo import readings
from tests.chaos.honest import Fault, Honest, changed, json_answer
from tests.hostile import Answer, http

AGE = timedelta(seconds=30)
"""A window that ended so long ago is past."""
CHANNELS = 18
MOST_ROWS = 50_000
DIGITS = 78
"""Of a value, so that the most rows come just below 8 MB, the most that is read of an answer."""


def other_past(honest: Honest, dice: Random) -> Answer:
    """Answer the same question every time with other rows, and the same rows with other values."""
    return _lie(honest, dice, _others)


def past_flood(honest: Honest, dice: Random) -> Answer:
    """Answer with as many rows as may come, each time with others."""
    return _lie(honest, dice, _flood)


def no_past(honest: Honest, dice: Random) -> Answer:
    """Deny that there was anything, in one of two ways."""
    return _lie(honest, dice, _nothing)


def _lie(honest: Honest, dice: Random, lie: Fault) -> Answer:
    ended = datetime.fromisoformat(json.loads(honest.body)["to"])
    return lie(honest, dice) if datetime.now(UTC) - ended > AGE else [honest.wire]


def _others(honest: Honest, dice: Random) -> Answer:
    rows = []
    for row in json.loads(honest.body)["rows"]:
        match dice.randrange(4):
            case 0:
                rows.append(row | {"value": round(dice.random(), 6)})
            case 1:
                rows.append(row | {"time": f"{row['time'][:20]}{dice.randrange(1000):03d}Z"})
            case 2:
                rows.append(row)
    rows.sort(key=lambda row: str(row["time"]))
    return changed(honest, rows=rows, count=len(rows))


def _flood(honest: Honest, dice: Random) -> Answer:
    answer = json.loads(honest.body)
    asked = int(parse_qs(honest.query).get("limit", [MOST_ROWS])[0])
    stamps = (min(asked, MOST_ROWS) - 1) // CHANNELS  # one more row would mean that some are left
    start, end = (datetime.fromisoformat(answer[name]).timestamp() for name in ("from", "to"))
    step = (end - start) / max(stamps, 1)
    phase = dice.random()
    rows = ",".join(
        _cycle(readings.iso(int((start + step * (at + phase)) * 1000)), dice)
        for at in range(stamps)
    )
    head = f'{{"from":"{answer["from"]}","to":"{answer["to"]}","count":{stamps * CHANNELS},'
    return json_answer(honest, f'{head}"truncated":false,"rows":[{rows}]}}'.encode())


def _cycle(time: str, dice: Random) -> str:
    """Write one row of each channel."""
    end = f'{dice.randrange(10**DIGITS):0{DIGITS}d},"time":"{time}"}}'
    rows = (f'{{"channel_id":{number},"value":0.{end}' for number in range(1, CHANNELS + 1))
    return ",".join(rows)


def _nothing(honest: Honest, dice: Random) -> Answer:
    if dice.random() < 1 / 2:
        return changed(honest, rows=[], count=0)
    return http(b'{"error":"not_found"}', honest.date, status="404 Not Found")
