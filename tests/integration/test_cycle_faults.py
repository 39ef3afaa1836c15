import json
from datetime import timedelta
from http import HTTPStatus

import pytest
from psycopg2 import sql

from fleetsyncd.database import store
from fleetsyncd.database.pool import Database
from fleetsyncd.demo import readings
from fleetsyncd.demo.embedded import Server
from fleetsyncd.errors import VehicleRefused
from fleetsyncd.reports import Failure, Outcome
from fleetsyncd.sync import question_limit
from fleetsyncd.times import iso_ms
from fleetsyncd.vehicle.answer import Answer
from tests.integration.rig import Ask, Hook, Reply, Rig, rig

DOWN = HTTPStatus.SERVICE_UNAVAILABLE, b'{"error":"database_unavailable"}'


def failing(it: Rig, call: str, reply: Reply = DOWN) -> Hook:
    def hook(path: str, query: str, ask: Ask) -> Reply:
        it.asked.append((path, query))
        return reply if path == call else ask(query)

    return hook


REFUSED_AT_ONCE = "CREATE TRIGGER t BEFORE {} ON {} FOR EACH ROW EXECUTE FUNCTION refuse()"
REFUSED_AT_THE_COMMIT = (
    "CREATE CONSTRAINT TRIGGER t AFTER {} ON {} DEFERRABLE INITIALLY DEFERRED"
    " FOR EACH ROW EXECUTE FUNCTION refuse()"
)


def refuse_writes(
    server: Server, database_name: str, kind: str, table: str, trigger: str = REFUSED_AT_ONCE
) -> None:
    server.execute(
        sql.SQL(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN RAISE EXCEPTION ''not today''; END'"
        ),
        sql.SQL(trigger).format(sql.SQL(kind), sql.Identifier(table)),
        database=database_name,
    )


def test_failing_data_leave_the_watermark_and_the_journal_names_the_call(
    database: Database,
) -> None:
    with rig(database) as it:
        before = it.watermark()
        it.simulated.hook = failing(it, "/data")
        report = it.cycle()
        assert report.outcome is Outcome.ERROR
        assert it.journal() == [("error", 0, "/data: HTTP 503: the vehicle's own database is down")]
        assert it.watermark() == before
        assert it.run("SELECT sync_status, last_seen_at IS NOT NULL FROM vehicles") == [
            ("error", True)
        ]
        it.simulated.hook = None
        assert it.cycle(after=30).outcome is Outcome.OK
        assert it.compare().clean


PAGE = HTTPStatus.SERVICE_UNAVAILABLE, b"<html><title>Bad gateway</title></html>"


@pytest.mark.parametrize("call", ["/data", "/channels", "/alarms"])
@pytest.mark.parametrize("db_ok", [True, False])
def test_a_proxys_page_is_the_database_only_if_status_says_so(
    database: Database, call: str, db_ok: bool
) -> None:
    def hook(path: str, query: str, ask: Ask) -> Reply:
        if path == "/status":
            return HTTPStatus.OK, json.dumps({"db_ok": db_ok}).encode()
        return PAGE if path == call else ask(query)

    with rig(database) as it:
        it.simulated.hook = hook
        it.cycle()
        ((_, _, text),) = it.journal()
        assert f"{call}: HTTP 503: an HTML page: Bad gateway" in text
        assert ("; /status says that the vehicle's own database is down" in text) is not db_ok


