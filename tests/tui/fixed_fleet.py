"""A fleet in a database whose clock is stopped, so that screens are repeatable."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

from psycopg2 import sql

from fleetsyncd.database.pool import Cursor
from fleetsyncd.demo.embedded import Server
from tests.tui.driving import NOW

SPACE = UUID("6f1bbf2c-6a0e-4c39-9b53-5a0f2a8a5a11")


def stop_clock(server: Server, database: str) -> None:
    """Make `now()` return NOW in every new connection to this database."""
    server.execute(
        sql.SQL("CREATE SCHEMA clock"),
        sql.SQL("GRANT USAGE ON SCHEMA clock TO PUBLIC"),
        sql.SQL(
            "CREATE FUNCTION clock.now() RETURNS timestamptz LANGUAGE sql STABLE"
            " AS $$ SELECT timestamptz '2026-02-22 12:00:00+00' $$"
        ),
        sql.SQL("ALTER DATABASE {} SET search_path = clock, pg_catalog, public").format(
            sql.Identifier(database)
        ),
        database=database,
    )


def vehicle_id(name: str) -> UUID:
    return uuid5(SPACE, name)


KINDS = ("Truck", "Excavator", "Loader", "Dozer", "Grader", "Crane", "Roller")
TROUBLE = {
    5: ("timeout", 7300, "/status: no complete answer within 10 s"),
    9: ("error", 11_000, "/status: HTTP 401: the vehicle refuses the API key"),
    14: ("error", 190, "/data: HTTP 503: the vehicle's own database is down"),
    17: ("timeout", 260_000, "/status: no route to host"),
    21: ("ok", 130, "/alarms: reset by peer"),
}


def register_fixed_fleet(cursor: Cursor) -> None:
    """Register forty vehicles in every state, with journal, channels and alarms of one of them."""
    for number in range(1, 41):
        name = f"{KINDS[number % len(KINDS)]}-{number:02}"
        _vehicle(cursor, name, number)
    _open_alarms(cursor)
    _refused(cursor)
    _backfills(cursor)
    _audits(cursor)
    _actions(cursor)
    _notices(cursor)
    cursor.execute(
        "INSERT INTO fleetsync.replica (id, host, pid, version, interval_sec, beat_at, cycle_sec,"
        " vehicles) VALUES (%s::uuid, 'centre', 7, '0.1.0', 30, %s, 2.3, 40)",
        (str(SPACE), NOW - timedelta(seconds=2)),
    )  # fmt: skip


def _vehicle(cursor: Cursor, name: str, number: int) -> None:
    status, lag, error = TROUBLE.get(number, ("ok", 4 + number % 30, None))
    key, synced = str(vehicle_id(name)), NOW - timedelta(seconds=lag)
    seen = synced if status == "timeout" else NOW - timedelta(seconds=number % 30)
    gap = (synced - timedelta(hours=9), NOW, 420.0, 310_000) if number == 12 else (None,) * 4
    if number == 25:
        status, seen, synced = "unknown", None, None  # type: ignore[assignment]  # never seen
    cursor.execute(
        "INSERT INTO vehicles (id, name, vpn_ip, sync_status, last_seen_at, last_sync_at,"
        " software_version, created_at) VALUES (%s::uuid, %s, %s::inet, %s, %s, %s, %s, %s)",
        (key, name, f"10.8.0.{number}", status, seen, synced,
         None if number == 25 else f"2.{number % 5}.1", NOW - timedelta(days=90)),
    )  # fmt: skip
    cursor.execute(
        "INSERT INTO fleetsync.vehicle_state (vehicle_id, paused, newest_measurement_at, failures,"
        " last_rows, last_error, clock_skew_ms, catching_up_from, catching_up_to, catching_up_sec,"
        " catching_up_rows, dated_status, status_since, paused_at, tags)"
        " VALUES (%s::uuid, %s, %s, %s, %s, %s, 120, %s, %s, %s, %s, %s, %s, %s, %s)",
        (key, number == 30, synced, 3 if status in ("timeout", "error") else 0,
         0 if error else 520 + number, error, *gap, status, *_since(number, lag), _tags(number)),
    )  # fmt: skip
    _journal(cursor, key, number, status, error)
    if number == 1:
        _telemetry(cursor, key)
        _traffic(cursor, key)


def _since(number: int, lag: int) -> tuple[datetime, datetime | None]:
    """Return since when a vehicle has its status, and since when it is paused."""
    status_since = NOW - timedelta(seconds=lag if number in TROUBLE else 5000 * number)
    return status_since, NOW - timedelta(hours=5) if number == 30 else None


def _tags(number: int) -> list[str]:
    site = () if number % 5 == 0 else (f"mine-{number % 3}",)
    return [*site, "rented"] if number % 7 == 0 else [*site]


def _journal(cursor: Cursor, key: str, number: int, status: str, error: str | None) -> None:
    """Write an hour of attempts; a vehicle in trouble has failures after earlier successes."""
    failed_until = 40 if status in ("timeout", "error") else 0
    for at, rows in _attempts(number):
        failed = at < failed_until
        cursor.execute(
            "INSERT INTO sync_journal (vehicle_id, started_at, finished_at, status, rows_written,"
            " error_msg) VALUES (%s::uuid, %s, %s, %s, %s, %s)",
            (key, NOW - timedelta(seconds=30 * at + 5, milliseconds=37 * number),
             NOW - timedelta(seconds=30 * at + 3), status if failed else "ok",
             0 if failed else rows, error if failed else None),
        )  # fmt: skip


def _attempts(number: int) -> Iterator[tuple[int, int]]:
    for at in range(0, 120, 3):
        yield at, 540 - (at * number) % 7


def _refused(cursor: Cursor) -> None:
    """Quarantine rows of two vehicles."""
    for number, (name, call, raw, reason) in enumerate((
        ("Crane-05", "/alarms", '{"alarm_id":9}', "Object missing required field `channel_id`"),
        ("Grader-04", "/data", '{"channel_id":1,"value":"NaN"}', "Expected `float | null`"),
        ("Grader-04", "/data", '{"channel_id":2,"value":"NaN"}', "Expected `float | null`"),
        ("Grader-04", "/data", '{"channel_id":3,"value":"NaN"}', "Expected `float | null`"),
    )):  # fmt: skip
        cursor.execute(
            "INSERT INTO fleetsync.quarantine (vehicle_id, digest, call, raw, reason, at)"
            " VALUES (%s::uuid, %s::uuid, %s, %s, %s, %s)",
            (str(vehicle_id(name)), str(UUID(int=number)), call, raw, reason,
             NOW - timedelta(minutes=30 - number)),
        )  # fmt: skip


def _backfills(cursor: Cursor) -> None:
    """Request three backfills: one is being pulled, one fails, one is finished."""
    for hours, (name, done, error) in enumerate((
        ("Truck-28", 0.25, None),
        ("Truck-35", 0.0, "/data: HTTP 503: the vehicle's own database is down"),
        ("Loader-09", 1.0, None),
    ), 1):  # fmt: skip
        start = NOW - timedelta(days=2)
        cursor.execute(
            "INSERT INTO fleetsync.backfill (vehicle_id, from_at, to_at, reached_at, rows_added,"
            " busy_sec, asked_at, finished_at, last_error)"
            " VALUES (%s::uuid, %s, %s, %s, %s, %s, %s, %s, %s)",
            (str(vehicle_id(name)), start, start + timedelta(hours=12),
             start + timedelta(hours=12) * done, int(done * 750_000), 600 * done,
             NOW - timedelta(hours=hours), NOW - timedelta(minutes=9) if done == 1 else None,
             error),
        )  # fmt: skip


def _audits(cursor: Cursor) -> None:
    """Request two audits: one is being compared, one has found something; the daemon a repair."""
    start = NOW - timedelta(days=1)
    for hours, (name, is_repair, done, missing) in enumerate((
        ("Excavator-01", False, 0.5, 36),
        ("Loader-09", False, 1.0, 0),
        ("Truck-28", True, 0.0, 0),
    ), 1):  # fmt: skip
        checked = int(done * 1_500_000)
        cursor.execute(
            "INSERT INTO fleetsync.audit (vehicle_id, is_repair, from_at, to_at, reached_at,"
            " report_only, checked, missing, different, gone, busy_sec, asked_at, finished_at)"
            " VALUES (%s::uuid, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (str(vehicle_id(name)), is_repair, start, start + timedelta(hours=12),
             start + timedelta(hours=12) * done, done == 1, checked, missing, missing // 9,
             missing // 3, 500 * done, NOW - timedelta(hours=hours),
             NOW - timedelta(minutes=5) if done == 1 else None),
        )  # fmt: skip
    for age in (60, 600, 3_600, 86_400):
        proved = NOW - timedelta(seconds=age + 90)
        cursor.execute(
            "INSERT INTO fleetsync.verified"
            " (vehicle_id, age_sec, verified_to, looked_to, looked_at)"
            " VALUES (%s::uuid, %s, %s, %s, %s)",
            (str(vehicle_id("Excavator-01")), age, proved, proved, NOW),
        )


def _actions(cursor: Cursor) -> None:
    """Log three actions: of a command, of the dashboard, and of the whole installation."""
    for minutes, (login, address, name, action, before, after) in enumerate((
        ("olga", "192.0.2.7", "Truck-28", "backfill Truck-28 --from 2d --no-wait", None,
         '{"backfill": "[2026-02-20T12:00:00.000Z, 2026-02-21T00:00:00.000Z)"}'),
        ("peter", None, "Grader-04", "dashboard: edit", '{"port": 8001}', '{"port": 9001}'),
        ("deploy", None, None, "migrate", None, '{"applied": ["0034.action-log"]}'),
    )):  # fmt: skip
        cursor.execute(
            "INSERT INTO fleetsync.action_log (id, at, login, address, action, vehicle_id, vehicle,"
            " before, after) VALUES (%s::uuid, %s, %s, %s, %s, %s::uuid, %s, %s, %s)",
            (str(UUID(int=minutes)), NOW - timedelta(minutes=minutes), login, address, action,
             name and str(vehicle_id(name)), name, before, after),
        )  # fmt: skip


def _traffic(cursor: Cursor, key: str) -> None:
    """Let a link have carried something today and in the last month, by the database's clock."""
    cursor.execute(
        "INSERT INTO fleetsync.traffic (vehicle_id, day, received_bytes, sent_bytes)"
        " VALUES (%(id)s::uuid, current_date, 4200000, 130000),"
        " (%(id)s::uuid, date_trunc('month', current_date)::date - 1, 310000000, 9000000)",
        {"id": key},
    )


