"""That PostgreSQL's disk is full is told although no notice can be written then, and its end."""

from dataclasses import replace
from datetime import timedelta
from functools import partial
from uuid import UUID

import pytest
from psycopg2 import sql

from fleetsyncd.conditions.model import Terms
from fleetsyncd.database import notices, vehicles
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.schema import notice_checks
from fleetsyncd.database.schema.notice_checks import check_disk
from fleetsyncd.database.views.storage import DiskUnknown, Keep, storage
from fleetsyncd.demo.embedded import Server
from fleetsyncd.errors import DatabaseFull
from fleetsyncd.findings import Level
from fleetsyncd.monitoring import events
from fleetsyncd.notify.targets import load_targets
from fleetsyncd.sync.full_disk import ROOM_SEC
from fleetsyncd.sync.loss_notices import LOST_SEC
from fleetsyncd.sync.notice_sender import NoticeSender
from fleetsyncd.sync.notifier import JUDGED_SEC, Notices, Notifier
from fleetsyncd.time_limits import no_deadline
from fleetsyncd.times import utc_now
from tests.full_disk import refuse_rows, take_rows
from tests.integration.test_notices import ask, let_pass, set_down
from tests.targets import Service

FULL = "PostgreSQL's disk is full since 2m: nothing more can be stored"


class Watch:
    """A daemon's notifier over a clock of its own; what is spawned runs at once."""

    def __init__(self, database: Database, chat: Service) -> None:
        self.clock = 1000.0
        self.chat = chat
        targets = load_targets([chat.url], None)
        sender = NoticeSender(database, targets, no_deadline, utc_now)
        self.notifier = Notifier(
            database,
            Notices(sender, Terms(timedelta(minutes=10)), None, Keep(), "it"),
            sync_interval_sec=30.0,
            now=utc_now,
            spawn=lambda work: work(),
            on_database_error=lambda error: pytest.fail(str(error)),
            clock=lambda: self.clock,
        )
        self.database = database
        self.go_on(120.0)

    def go_on(self, seconds: float) -> list[str]:
        """Let time pass; return what the target was told meanwhile."""
        before = len(self.chat.titles)
        for _ in range(round(seconds / JUDGED_SEC)):
            self.clock += JUDGED_SEC
            self.database.run(_judge_again)
            self.notifier.run_if_due(self.clock)
            self.notifier.listen(events.Alive())
        return self.chat.titles[before:]


def _judge_again(cursor: Cursor) -> None:
    cursor.execute("UPDATE fleetsync.condition SET told_at = told_at - interval '10 s'")


@pytest.fixture
def truck(database: Database) -> UUID:
    return database.run(lambda c: vehicles.add_vehicle(c, "Truck-01", "10.8.0.1", 8001, None))


class Disk:
    """Tables for which the disk is full, and has room again."""

    def __init__(self, server: Server, database_name: str) -> None:
        self.fill = partial(refuse_rows, server, database_name)
        self.free = partial(take_rows, server, database_name)


@pytest.fixture
def disk(server: Server, database_name: str) -> Disk:
    return Disk(server, database_name)


def test_a_full_disk_is_told_once_and_that_there_is_room_again(
    database: Database, chat: Service, truck: UUID, disk: Disk
) -> None:
    watch = Watch(database, chat)
    set_down(database, truck)
    disk.fill("fleetsync.notice")
    assert watch.go_on(LOST_SEC) == []
    assert watch.go_on(JUDGED_SEC) == [FULL]
    assert watch.go_on(3 * LOST_SEC) == []
    disk.free("fleetsync.notice")
    (over,) = watch.go_on(ROOM_SEC + 2 * JUDGED_SEC)
    assert over.startswith("PostgreSQL's disk has room again, after ")
    let_pass(database)
    assert watch.go_on(2 * JUDGED_SEC) == ["Truck-01 has not been pulled for 11m: timeout"]


def test_as_long_as_new_rows_are_refused_there_is_no_room_although_nothing_is_to_be_told(
    database: Database, chat: Service, truck: UUID, disk: Disk
) -> None:
    watch = Watch(database, chat)
    set_down(database, truck)
    disk.fill("fleetsync.notice")
    assert watch.go_on(LOST_SEC + JUDGED_SEC) == [FULL]
    database.run(lambda c: c.execute("UPDATE vehicles SET sync_status = 'ok'"))
    assert watch.go_on(5 * ROOM_SEC) == []


def test_a_message_whose_delivery_cannot_be_recorded_is_not_sent_again_and_again(
    database: Database, chat: Service, truck: UUID, disk: Disk
) -> None:
    watch = Watch(database, chat)
    set_down(database, truck)
    watch.go_on(JUDGED_SEC)
    let_pass(database)
    disk.fill("fleetsync.notice", "fleetsync.notice_delivery")
    told = []
    for _ in range(20):
        told += watch.go_on(60.0)
        ask(database, "UPDATE fleetsync.notice_target SET taken_until = NULL, sent_at = NULL")
    assert told == ["Truck-01 has not been pulled for 11m: timeout", FULL]


def test_what_is_tried_for_room_is_told_to_nobody(database: Database) -> None:
    database.run(notices.try_room)
    assert ask(database, "SELECT id FROM fleetsync.notice") == []


def test_a_full_disk_is_an_error_of_its_own(database: Database, disk: Disk) -> None:
    disk.fill("fleetsync.notice")
    with pytest.raises(DatabaseFull, match="free space on the database's disk"):
        database.run(notices.try_room)


@pytest.mark.parametrize("why", DiskUnknown)
def test_doctor_says_what_to_do_wherever_the_disk_is(
    database: Database, monkeypatch: pytest.MonkeyPatch, why: DiskUnknown
) -> None:
    found = replace(database.run(storage), free=why)
    monkeypatch.setattr(notice_checks, "storage", lambda _cursor: found)
    (finding,) = database.run(lambda c: list(notice_checks.check_disk(c)))
    assert finding.level is Level.WARNING
    assert finding.text.endswith(why)
    assert finding.remedy


def test_doctor_says_how_to_have_the_disk_watched(
    server: Server, database: Database, database_name: str
) -> None:
    (hidden,) = database.run(lambda c: list(check_disk(c)))
    assert hidden.level is Level.WARNING
    assert hidden.remedy is not None
    assert hidden.remedy.startswith("as a superuser: GRANT pg_read_all_settings TO ")
    grant = hidden.remedy.removeprefix("as a superuser: ")
    server.execute(sql.SQL(grant), database=database_name)
    try:
        (seen,) = database.run(lambda c: list(check_disk(c)))
    finally:
        server.execute(
            sql.SQL(grant.replace("GRANT", "REVOKE").replace(" TO ", " FROM ")),
            database=database_name,
        )
    assert (seen.level, "are left" in seen.text) == (Level.OK, True)