def test_a_wish_to_be_left_alone_is_in_the_report_whichever_call_it_came_with(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with rig(database) as it:
        for call in ("status", "channels", "data", "alarms"):

            def refuse(*_arguments: object, call: str = call) -> Answer:
                raise VehicleRefused(f"/{call}", 429, "HTTP 429", retry_after_sec=60.0)

            with monkeypatch.context() as patched:
                patched.setattr(it.client, call, refuse)
                assert it.cycle(after=30).retry_after_sec == 60.0
        assert it.cycle(after=30).retry_after_sec is None
        assert it.compare().clean


def test_a_long_gap_does_not_go_on_at_once_if_the_vehicle_asks_to_be_left_alone(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object) -> Answer:
        raise VehicleRefused("/alarms", 429, "HTTP 429", retry_after_sec=60.0)

    monkeypatch.setattr(question_limit, "MOST_QUESTIONS", 10)
    with rig(database, watermark_ago=30 * 3600, channels=1) as it:
        monkeypatch.setattr(it.client, "alarms", refuse)
        report = it.cycle()
        assert (report.stopped, report.goes_on, report.retry_after_sec) == (True, False, 60.0)


def test_failures_in_a_row_are_counted_until_a_good_cycle(database: Database) -> None:
    with rig(database) as it:
        it.simulated.hook = failing(it, "/status")
        it.cycle()
        it.cycle(after=30)
        assert it.vehicle().failures == 2
        it.simulated.hook = None
        it.cycle(after=30)
        assert it.vehicle().failures == 0


def test_a_failing_status_ends_the_cycle_before_anything_else_is_requested(
    database: Database,
) -> None:
    with rig(database) as it:
        it.simulated.hook = failing(it, "/status", (HTTPStatus.UNAUTHORIZED, b"{}"))
        it.cycle()
        assert [path for path, _ in it.asked] == ["/status"]
        assert it.journal() == [("error", 0, "/status: HTTP 401: the vehicle refuses the API key")]


def test_failing_alarms_do_not_fail_the_cycle_and_are_requested_again(database: Database) -> None:
    with rig(database, watermark_ago=1800) as it:
        it.simulated.hook = failing(it, "/alarms")
        assert it.cycle().outcome is Outcome.OK
        assert "alarms will be asked for again" in it.journal()[0][2]
        assert it.run("SELECT count(*) FROM alarms_log") == [(0,)]
        it.simulated.hook = None
        it.cycle(after=30)
        assert it.run("SELECT count(*) FROM alarms_log")[0][0] > 3
        assert it.compare().clean


def test_resolutions_arrive_from_vehicles_that_filter_by_triggering_alone(
    database: Database,
) -> None:
    def really_open() -> set[int]:
        now = round(it.now.timestamp() * 1000)
        lives = readings.alarms(it.simulated.seed, now - readings.MAX_ALARM_MS, now)
        return {alarm.alarm_id for alarm in lives if alarm.resolved_ms > now}

    def stored_open() -> set[int]:
        rows = it.run("SELECT alarm_id FROM alarms_log WHERE resolved_at IS NULL")
        return {alarm_id for (alarm_id,) in rows}

    with rig(database, watermark_ago=3600, old_alarms=True) as it:
        it.cycle()
        assert stored_open() == really_open()
        for _ in range(40):
            it.cycle(after=30)
            assert stored_open() >= really_open()
        overdue = "SELECT count(*) FROM alarms_log WHERE resolved_at IS NULL AND triggered_at < %s"
        assert it.run(overdue, it.now - timedelta(minutes=6)) == [(0,)]


def test_failing_channels_are_noted_and_the_data_still_come(database: Database) -> None:
    with rig(database) as it:
        it.simulated.hook = failing(it, "/channels")
        assert it.cycle().outcome is Outcome.OK
        assert "channels not refreshed" in it.journal()[0][2]
        assert it.compare().clean


def test_bad_rows_are_quarantined_once_and_their_neighbours_stored(database: Database) -> None:
    def poisons(path: str, query: str, ask: Ask) -> Reply:
        code, body = ask(query)
        if path != "/data":
            return code, body
        answer = json.loads(body)
        return code, json.dumps({**answer, "rows": poison + answer["rows"]}).encode()

    with rig(database) as it:
        recent, far = iso_ms(it.now - timedelta(seconds=60)), iso_ms(it.now + timedelta(days=1))
        poison = [
            {"channel_id": 1, "value": "hot", "time": recent},
            {"channel_id": 2**31, "value": 1.0, "time": recent},
            {"channel_id": 1, "value": 1.0, "time": "1970-01-01T00:00:00.000Z"},
            {"channel_id": 1, "value": 1.0, "time": far},
        ]
        it.simulated.hook = poisons
        assert it.cycle().outcome is Outcome.OK
        assert it.journal()[0][2] == "4 bad row(s) in quarantine"
        it.cycle(after=30)
        assert it.compare().clean
        kept = it.run("SELECT call, reason FROM fleetsync.quarantine ORDER BY reason")
        assert len(kept) == 4
        assert {call for call, _ in kept} == {"/data"}
        assert kept[0][1] == "Expected `float | null`, got `str` - at `$.value`"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<html>captive portal</html>", "HTML instead of JSON"),
        (b"", "empty answer"),
        (b'{"rows":[{"channel_id":1', "not the JSON expected"),
        (b"\xff\xfe\x00", "not the JSON expected"),
        (b"[" * 60_000, "not the JSON expected"),
        (b"[]", "not the JSON expected"),
    ],
    ids=["html", "empty", "cut", "no text", "deep", "wrong type"],
)
@pytest.mark.parametrize("call", ["/status", "/data"])
def test_an_answer_that_is_none_ends_the_cycle_with_call_and_reason(
    database: Database, call: str, body: bytes, reason: str
) -> None:
    with rig(database) as it:
        it.simulated.hook = failing(it, call, (HTTPStatus.OK, body))
        assert it.cycle().outcome is Outcome.ERROR
        assert it.journal()[0][2].startswith(f"{call}: {reason}")
        it.simulated.hook = None
        assert it.cycle(after=30).outcome is Outcome.OK
        assert it.compare().clean