def _notices(cursor: Cursor) -> None:
    """Write notices of two targets, of which one fails."""
    chat, mail = "slacks://hoo…#19c03a", "mailtos://mail.example.com#7ab2f0"
    for target, sent, failing in ((chat, 9, None), (mail, 200, 40)):
        cursor.execute(
            "INSERT INTO fleetsync.notice_target (target, since, seen_at, sent_at, failing_since,"
            " failures, next_at, last_error) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            (target, NOW - timedelta(days=9), NOW, NOW - timedelta(minutes=sent),
             failing and NOW - timedelta(minutes=failing), 6 if failing else 0,
             failing and NOW + timedelta(minutes=9), failing and "no answer within 30 s"),
        )  # fmt: skip
    for minutes, kind, severity, name, title, detail, fates in (
        (10, "down", "critical", "Truck-14", "Truck-14 has not been pulled for 10m",
         "/data: HTTP 503: the vehicle's own database is down", {chat: "sent"}),
        (50, "audit", "warning", None, "36 rows of excavators were missing", "", {chat: "sent"}),
        (180, "outage", "info", None, "40 of 40 vehicles answer again, after 12m",
         "What they measured meanwhile is caught up.", {chat: "sent", mail: "sent"}),
        (2_000, "down", "critical", "Loader-09", "Loader-09 has not been pulled for 10m", "",
         {chat: "sent", mail: "given up"}),
    ):  # fmt: skip
        at = NOW - timedelta(minutes=minutes)
        cursor.execute(
            "INSERT INTO fleetsync.notice (at, kind, severity, vehicle_id, vehicle_name, title,"
            " detail) VALUES (%s, %s, %s, %s::uuid, %s, %s, %s) RETURNING id",
            (at, kind, severity, name and str(vehicle_id(name)), name, title, detail),
        )
        [(key,)] = cursor.fetchall()
        for target, fate in fates.items():
            cursor.execute(
                "INSERT INTO fleetsync.notice_delivery VALUES (%s, %s, %s, %s)",
                (key, target, at + timedelta(seconds=31), fate),
            )


