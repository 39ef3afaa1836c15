"""The puller that most would write, to compare with: asyncio, httpx, execute_values.

One httpx client per vehicle and cycle, psycopg2 in threads, a transaction per step. It knows no
overlap, no splitting, no quarantine. It pulls the fleet for every line on its standard input, and
answers `done SECONDS`.
"""

import asyncio
import os
import sys
import time
from datetime import UTC, datetime
from typing import Any

import httpx
from psycopg2.extras import execute_values
from psycopg2.pool import ThreadedConnectionPool

THREADS = 8
ROLE = "SELECT set_config('app.user_role', 'superuser', true)"
POOL = ThreadedConnectionPool(
    1,
    THREADS,
    host=os.environ["DB_HOST"],
    dbname=os.environ["DB_NAME"],
    user=os.environ["DB_USER"],
)
GATE = asyncio.Semaphore(THREADS)


def _transaction(statement: str, arguments: Any, many: bool = False) -> list[Any]:
    connection = POOL.getconn()
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(ROLE)
            if many:
                execute_values(cursor, statement, arguments, page_size=1000)
            else:
                cursor.execute(statement, arguments)
            return cursor.fetchall() if cursor.description else []
    finally:
        POOL.putconn(connection)


async def run(statement: str, arguments: Any, many: bool = False) -> list[Any]:
    """Run one statement in a thread and a transaction of its own."""
    async with GATE:
        return await asyncio.to_thread(_transaction, statement, arguments, many)


def text(moment: datetime) -> str:
    """Return a time as the vehicle API wants it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def pull(vehicle: tuple[Any, ...]) -> None:
    """Pull one vehicle: status, channels, data, alarms, journal."""
    key, host, port, secret, watermark = vehicle
    started = datetime.now(UTC)
    window = {"from": text(watermark), "to": text(started), "limit": "50000"}
    async with httpx.AsyncClient(
        base_url=f"http://{host}:{port}", headers={"X-API-Key": secret}, timeout=60
    ) as client:
        status = (await client.get("/status")).json()
        await run(
            "UPDATE vehicles SET last_seen_at = now(), sync_status = 'ok', software_version = %s"
            " WHERE id = %s",
            (status["software_version"], key),
        )
        channels = (await client.get("/channels")).json()
        await run(
            "INSERT INTO channel_config (vehicle_id, channel_id, name, unit, min_value, max_value)"
            " VALUES %s ON CONFLICT (vehicle_id, channel_id) DO UPDATE SET name = excluded.name",
            [
                (key, c["channel_id"], c["name"], c["unit"], c["phys_min"], c["phys_max"])
                for c in channels
            ],
            many=True,
        )
        written = await store_rows(key, (await client.get("/data", params=window)).json())
        await run("UPDATE vehicles SET last_sync_at = %s WHERE id = %s", (started, key))
        await store_alarms(key, (await client.get("/alarms", params=window)).json())
    await run(
        "INSERT INTO sync_journal (vehicle_id, started_at, finished_at, status, rows_written)"
        " VALUES (%s, %s, now(), 'ok', %s)",
        (key, started, written),
    )


async def store_rows(key: str, answer: Any) -> int:
    """Store an answer's measurements; return how many it holds."""
    rows = [
        (key, row["channel_id"], row["time"], row["value"])
        for row in answer["rows"]
        if row["value"] is not None
    ]
    if rows:
        await run(
            "INSERT INTO measurements (vehicle_id, channel_id, time, value) VALUES %s"
            " ON CONFLICT DO NOTHING",
            rows,
            many=True,
        )
    return len(rows)


async def store_alarms(key: str, alarms: Any) -> None:
    """Store alarms one by one."""
    for alarm in alarms:
        await run(
            "INSERT INTO alarms_log (vehicle_id, alarm_id, channel_id, message, triggered_at)"
            " VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (
                key,
                alarm["alarm_id"],
                alarm["channel_id"],
                alarm["message"],
                alarm["triggered_at"],
            ),
        )


async def cycle() -> None:
    """Pull the whole fleet once."""
    vehicles = await run(
        "SELECT id, host(vpn_ip), api_port, api_key, last_sync_at FROM vehicles", ()
    )
    await asyncio.gather(*(pull(vehicle) for vehicle in vehicles))


def serve() -> None:
    """Pull once for every line that comes."""
    print("ready", flush=True)
    with asyncio.Runner() as runner:
        for _ in sys.stdin:
            begun = time.monotonic()
            runner.run(cycle())
            print(f"done {time.monotonic() - begun:.4f}", flush=True)


if __name__ == "__main__":
    serve()
