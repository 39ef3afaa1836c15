"""Answers whose meaning is clear though they are not written as the API says."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import pytest
from psycopg2 import sql

from fleetsyncd.database.adopted_nulls import NEEDS_CHANNEL, NEEDS_RANGE
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Database
from fleetsyncd.database.views.vehicle import channel_values, stored_alarms
from fleetsyncd.demo.embedded import Server
from fleetsyncd.reports import Outcome
from fleetsyncd.sync.replay import Replayed, replay
from fleetsyncd.times import iso_ms
from tests.integration.rig import Ask, Reply, Rig, rig


def answers(it: Rig, call: str, body: Any) -> None:
    """Let the vehicle give this answer to one call, and its own to the others."""
    told = body if isinstance(body, bytes) else json.dumps(body).encode()

    def hook(path: str, query: str, ask: Ask) -> Reply:
        it.asked.append((path, query))
        return (HTTPStatus.OK, told) if path == call else ask(query)

    it.simulated.hook = hook


def known_version(it: Rig) -> str | None:
    return it.vehicle().software_version


@pytest.mark.parametrize("status", [{}, {"software_version": None}, {"software_version": ""}])
def test_a_vehicle_that_tells_no_version_keeps_the_one_that_is_known(
    database: Database, status: dict[str, Any]
) -> None:
    with rig(database) as it:
        answers(it, "/status", status)
        it.cycle()
        assert known_version(it) is None
        it.simulated.hook = None
        it.cycle(after=30)
        assert known_version(it) == "1.1.0"
        answers(it, "/status", status)
        assert it.cycle(after=30).outcome is Outcome.OK
        assert known_version(it) == "1.1.0"
        answers(it, "/status", {"software_version": "2.0"})
        it.cycle(after=30)
        assert known_version(it) == "2.0"


@pytest.mark.parametrize("version", [2, 2.5])
def test_what_is_only_shown_does_not_keep_a_vehicle_from_being_pulled(
    database: Database, version: object
) -> None:
    with rig(database) as it:
        answers(it, "/status", {"software_version": version, "db_ok": None})
        assert it.cycle().outcome is Outcome.OK
        assert known_version(it) == str(version)
        assert it.compare().clean


def test_a_channel_without_a_range_is_stored_once_and_its_change_noticed(
    database: Database,
) -> None:
    ranges = "SELECT channel_id, min_value, max_value FROM channel_config ORDER BY 1"
    rows = "SELECT channel_id, xmin::text FROM channel_config ORDER BY 1"
    told: list[dict[str, Any]] = [
        {"channel_id": 1, "name": "Door"},
        {"channel_id": 2.0, "name": "Speed", "phys_min": 0, "phys_max": None},
    ]
    with rig(database) as it:
        answers(it, "/channels", told)
        assert it.cycle().error_msg is None
        assert it.run(ranges) == [(1, None, None), (2, 0.0, None)]
        before = it.run(rows)
        for digest in ("channels_digest", "0"):
            it.run(f"UPDATE fleetsync.vehicle_state SET channels_digest = {digest}")  # noqa: S608
            it.cycle(after=30)
            assert it.run(rows) == before
        it.run("UPDATE channel_config SET min_value = 7 WHERE channel_id = 1")
        it.cycle(after=30)
        assert it.run(ranges)[0] == (1, None, None)
        answers(it, "/channels", [told[0] | {"phys_max": 1}, told[1]])
        it.cycle(after=30)
        assert it.run(ranges) == [(1, None, 1.0), (2, 0.0, None)]
        shown = database.run(lambda c: channel_values(c, it.vehicle_id))
        assert [(c.min_value, c.max_value) for c in shown] == [(None, 1.0), (0.0, None)]


def two_alarms(it: Rig, **changed: Any) -> list[dict[str, Any]]:
    """Return an alarm of the whole vehicle before one of a channel."""
    alarm = {"message": "hot", "triggered_at": iso_ms(it.now - timedelta(seconds=10))}
    return [{"alarm_id": 7, **alarm, **changed}, {"alarm_id": 8, "channel_id": 1, **alarm}]


ALARMS = "SELECT alarm_id, channel_id FROM alarms_log ORDER BY 1"


def test_an_alarm_of_the_whole_vehicle_is_stored_and_shown_without_a_channel(
    database: Database,
) -> None:
    with rig(database) as it:
        answers(it, "/alarms", two_alarms(it))
        assert it.cycle().error_msg is None
        assert it.run(ALARMS) == [(7, None), (8, 1)]
        answers(it, "/alarms", two_alarms(it, resolved_at=iso_ms(it.now), channel_id=None))
        it.cycle(after=30)
        shown = database.run(lambda c: stored_alarms(c, it.vehicle_id))
        assert [(a.alarm_id, a.channel_id, a.resolved_at is None) for a in shown] == [
            (8, 1, True),
            (7, None, False),
        ]


@contextmanager
def table_that_wants_channels(server: Server, database_name: str) -> Iterator[None]:
    """Let alarms_log be as in an installation that was there before."""
    alter = "ALTER TABLE public.alarms_log ALTER COLUMN channel_id {} NOT NULL"
    server.execute(sql.SQL(alter.format("SET")), database=database_name)
    yield
    server.execute(sql.SQL(alter.format("DROP")), database=database_name)


def test_where_the_table_wants_a_channel_the_other_alarms_are_stored_and_a_replay_brings_the_rest(
    database: Database, server: Server, database_name: str
) -> None:
    def replayed(it: Rig) -> Replayed:
        return replay(database, Partitions(database), it.context().accepted_interval)

    with rig(database) as it:
        with table_that_wants_channels(server, database_name):
            answers(it, "/alarms", two_alarms(it))
            report = it.cycle()
            assert (report.outcome, report.error_msg) == (
                Outcome.OK,
                "1 bad row(s) in quarantine",
            )
            assert it.run(ALARMS) == [(8, 1)]
            assert it.run("SELECT call, reason FROM fleetsync.quarantine") == [
                ("/alarms", NEEDS_CHANNEL)
            ]
            assert it.cycle(after=30).error_msg is None
            assert replayed(it) == Replayed(1, 0, 0)
        assert replayed(it) == Replayed(1, 1, 1)
        assert it.run(ALARMS) == [(7, None), (8, 1)]
        assert it.run("SELECT count(*) FROM fleetsync.quarantine") == [(0,)]


@pytest.mark.parametrize("character", ["x", '"', "\\", "\n", "\u202e", "Ω", "🚚"])
def test_an_alarm_that_the_table_refuses_is_kept_whole_however_long_it_is(
    database: Database, server: Server, database_name: str, character: str
) -> None:
    long = {"message": character * 2_000, "severity": character * 200}
    with rig(database) as it:
        answers(it, "/alarms", two_alarms(it, channel_id=1, **long))
        it.cycle()
        kept = "SELECT message, severity FROM alarms_log WHERE alarm_id = 7"
        expected = it.run(kept)
        it.run("DELETE FROM alarms_log; UPDATE fleetsync.vehicle_state SET alarms_digest = NULL")
        with table_that_wants_channels(server, database_name):
            answers(it, "/alarms", two_alarms(it, **long))
            it.cycle(after=30)
        assert len(expected[0][0]) == 2_000
        accepted = it.context().accepted_interval
        assert replay(database, Partitions(database), accepted) == Replayed(1, 1, 1)
        assert it.run(kept) == expected


def test_a_backfill_copes_with_a_table_that_wants_a_channel_as_well(
    database: Database, server: Server, database_name: str
) -> None:
    with rig(database) as it:
        it.cycle()
        with table_that_wants_channels(server, database_name):
            answers(it, "/alarms", two_alarms(it))
            it.run(
                "INSERT INTO fleetsync.backfill (vehicle_id, from_at, to_at, reached_at)"
                " VALUES (%s::uuid, %s, %s, %s)",
                *(str(it.vehicle_id), it.start, it.now, it.start),
            )
            assert "complete; 1 bad row(s) in quarantine" in it.backfill()
            assert (8, 1) in it.run(ALARMS)


def test_where_the_table_wants_a_range_the_other_channels_are_stored(
    database: Database, server: Server, database_name: str
) -> None:
    def set_not_null(verb: str) -> None:
        alter = f"ALTER TABLE channel_config ALTER max_value {verb} NOT NULL"
        server.execute(sql.SQL(alter), database=database_name)

    told = [
        {"channel_id": 1, "name": "Door", "unit": None},
        {"channel_id": 2, "name": "Speed", "phys_min": 0, "phys_max": 9},
    ]
    stored = "SELECT channel_id, max_value FROM channel_config ORDER BY 1"
    with rig(database) as it:
        set_not_null("SET")
        answers(it, "/channels", told)
        assert it.cycle().error_msg == "1 bad row(s) in quarantine"
        assert it.run(stored) == [(2, 9.0)]
        assert it.run("SELECT call, reason FROM fleetsync.quarantine") == [
            ("/channels", NEEDS_RANGE)
        ]
        # Told until it is mended, and kept once.
        assert it.cycle(after=30).error_msg == "1 bad row(s) in quarantine"
        set_not_null("DROP")
        accepted = it.context().accepted_interval
        assert replay(database, Partitions(database), accepted) == Replayed(1, 1, 1)
        assert it.run(stored) == [(1, None), (2, 9.0)]


def test_channels_that_all_lack_a_range_are_stored_once_the_table_takes_them(
    database: Database, server: Server, database_name: str
) -> None:
    def alter(verb: str) -> None:
        statement = "ALTER TABLE channel_config ALTER min_value {0} NOT NULL"
        server.execute(sql.SQL(statement.format(verb)), database=database_name)

    told = [{"channel_id": number, "name": "Door", "unit": None} for number in (1, 2)]
    with rig(database) as it:
        alter("SET")
        answers(it, "/channels", told)
        for _ in range(3):
            assert it.cycle(after=30).outcome is Outcome.OK
        assert it.run("SELECT count(*) FROM fleetsync.quarantine") == [(2,)]
        assert it.run("SELECT count(*) FROM channel_config") == [(0,)]
        alter("DROP")
        it.cycle(after=30)
        assert it.run("SELECT channel_id FROM channel_config ORDER BY 1") == [(1,), (2,)]


def test_any_other_null_is_the_databases_error(
    database: Database, server: Server, database_name: str
) -> None:
    with rig(database) as it:
        add = "ALTER TABLE public.alarms_log ADD COLUMN owner text NOT NULL"
        server.execute(sql.SQL(add), database=database_name)
        answers(it, "/alarms", two_alarms(it))
        assert "alarms will be asked for again (null value in column" in str(it.cycle().error_msg)
        assert it.run(ALARMS) == []