def _telemetry(cursor: Cursor, key: str) -> None:
    cursor.execute("SELECT fleetsync.ensure_month('2026-02-01')")
    for number, (name, unit, low, high) in enumerate(
        (("engine speed", "rpm", 0, 2400), ("coolant", "°C", -40, 120), ("fuel", "%", 0, 100)), 1
    ):
        cursor.execute(
            "INSERT INTO channel_config VALUES (%s::uuid, %s, %s, %s, %s, %s, %s)",
            (key, number, name, unit, low, high, NOW),
        )  # fmt: skip
        cursor.execute(
            "INSERT INTO measurements (vehicle_id, channel_id, time, value) SELECT %s::uuid, %s,"
            " %s::timestamptz - n * interval '2 s', %s + %s * sin(n / (40.0 * %s))"
            " FROM generate_series(3, 1800) n",
            (key, number, NOW, (low + high) / 2, (high - low) / 3, number),
        )  # fmt: skip
    for number, (message, severity, ago, lasted) in enumerate(
        (
            ("oil pressure below 1.2 bar", "critical", 4000, None),
            ("coolant above 105 °C", "high", 90_000, 340),
            ("door open while moving", "low", 200_000, 12),
        ),
        1,
    ):
        at = datetime(2026, 2, 22, 12, tzinfo=UTC) - timedelta(seconds=ago)
        cursor.execute(
            "INSERT INTO alarms_log (vehicle_id, alarm_id, channel_id, severity, message,"
            " triggered_at, resolved_at, synced_at) VALUES (%s::uuid, %s, %s, %s, %s, %s, %s, %s)",
            (key, number, number, severity, message, at,
             None if lasted is None else at + timedelta(seconds=lasted), NOW),
        )  # fmt: skip


def _open_alarms(cursor: Cursor) -> None:
    """Write open alarms of vehicles that answer, are silent, and are paused."""
    for number, (vehicle, channel, severity, message, ago) in enumerate(
        (
            ("Grader-04", 6, "critical", "hydraulic pressure above the relief setting", 95),
            ("Crane-12", 7, "error", "hydraulic oil temperature high", 400),
            ("Truck-14", None, "high", "the collector has lost its module 2", 9_000),
            ("Loader-16", 9, None, "battery voltage low", 30),
            ("Excavator-29", 14, "info", "payload above rated load", 700),
            ("Loader-30", 4, "alarm", "engine oil pressure low", 50_000),
            ("Dozer-17", 4, "critical", "engine oil pressure low", 300_000),
        ),
        100,
    ):
        cursor.execute(
            "INSERT INTO alarms_log (vehicle_id, alarm_id, channel_id, severity, message,"
            " triggered_at, synced_at) SELECT id, %s, %s, %s, %s, %s, %s FROM vehicles"
            " WHERE name = %s",
            (number, channel, severity, message, NOW - timedelta(seconds=ago), NOW, vehicle),
        )  # fmt: skip
        assert cursor.rowcount == 1, vehicle