def test_strings_from_a_vehicle_are_stored_harmless(database: Database) -> None:
    escape = "\x1b]52;c;aGk=\x07[/nope]\u202e\x00"

    def writes(path: str, query: str, ask: Ask) -> Reply:
        if path == "/status":
            return HTTPStatus.OK, json.dumps({"software_version": escape, "db_ok": True}).encode()
        if path == "/channels":
            channel = {
                "channel_id": 1,
                "name": escape,
                "unit": escape,
                "phys_min": 0,
                "phys_max": 1,
            }
            return HTTPStatus.OK, json.dumps([channel]).encode()
        return ask(query)

    with rig(database) as it:
        it.simulated.hook = writes
        assert it.cycle().outcome is Outcome.OK
        stored = it.run(
            "SELECT v.software_version, c.name, c.unit FROM vehicles v, channel_config c"
        )
        assert all(text.isprintable() and "[/nope]" in text for text in stored[0])


@pytest.mark.parametrize(
    "trigger", [REFUSED_AT_ONCE, REFUSED_AT_THE_COMMIT], ids=["at once", "at the commit"]
)
def test_rows_that_the_database_refuses_leave_the_watermark_where_it_was(
    database: Database, server: Server, database_name: str, trigger: str
) -> None:
    with rig(database) as it:
        it.cycle()
        before = it.watermark()
        refuse_writes(server, database_name, "INSERT", "measurements", trigger)
        report = it.cycle(after=30)
        assert report.outcome is Outcome.ERROR
        assert "not today" in str(report.reason)
        assert it.watermark() == before
        drop = sql.SQL("DROP TRIGGER t ON measurements")
        server.execute(drop, database=database_name)
        assert it.cycle(after=30).outcome is Outcome.OK
        assert it.compare().clean


def test_a_vehicles_row_that_cannot_be_written_does_not_cost_the_journal_its_row(
    database: Database, server: Server, database_name: str
) -> None:
    with rig(database) as it:
        refuse_writes(server, database_name, "UPDATE", "vehicles")
        it.simulated.hook = failing(it, "/status")
        report = it.cycle()
        assert "its state cannot be written: not today" in str(report.reason)
        assert report.failure is Failure.DATABASE
        assert [row[0] for row in it.journal()] == ["error"]


@pytest.mark.parametrize("quarantine_limit", [10_000, 0])
@pytest.mark.parametrize(
    ("call", "table"),
    [("/data", "measurements"), ("/channels", "channel_config"), ("/alarms", "alarms_log")],
)
def test_bad_rows_of_a_refused_transaction_are_not_reported(
    database: Database,
    server: Server,
    database_name: str,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    table: str,
    quarantine_limit: int,
) -> None:
    def add_bad_entry(path: str, query: str, ask: Ask) -> Reply:
        code, body = ask(query)
        if path == call:
            answer = json.loads(body)
            (answer if isinstance(answer, list) else answer["rows"]).insert(0, {"bad": True})
            body = json.dumps(answer).encode()
        return code, body

    monkeypatch.setattr(store, "QUARANTINE_PER_VEHICLE", quarantine_limit)
    with rig(database, watermark_ago=1800) as it:
        refuse_writes(server, database_name, "INSERT", table)
        it.simulated.hook = add_bad_entry
        report = it.cycle()
        assert "not today" in it.journal()[-1][2]
        assert "quarantine" not in it.journal()[-1][2]
        assert (report.bad_rows, report.quarantine_full) == (0, False)
        assert it.run("SELECT count(*) FROM fleetsync.quarantine") == [(0,)]
        server.execute(
            sql.SQL("DROP TRIGGER t ON {}").format(sql.Identifier(table)), database=database_name
        )
        report = it.cycle(after=30)
        assert (report.outcome, report.bad_rows) == (Outcome.OK, 1)
        assert report.quarantine_full is (quarantine_limit == 0)
