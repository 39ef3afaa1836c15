"""Every time on the screen is UTC and says so, and short durations have tenths."""

import re
import time
from collections.abc import Iterator

import pytest

from fleetsyncd.database.pool import Database
from tests.tui.driving import Driver, alarm, attempts, drive, execute, small_fleet
from tui.formatting import took_text

TIME = re.compile(r"\d\d:\d\d:\d\d")


@pytest.fixture(autouse=True)
def far_from_greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Asia/Kolkata")
        time.tzset()
        yield
    time.tzset()


def busy_fleet(database: Database) -> None:
    truck = small_fleet(database)["Truck-01"]
    attempts(database, truck, 3)
    alarm(database, truck, 1, "oil pressure", "2 h", "3.25 s")
    alarm(database, truck, 2, "coolant", "1 h", None)


def utc_hours(database: Database) -> set[str]:
    """Return the hours that a time of the last three may have, as UTC has them."""
    rows = execute(
        database,
        "SELECT to_char((now() - n * interval '1 h') AT TIME ZONE 'UTC', 'HH24')"
        " FROM generate_series(0, 3) n",
    )
    return {row[0] for row in rows}


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ([], "newest attempts, UTC"),
        (["Z"], "frozen at"),
        (["l"], "STARTED UTC"),
        (["l", "enter"], "started"),
        (["end", "enter"], "STARTED UTC"),
        (["end", "enter", "2"], "coolant"),
        (["end", "enter", "2", "enter"], "still open"),
        (["end", "enter", "3"], "STARTED UTC"),
        (["end", "enter", "5"], "committed up to"),
        (["end", "b"], "24h: "),
        (["end", "x"], "24h: "),
    ],
    ids=[
        "tail",
        "frozen",
        "journal",
        "details",
        "history",
        "alarms",
        "alarm",
        "attempts",
        "config",
        "backfill",
        "audit",
    ],
)
def test_every_time_says_that_it_is_utc_or_stands_under_a_heading_that_does(
    database: Database, keys: list[str], text: str
) -> None:
    busy_fleet(database)

    async def look(it: Driver) -> None:
        await it.sees("newest attempts")
        await it.press(*keys)
        await it.sees(text)
        await it.settled()
        await it.until(lambda: bool(TIME.search(it.screen())))
        lines = it.lines()
        for number, line in enumerate(lines):
            if TIME.search(line):
                assert "UTC" in line or "UTC" in "".join(lines[1:number]), line
                if "frozen" not in line and not {"b", "x"} & set(keys):
                    assert {found[:2] for found in TIME.findall(line)} <= utc_hours(database), line

    drive(database, look, size=(120, 30))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0, "0.0s"), (0.14, "0.1s"), (9.94, "9.9s"), (9.96, "10s"), (75, "75s"),
     (-0.2, "0.0s"), (7200, "2h")],
)  # fmt: skip
def test_a_duration_under_ten_seconds_has_tenths(seconds: float | None, text: str) -> None:
    assert took_text(seconds) == text


@pytest.mark.parametrize("keys", [[], ["l"], ["l", "enter"], ["end", "enter", "3"]])
def test_what_took_a_tenth_of_a_second_is_not_shown_as_nothing(
    database: Database, keys: list[str]
) -> None:
    truck = small_fleet(database)["Truck-01"]
    execute(
        database,
        "INSERT INTO sync_journal (vehicle_id, started_at, finished_at, status, rows_written)"
        " VALUES (%s::uuid, now() - interval '5.1 s', now() - interval '5 s', 'ok', 9)",
        str(truck),
    )

    async def look(it: Driver) -> None:
        await it.sees("newest attempts")
        await it.press(*keys)
        await it.sees("0.1s")
        assert " 0s " not in "".join(it.lines()[3:])

    drive(database, look, size=(120, 30))


def test_the_list_of_alarms_shows_short_ones_in_tenths(database: Database) -> None:
    busy_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("end", "enter", "2")
        await it.sees("oil pressure", "3.2s")

    drive(database, look)
