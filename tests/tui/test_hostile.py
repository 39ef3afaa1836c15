"""Text that a vehicle or another service wrote into the database is shown harmlessly."""

from uuid import UUID

import pytest
from psycopg2 import sql

from fleetsyncd.database.pool import Database
from fleetsyncd.demo.embedded import Server
from fleetsyncd.text import sanitise
from tests.tui.driving import Driver, add, alarm, beat, channel, drive, execute

HOSTILE = "\x1b]52;c;Zm9v\x07\x1b[2J\x9b31m[/nope][bold]\u202egnp.exe\u2066\u200b\r\n\tend"
LONG = "x" * 10_000
UNSAFE = {"\x1b", "\x07", "\x9b", "\u202e", "\u2066", "\u200b", "\r", "\t"}


def as_owner(server: Server, database: str, statement: str) -> None:
    server.execute(sql.SQL(statement), database=database)


def storm(database: Database) -> UUID:
    """Write hostile text into every column that holds text."""
    vehicle = add(database, "Truck-01")
    key = str(vehicle)
    channel(database, vehicle, 1, HOSTILE, HOSTILE)
    alarm(database, vehicle, 7, HOSTILE + LONG, "1 h", None)
    for statement in (
        "UPDATE alarms_log SET severity = %(text)s",
        "UPDATE vehicles SET name = %(text)s, software_version = %(text)s",
        "INSERT INTO fleetsync.vehicle_state (vehicle_id, last_error, failures)"
        " VALUES (%(key)s::uuid, %(long)s, 3)",
        "INSERT INTO sync_journal (vehicle_id, started_at, finished_at, status, error_msg)"
        " VALUES (%(key)s::uuid, now(), now(), 'error', %(long)s)",
        "INSERT INTO fleetsync.replica (id, host, pid, version, interval_sec)"
        " VALUES (gen_random_uuid(), %(text)s, 1, %(text)s, 30)",
    ):
        database.run(
            lambda cursor, statement=statement: cursor.execute(  # type: ignore[misc]  # bound early
                statement, {"key": key, "text": HOSTILE, "long": HOSTILE + LONG}
            )
        )
    return vehicle


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
def test_hostile_text_is_harmless_on_every_screen(
    database: Database, size: tuple[int, int]
) -> None:
    storm(database)
    shown = sanitise(HOSTILE)[:10]

    async def look(it: Driver) -> None:
        def harmless() -> None:
            assert not UNSAFE & set(it.screen())

        await it.sees(shown)
        await it.press("s")
        await it.notified("[/nope][bold]")
        for keys, marker in (
            (["enter"], "1 History"), (["2"], "SEVERITY"), (["enter"], "still open"),
            (["escape", "3"], "RESULT"), (["enter"], "started"), (["escape", "4"], "SCALE"),
            (["enter"], "· 10m · "), (["escape", "5"], "committed up to"), (["e"], "Edit"),
            (["escape", "b"], "Backfill"), (["escape", "x"], "Audit"),
            (["escape", "ctrl+d"], "Delete"), (["escape", "A"], "open alarms 1-1"),
            (["d"], "as of"), (["escape"], "MESSAGE"),
            (["escape", "l"], "journal ·"), (["slash", "left_square_bracket", "slash"], "[/"),
            (["escape", "escape", "question_mark"], "Keys"), (["escape", "ctrl+p"], "a vehicle"),
            (["escape", "y", "E"], "Export"),
        ):  # fmt: skip
            await it.press(*keys)
            await it.sees(marker)
            harmless()
        assert not UNSAFE & set(it.app.clipboard) - {"\t"}

    drive(database, look, size=size)


def test_unknown_values_of_a_vehicle_are_shown_as_unknown(
    server: Server, database: Database, database_name: str
) -> None:
    # Another service's table may allow null where ours does not.
    for column in ("name", "vpn_ip", "api_port", "sync_status"):
        as_owner(server, database_name, f"ALTER TABLE public.vehicles ALTER {column} DROP NOT NULL")
    vehicle = add(database, "Truck-01")
    execute(
        database,
        "UPDATE vehicles SET name = NULL, vpn_ip = NULL, api_port = NULL, sync_status = NULL,"
        " last_sync_at = 'infinity', last_seen_at = '-infinity'",
    )
    execute(
        database,
        "INSERT INTO channel_config (vehicle_id, channel_id, name) VALUES (%s::uuid, 1, '')",
        str(vehicle),
    )
    beat(database)

    async def look(it: Driver) -> None:
        await it.sees(str(vehicle)[:16] + "…", "? ")
        await it.press("enter")
        for tab in "12345":
            await it.press(tab)
            await it.sees("?:8001")
        await it.sees("registered", "-")
        assert not it.app._notifications

    drive(database, look, size=(120, 30))


def test_a_status_of_a_later_version_is_shown_as_error(
    server: Server, database: Database, database_name: str
) -> None:
    add(database, "Truck-01")
    as_owner(
        server,
        database_name,
        "ALTER TABLE public.vehicles DROP CONSTRAINT vehicles_sync_status_check",
    )
    execute(
        database,
        "UPDATE vehicles SET sync_status = 'hibernating', last_seen_at = now(),"
        " last_sync_at = now()",
    )

    async def look(it: Driver) -> None:
        await it.sees("✖ Truck-01             error")

    drive(database, look)


def test_a_time_that_python_cannot_hold_is_shown_as_unknown(database: Database) -> None:
    vehicle = add(database, "Truck-01")
    execute(
        database,
        "INSERT INTO sync_journal (vehicle_id, started_at, finished_at, status) VALUES"
        " (%s::uuid, '294276-01-01', '294276-01-02', 'ok'),"
        " (%s::uuid, '-infinity', 'infinity', 'ok')",
        str(vehicle),
        str(vehicle),
    )
    execute(
        database,
        "INSERT INTO alarms_log (vehicle_id, alarm_id, channel_id, message, triggered_at)"
        " VALUES (%s::uuid, 9223372036854775807, 1, '', '4713-01-01 BC')",
        str(vehicle),
    )

    async def look(it: Driver) -> None:
        await it.press("l")
        await it.until(lambda: sum("● ok" in line for line in it.lines()) == 2)
        await it.press("escape", "enter", "2")
        await it.sees("▲ open")
        await it.press("enter")
        await it.sees("9223372036854775807")

    drive(database, look)
