"""Vehicles whose rows are there some time after their stamp, each row or all of them."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta

from tests.integration.rig import Ask, Hook, Reply, Rig

RowLateness = Callable[[int, datetime], timedelta]
"""How late the row of a channel and a time is there."""


def commit_late(it: Rig, lateness: RowLateness) -> None:
    """Let the vehicle show each row only when it is there; its questions are noted as before."""
    inner: Hook | None = it.simulated.hook
    assert inner is not None
    known = inner

    def hook(path: str, query: str, ask: Ask) -> Reply:
        status, body = known(path, query, ask)
        if path != "/data":
            return status, body
        answer = json.loads(body)
        now = it.now + it.offset
        answer["rows"] = [row for row in answer["rows"] if _is_there(row, lateness, now)]
        answer["count"] = len(answer["rows"])
        return status, json.dumps(answer).encode()

    it.simulated.hook = hook


def scattered(most_sec: float) -> RowLateness:
    """Return a lateness from 0 to so many seconds, the same for a row whenever it is asked for."""

    def lateness(channel: int, at: datetime) -> timedelta:
        draw = (channel * 7919 + int(at.timestamp() * 1000) * 104_729) % 1000
        return timedelta(seconds=most_sec * draw / 1000)

    return lateness


def _is_there(row: dict[str, object], lateness: RowLateness, now: datetime) -> bool:
    at = datetime.fromisoformat(str(row["time"]))
    return at + lateness(int(str(row["channel_id"])), at) <= now
