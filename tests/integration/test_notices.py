"""Notices: written with what they are about, sent at least once, never in a flood."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from fleetsyncd import slices
from fleetsyncd.conditions.alarms import alarm_notices, are_fresh
from fleetsyncd.conditions.model import Terms
from fleetsyncd.database import conditions, notices, outbox, pausing, vehicles
from fleetsyncd.database.outbox import RECORDED_AT_ONCE
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.schema import notice_checks
from fleetsyncd.database.views.notices import Fate, read_notices
from fleetsyncd.demo.embedded import Server
from fleetsyncd.monitoring import events
from fleetsyncd.notices import (
    DETAIL_LIMIT,
    TITLE_LIMIT,
    Notice,
    NoticeKind,
    Subject,
    Weight,
)
from fleetsyncd.notify import targets as sending
from fleetsyncd.notify.digest import Message
from fleetsyncd.notify.refusals import NotSent
from fleetsyncd.notify.targets import Target, load_targets
from fleetsyncd.severities import Severity
from fleetsyncd.states import Pause
from fleetsyncd.sync.notice_sender import NoticeSender
from fleetsyncd.telemetry import Alarm
from fleetsyncd.time_limits import no_deadline
from fleetsyncd.times import utc_now
from tests.integration.rig import rig
from tests.integration.test_adoption import as_owner
from tests.targets import Service, respond, takes

TERMS = Terms(timedelta(minutes=10))
VIEW = conditions.View(30)
MINUTE = "1 minute"


@pytest.fixture
def truck(database: Database) -> UUID:
    return database.run(lambda c: vehicles.add_vehicle(c, "Truck-01", "10.8.0.1", 8001, None))


def ask(database: Database, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
    def work(cursor: Cursor) -> list[tuple[Any, ...]]:
        cursor.execute(statement, arguments)
        return cursor.fetchall() if cursor.description else []

    return database.run(work)


def sender(database: Database, *found: Target) -> NoticeSender:
    made = NoticeSender(database, found, no_deadline, utc_now)
    made.note_targets()
    return made


def tell(database: Database, *titles: str, severity: Weight = Weight.CRITICAL) -> None:
    found = [Notice(NoticeKind.DOWN, severity, title) for title in titles]
    database.run(lambda cursor: notices.add_notices(cursor, found))


def let_pass(database: Database, length: str = MINUTE) -> None:
    """Let everything that is remembered be so much older."""
    ask(database, "UPDATE fleetsync.notice SET at = at - %s::interval", length)
    ask(
        database,
        "UPDATE fleetsync.notice_target SET since = since - %(l)s::interval,"
        " sent_at = sent_at - %(l)s::interval, next_at = next_at - %(l)s::interval,"
        " taken_until = taken_until - %(l)s::interval,"
        " failing_since = failing_since - %(l)s::interval".replace("%(l)s", f"'{length}'"),
    )


def outcomes(database: Database) -> list[tuple[Any, ...]]:
    return ask(
        database,
        "SELECT n.title, d.outcome FROM fleetsync.notice n JOIN fleetsync.notice_delivery d"
        " ON d.notice_id = n.id ORDER BY n.id",
    )


def test_what_becomes_true_within_half_a_minute_goes_out_together(
    database: Database, chat: Service
) -> None:
    it = sender(database, *load_targets([chat.url], None))
    tell(database, "a")
    it.send_all()
    assert chat.titles == []
    let_pass(database, "31 s")
    tell(database, "b", "c")
    it.send_all()
    assert chat.titles == ["3 vehicles down"]
    assert outcomes(database) == [("a", "sent"), ("b", "sent"), ("c", "sent")]
    it.send_all()
    assert len(chat.titles) == 1


def test_a_target_gets_one_message_a_minute(database: Database, chat: Service) -> None:
    it = sender(database, *load_targets([chat.url], None))
    tell(database, "a")
    let_pass(database, "31 s")
    it.send_all()
    tell(database, "b")
    let_pass(database, "31 s")
    it.send_all()
    assert chat.titles == ["a"]
    let_pass(database, "31 s")
    it.send_all()
    assert chat.titles == ["a", "b"]


def tell_many(database: Database, kind: str, count: int, severity: str = "critical") -> None:
    ask(
        database,
        "INSERT INTO fleetsync.notice (kind, severity, title, vehicle_id, vehicle_name)"
        " SELECT %s, %s, 'number ' || n, gen_random_uuid(), 'Truck'"
        " FROM generate_series(1, %s) n",
        kind,
        severity,
        count,
    )


def test_any_backlog_is_told_by_the_next_message(database: Database, chat: Service) -> None:
    heard: list[events.Event] = []
    targets = load_targets([chat.url], None)
    it = NoticeSender(database, targets, no_deadline, utc_now, heard.append)
    it.note_targets()
    tell_many(database, "alarm", 2 * RECORDED_AT_ONCE + 1, "warning")
    tell_many(database, "down", 7)
    let_pass(database)
    it.tell_backlog()
    it.send_all()
    (message,) = chat.messages
    assert message["title"] == "20,001 vehicles with alarms, 7 vehicles down"
    lines = message["message"].splitlines()
    assert lines[:7] == [f"- number {number}" for number in range(1, 8)], "the gravest first"
    assert lines[-1] == "- and 19,998 more: `fleetsyncd notify list`"
    assert ask(
        database, "SELECT outcome, count(*) FROM fleetsync.notice_delivery GROUP BY outcome"
    ) == [("sent", 20_008)]
    kinds = {NoticeKind.ALARM: 20_001, NoticeKind.DOWN: 7}
    assert heard == [
        events.NoticesWait(kinds, failing_targets=0),
        events.NoticesEnded(kinds, is_sent=True),
    ]


def test_an_outage_stands_for_the_vehicles_that_were_down_a_moment_before_it(
    database: Database, chat: Service
) -> None:
    it = sender(database, *load_targets([chat.url], None))
    tell_many(database, "down", 5)
    let_pass(database, "3 minutes")
    tell_many(database, "down", 300)
    let_pass(database)
    lost = Notice(NoticeKind.OUTAGE, Weight.CRITICAL, "300 of 300 vehicles cannot be pulled")
    database.run(lambda cursor: notices.add_notices(cursor, [lost]))
    let_pass(database)
    it.send_all()
    (message,) = chat.messages
    assert sorted(message["title"].split(", ")) == ["1 outage", "5 vehicles down"]
    assert message["message"].splitlines()[0].endswith(f"UTC {lost.title}")
    assert ask(database, "SELECT count(*) FROM fleetsync.notice_delivery") == [(306,)]
    it.send_all()
    assert len(chat.messages) == 1


def tell_of(
    database: Database, vehicle: Subject | None, title: str, severity: Weight, kind: NoticeKind
) -> None:
    found = [Notice(kind, severity, title, vehicle=vehicle)]
    database.run(lambda cursor: notices.add_notices(cursor, found))
    let_pass(database)


@pytest.mark.parametrize("kind", [NoticeKind.DOWN, NoticeKind.OUTAGE])
def test_what_is_over_before_it_was_told_is_told_as_over(
    database: Database, chat: Service, kind: NoticeKind
) -> None:
    it = sender(database, *load_targets([chat.url], None))
    truck = Subject(UUID(int=1), "Truck-01") if kind is NoticeKind.DOWN else None
    tell_of(database, truck, "it has begun", Weight.CRITICAL, kind)
    tell_of(database, truck, "it is over, after 3h", Weight.INFO, kind)
    it.send_all()
    (message,) = chat.messages
    assert (message["title"], message["type"]) == ("it is over, after 3h", "success")
    assert len(outcomes(database)) == 2
    let_pass(database)
    tell_of(database, truck, "a", Weight.INFO, kind)
    tell_of(database, truck, "it has begun again", Weight.CRITICAL, kind)
    it.send_all()
    assert chat.titles[1:] == ["it has begun again"], "how it stands"


def test_vehicles_are_counted_and_not_what_is_told_of_them(
    database: Database, chat: Service
) -> None:
    it = sender(database, *load_targets([chat.url], None))
    one, other = Subject(UUID(int=1), "Truck-01"), Subject(UUID(int=2), "Truck-02")
    for number in range(9):
        tell_of(database, one, f"hot {number}", Weight.WARNING, NoticeKind.ALARM)
        tell_of(database, other, f"still down {number}", Weight.CRITICAL, NoticeKind.DOWN)
    tell_of(database, one, "down", Weight.CRITICAL, NoticeKind.DOWN)
    it.send_all()
    (message,) = chat.messages
    assert message["title"] == "2 vehicles down, 1 vehicle with alarms"
    lines = message["message"].splitlines()
    assert [line.rpartition("UTC ")[2] for line in lines[:2]] == ["still down 8", "down"]
    assert lines[-1] == "- and 1 more: `fleetsyncd notify list`"


def test_a_target_that_gets_too_many_messages_is_left_alone_for_longer(
    database: Database, chat: Service
) -> None:
    heard: list[events.Event] = []
    it = NoticeSender(database, load_targets([chat.url], None), no_deadline, utc_now, heard.append)
    it.note_targets()
    chat.answer = lambda handler: respond(handler, 429, Retry_After="240")
    tell(database, "a")
    let_pass(database)
    it.send_all()
    [(wait,)] = ask(database, "SELECT next_at - now() FROM fleetsync.notice_target")
    assert round(wait.total_seconds() / 10) == 24
    it.tell_backlog()
    assert heard[0] == events.MessageRefused()
    assert heard[1] == events.NoticesWait({NoticeKind.DOWN: 1}, failing_targets=1)


@pytest.mark.parametrize("status", [413, 400])
def test_a_message_that_is_refused_for_its_length_is_sent_in_brief(
    database: Database, chat: Service, status: int
) -> None:
    def refuse_long(handler: Any) -> None:
        longest = max(len(chat.messages[-1]["message"]), len(chat.messages[-1]["title"]))
        respond(handler, status if longest > 100 else 200)

    chat.answer = refuse_long
    it = sender(database, *load_targets([chat.url], None))
    tell(database, *(f"{number} " + "x" * 190 for number in range(20)))
    let_pass(database)
    it.send_all()
    assert [each["title"] for each in chat.messages] == ["20 vehicles down"] * 2
    assert chat.messages[-1]["message"] == "See `fleetsyncd notify list`."
    assert {outcome for _title, outcome in outcomes(database)} == {"sent"}


@pytest.mark.parametrize("titles", [["evil"], ["evil", "good"]])
@pytest.mark.parametrize("status", [400, 422])
def test_a_text_that_a_target_refuses_harms_its_own_message_alone(
    database: Database, chat: Service, titles: list[str], status: int
) -> None:
    def refuse_evil(handler: Any) -> None:
        last = chat.messages[-1]
        respond(handler, status if "evil" in last["title"] + last["message"] else 200)

    chat.answer = refuse_evil
    it = sender(database, *load_targets([chat.url], None))
    tell(database, *titles)
    let_pass(database)
    it.send_all()
    assert chat.titles[-1] == ("1 vehicle down" if len(titles) == 1 else "2 vehicles down")
    assert chat.messages[-1]["message"] == "See `fleetsyncd notify list`."
    assert outcomes(database) == [(title, "sent") for title in titles]
    tell(database, "next")
    let_pass(database)
    it.send_all()
    assert chat.titles[-1] == "next"


@pytest.mark.parametrize(("status", "requests"), [(400, 3), (401, 1), (404, 1), (429, 1), (500, 1)])
def test_a_target_that_refuses_everything_is_asked_a_few_times_and_then_left_alone(
    database: Database, chat: Service, status: int, requests: int
) -> None:
    chat.answer = lambda handler: respond(handler, status)
    it = sender(database, *load_targets([chat.url], None))
    tell(database, "x" * 190)
    let_pass(database)
    it.send_all()
    it.send_all()
    assert len(chat.messages) == requests
    [(failures, error)] = ask(database, "SELECT failures, last_error FROM fleetsync.notice_target")
    assert failures == 1
    assert str(status) in error
    assert outcomes(database) == []


HOSTILE = "<b>@everyone</b> *a* `b` \x1b[31m\r\n\0\u202e" + "x" * 10_000


def test_a_hostile_name_harms_its_own_line_at_most(
    database: Database, chat: Service, truck: UUID
) -> None:
    it = sender(database, *load_targets([chat.url], None))
    subject = Subject(truck, HOSTILE)
    found = [
        Notice(NoticeKind.ALARM, Weight.CRITICAL, f"{HOSTILE} is hot", HOSTILE, subject),
        Notice(NoticeKind.ALARM, Weight.WARNING, "Truck-02 is warm"),
    ]
    database.run(lambda cursor: notices.add_notices(cursor, found))
    let_pass(database)
    it.send_all()
    (message,) = chat.messages
    bad, good = message["message"].splitlines()
    assert good == "- Truck-02 is warm"
    assert len(bad) <= 210
    assert "@everyone" not in message["message"]
    assert not {"\x1b", "\r", "\0", "\u202e"} & set(message["message"])


def test_doctor_tells_the_last_failure_of_a_target_and_what_waits(
    database: Database, chat: Service
) -> None:
    it = sender(database, *load_targets([chat.url], None))

    def found() -> list[str]:
        return database.run(
            lambda c: [f"{each.level}: {each.text}" for each in notice_checks.check_notices(c)]
        )

    assert "nothing was sent to it yet" in found()[0]
    chat.answer = lambda handler: respond(handler, 503)
    tell(database, "a")
    let_pass(database)
    it.send_all()
    assert "has taken no message since" in found()[0]
    assert found()[1] == "ok: 1 notice waiting for the next message"
    let_pass(database, "1 hour")
    assert found()[1].startswith("WARNING: 1 notice waiting, the oldest for ")
    chat.answer = takes
    it.send_all()
    (told,) = found()
    assert told.startswith("ok")
    assert "the last message was sent" in told
    assert "failed last" in told
    assert "503" in told


def test_a_target_that_was_taken_out_counts_no_more_while_others_are_used(
    database: Database, chat: Service
) -> None:
    one, other = load_targets([chat.url, chat.url + "-old"], None)
    it = sender(database, one, other)
    chat.answer = lambda handler: respond(handler, 503 if "old" in handler.path else 200)
    tell(database, "a")
    let_pass(database)
    it.send_all()

    def counted() -> tuple[int, int, bool]:
        fates = [each.fate for told in database.run(read_notices) for each in told.deliveries]
        found = database.run(notices.targets), database.run(notices.backlog)
        return len(found[0]), found[1].total, Fate.WAITS in fates

    assert counted() == (2, 1, True)
    ask(database, "UPDATE fleetsync.notice_target SET seen_at = seen_at - interval '11 minutes'")
    assert counted() == (2, 1, True), "no daemon runs, and what waits for them waits on"
    sender(database, one)
    assert counted() == (1, 0, False)


def test_a_new_target_hears_of_nothing_that_was_before_it(
    database: Database, chat: Service
) -> None:
    tell(database, "a")
    let_pass(database, "1 hour")
    it = sender(database, *load_targets([chat.url], None))
    it.send_all()
    tell(database, "b")
    let_pass(database)
    it.send_all()
    assert chat.titles == ["b"]


def test_a_target_that_fails_is_tried_again_after_growing_pauses_and_gets_everything(
    database: Database, chat: Service, caplog: pytest.LogCaptureFixture
) -> None:
    it = sender(database, *load_targets([chat.url], None))
    chat.answer = lambda handler: respond(handler, 503)
    tell(database, "a")
    let_pass(database)
    waits = []
    for _ in range(4):
        it.send_all()
        [(wait, error)] = ask(
            database, "SELECT next_at - now(), last_error FROM fleetsync.notice_target"
        )
        waits.append(round(wait.total_seconds() / 30))
        assert "503" in error
        it.send_all()
        let_pass(database, "1 hour")
    assert waits == [1, 2, 4, 8]
    assert len(chat.titles) == 4, "none while it has to be left alone"
    chat.answer = takes
    tell(database, "b")
    let_pass(database)
    it.send_all()
    assert chat.titles[-1] == "2 vehicles down"
    assert [message for message in caplog.messages if "tried again for a day" in message]
    assert ask(database, "SELECT failures, failing_since FROM fleetsync.notice_target") == [
        (0, None)
    ]


def test_what_no_target_took_within_a_day_is_given_up_and_told(
    database: Database, chat: Service, caplog: pytest.LogCaptureFixture
) -> None:
    it = sender(database, *load_targets([chat.url], None))
    tell(database, "a")
    let_pass(database, "24 hours 1 minute")
    tell(database, "b")
    let_pass(database)
    it.send_all()
    assert chat.titles == ["b"]
    assert outcomes(database) == [("a", "given up"), ("b", "sent")]
    assert "1 notice within a day: given up" in caplog.text
    listed = database.run(lambda cursor: read_notices(cursor, limit=10))
    fates = [[delivery.fate for delivery in each.deliveries] for each in listed]
    assert fates == [[Fate.SENT], [Fate.GIVEN_UP]]


def test_a_target_gets_what_it_wants_and_a_broken_one_delays_no_other(
    database: Database, chat: Service, tmp_path: Any
) -> None:
    config = tmp_path / "apprise.yaml"
    config.write_text(f"urls:\n  - {chat.url}/broken\n  - {chat.url}/grave:\n    - tag: critical\n")
    config.chmod(0o600)
    it = sender(database, *load_targets([], str(config)))
    chat.answer = lambda handler: respond(handler, 503 if "broken" in handler.path else 200)
    tell(database, "grave")
    tell(database, "light", severity=Weight.INFO)
    let_pass(database)
    it.send_all()
    assert sorted(chat.paths) == ["/s3cret-token/broken", "/s3cret-token/grave"]
    assert chat.titles[chat.paths.index("/s3cret-token/grave")] == "grave"
    assert outcomes(database) == [("grave", "sent"), ("light", "not for it")]


@pytest.mark.parametrize("answers", [503, 200])
def test_what_is_not_for_a_target_does_not_wait_for_it_while_it_has_to_be_left_alone(
    database: Database, chat: Service, tmp_path: Any, answers: int
) -> None:
    config = tmp_path / "apprise.yaml"
    config.write_text(f"urls:\n  - {chat.url}:\n    - tag: critical\n")
    config.chmod(0o600)
    it = sender(database, *load_targets([], str(config)))
    chat.answer = lambda handler: respond(handler, answers)
    tell(database, "grave")
    let_pass(database)
    it.send_all()
    tell(database, "light", severity=Weight.INFO)
    tell(database, "grave too")
    it.send_all()
    assert len(chat.titles) == 1, "it is left alone"
    assert ("light", "not for it") in outcomes(database)
    left = database.run(notices.backlog).total
    assert left == (1 if answers == 200 else 2)
    chat.answer = takes
    let_pass(database)
    it.send_all()
    assert chat.titles[-1] == ("grave too" if answers == 200 else "2 vehicles down")


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_daemon_that_is_killed_while_it_sends_loses_nothing(
    database: Database, chat: Service, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    (target,) = load_targets([chat.url], None)
    it = sender(database, target)
    tell(database, "a")
    let_pass(database)
    send = Target.send

    def die(self: Target, *arguments: Any) -> None:
        if where == "after":
            send(self, *arguments)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Target, "send", die)
        with pytest.raises(Killed):
            it.send_all()
    other = sender(database, target)
    other.send_all()
    assert len(chat.titles) == (where == "after"), "it is still taken by the dead one"
    let_pass(database, "2 minutes")
    other.send_all()
    assert chat.titles == ["a"] * (1 + (where == "after")), "doubled at most what was in flight"


def test_two_daemons_never_send_the_same(database: Database, chat: Service) -> None:
    (target,) = load_targets([chat.url], None)
    one, other = sender(database, target), sender(database, target)
    tell(database, "a")
    let_pass(database)
    taken = database.run(
        partial(
            outbox.take,
            target=target.name,
            pause=timedelta(minutes=1),
            lease=timedelta(minutes=2),
        )
    )
    assert taken is not None
    assert [each.notice.title for each in taken.named] == ["a"]
    one.send_all()
    other.send_all()
    assert chat.titles == []


def test_of_two_daemons_that_take_a_target_at_once_one_gets_it(
    database: Database, chat: Service
) -> None:
    (target,) = load_targets([chat.url], None)
    sender(database, target)
    tell(database, "a")
    let_pass(database)
    take = partial(
        outbox.take, target=target.name, pause=timedelta(minutes=1), lease=timedelta(minutes=2)
    )
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _n: database.run(take), range(4)))
    assert sum(each is not None for each in found) == 1


def test_what_waited_for_a_target_whose_secret_is_renewed_is_sent_by_the_new_one(
    database: Database, chat: Service
) -> None:
    it = sender(database, *load_targets([chat.url], None))
    chat.answer = lambda handler: respond(handler, 401)
    tell(database, "a")
    let_pass(database)
    it.send_all()
    let_pass(database, "1 hour")
    chat.answer = takes
    renewed = sender(database, *load_targets([chat.url + "-new"], None))
    tell(database, "b")
    let_pass(database)
    renewed.send_all()
    assert chat.titles == ["a", "2 vehicles down"]
    assert outcomes(database) == [("a", "sent"), ("b", "sent")]


def test_what_waits_for_a_target_that_is_called_otherwise_is_neither_lost_nor_told_twice(
    database: Database, chat: Service
) -> None:
    (target,) = load_targets([chat.url], None)
    it = sender(database, replace(target, name=f"{target.name}0ld"))
    tell(database, "a")
    let_pass(database)
    it.send_all()
    tell(database, "b")
    let_pass(database)
    renamed = sender(database, target)
    renamed.send_all()
    assert chat.titles == ["a", "b"]


def test_a_target_on_another_host_hears_nothing_of_what_waited_for_one_that_was_removed(
    database: Database, chat: Service
) -> None:
    (target,) = load_targets([chat.url], None)
    sender(database, replace(target, name="json://elsewhere#123456"))
    tell(database, "a")
    let_pass(database)
    other = sender(database, target)
    other.send_all()
    assert chat.titles == []


def test_a_kind_that_a_newer_daemon_tells_of_stops_no_older_one(
    database: Database, chat: Service, truck: UUID
) -> None:
    it = sender(database, *load_targets([chat.url], None))
    ask(
        database,
        "INSERT INTO fleetsync.notice (kind, severity, title) VALUES ('weather', 'info', 'rain')",
    )
    ask(
        database,
        "INSERT INTO fleetsync.condition (kind, subject, since) VALUES ('weather', '', now())",
    )
    tell(database, "a")
    let_pass(database)
    it.send_all()
    assert chat.titles == ["a"]
    set_down(database, truck)
    assert len(judged(database)) == 1
    assert len(database.run(lambda cursor: read_notices(cursor, limit=9))) == 2


def test_the_fleet_is_judged_so_often_whichever_daemon_does_it(
    database: Database, truck: UUID
) -> None:
    often = conditions.View(30, every=timedelta(seconds=9))
    judge = partial(conditions.judge_fleet, terms=TERMS, view=often)
    assert database.run(judge) is not None
    assert database.run(judge) is None
    ask(database, "UPDATE fleetsync.condition SET told_at = told_at - interval '9 s'")
    assert database.run(judge) is not None
    assert truck


def test_a_vehicle_that_is_resumed_is_not_said_to_be_down_since_its_pause(
    database: Database, truck: UUID
) -> None:
    set_down(database, truck, "8 hours")
    ask(
        database,
        "INSERT INTO fleetsync.vehicle_state (vehicle_id, resumed_at) VALUES (%s::uuid, now())"
        " ON CONFLICT (vehicle_id) DO UPDATE SET resumed_at = now()",
        str(truck),
    )
    assert judged(database) == []


def test_a_pause_that_has_ended_by_itself_counts_before_a_daemon_has_tidied_it_up(
    database: Database, truck: UUID
) -> None:
    set_down(database, truck, "8 hours")
    pause = Pause(utc_now() + timedelta(hours=1), "workshop")
    database.run(lambda c: pausing.set_paused(c, truck, True, pause))
    ended = "UPDATE fleetsync.vehicle_state SET paused_until = now() - %s::interval"
    ask(database, ended, "9 minutes")
    assert judged(database) == []
    ask(database, ended, "11 minutes")
    assert judged(database) == ["Truck-01 has not been pulled for 11m: timeout"]


def test_without_the_database_each_target_is_told_at_once(
    database: Database, chat: Service, caplog: pytest.LogCaptureFixture
) -> None:
    it = NoticeSender(database, load_targets([chat.url], None), no_deadline, utc_now)
    lost = Notice(NoticeKind.DAEMON, Weight.CRITICAL, "PostgreSQL is lost", "db:5432/fleet")
    everybody = it.wanting(lost)
    assert it.send_at_once(lost, everybody) == everybody
    assert chat.titles == ["PostgreSQL is lost"]
    chat.answer = lambda handler: respond(handler, 500)
    assert it.send_at_once(lost, everybody) == set()
    assert "was not told that PostgreSQL is lost" in caplog.text


def test_without_the_database_a_text_that_is_refused_is_told_in_brief_too(
    database: Database, chat: Service
) -> None:
    it = NoticeSender(database, load_targets([chat.url], None), no_deadline, utc_now)
    lost = Notice(NoticeKind.DAEMON, Weight.CRITICAL, "PostgreSQL is lost", "evil:5432/fleet")
    chat.answer = lambda handler: respond(
        handler, 400 if "evil" in chat.messages[-1]["message"] else 200
    )
    everybody = it.wanting(lost)
    assert it.send_at_once(lost, everybody) == everybody
    assert chat.titles == ["PostgreSQL is lost"] * 2


def judged(database: Database) -> list[str]:
    found = database.run(partial(conditions.judge_fleet, terms=TERMS, view=VIEW))
    assert found is not None
    return [each.title for each in found.notices]


def set_down(database: Database, vehicle_id: UUID, age: str = "11 minutes") -> None:
    ask(
        database,
        "UPDATE vehicles SET sync_status = 'timeout', last_sync_at = now() - %s::interval,"
        " created_at = now() - interval '9 days' WHERE id = %s::uuid",
        age,
        str(vehicle_id),
    )


def test_what_is_the_case_is_told_once_whoever_judges(database: Database, truck: UUID) -> None:
    assert judged(database) == []
    set_down(database, truck)
    assert judged(database) == ["Truck-01 has not been pulled for 11m: timeout"]
    assert judged(database) == []
    ask(database, "UPDATE vehicles SET sync_status = 'ok', last_sync_at = now()")
    assert judged(database) == ["Truck-01 is back, after 11m"]
    kinds = ask(database, "SELECT kind, severity, vehicle_id FROM fleetsync.notice ORDER BY id")
    assert kinds == [("down", "critical", str(truck)), ("down", "info", str(truck))]


def test_a_judgement_that_is_rolled_back_tells_nothing_and_the_next_one_does(
    database: Database, truck: UUID
) -> None:
    set_down(database, truck)

    def die(cursor: Cursor) -> None:
        conditions.judge_fleet(cursor, TERMS, VIEW)
        raise Killed

    with pytest.raises(Killed):
        database.run(die)
    assert ask(database, "SELECT count(*) FROM fleetsync.notice") == [(0,)]
    assert len(judged(database)) == 1


def test_nothing_is_told_of_a_vehicle_that_is_muted(database: Database, truck: UUID) -> None:
    set_down(database, truck)
    ask(
        database,
        "INSERT INTO fleetsync.mute (vehicle_id, until, reason, muted_by) VALUES (%s::uuid, now() +"
        " interval '1 hour', 'workshop', 'me')",
        str(truck),
    )
    assert judged(database) == []
    ask(database, "DELETE FROM fleetsync.mute")
    assert judged(database) == ["Truck-01 has not been pulled for 11m: timeout"]


def test_others_run_while_a_large_fleet_is_judged(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 300
    ask(
        database,
        "INSERT INTO vehicles (name, vpn_ip, sync_status, created_at, last_sync_at)"
        " SELECT 'Truck-' || n, inet '10.8.0.0' + n, CASE WHEN n > 9 THEN 'timeout' ELSE 'ok' END,"
        " now() - interval '9 days', now() - interval '20 minutes' FROM generate_series(1, %s) n",
        count,
    )
    pauses: list[None] = []
    monkeypatch.setattr(slices, "SLICE_SEC", 0.0)
    monkeypatch.setattr(slices, "pause", lambda: pauses.append(None))
    assert len(judged(database)) == count - 9
    first = len(pauses)
    assert first > 3 * count / 20, "reading, comparing and writing"
    judged(database)
    assert len(pauses) - first > 3 * count / 20


def test_one_daemon_at_a_time_judges(database: Database, truck: UUID) -> None:
    set_down(database, truck)

    def both(cursor: Cursor) -> object:
        first = conditions.judge_fleet(cursor, TERMS, VIEW)
        assert first is not None
        return database.run(lambda c: conditions.judge_fleet(c, TERMS, VIEW))

    assert database.run(both) is None


def test_owners_see_the_notices_of_their_vehicles_only(
    server: Server, database_name: str, database: Database, truck: UUID
) -> None:
    other = database.run(lambda c: vehicles.add_vehicle(c, "Truck-02", "10.8.0.2", 8001, None))
    found = [
        Notice(NoticeKind.DOWN, Weight.CRITICAL, name, vehicle=Subject(key, name))
        for key, name in ((truck, "mine"), (other, "others"))
    ]
    database.run(lambda cursor: notices.add_notices(cursor, found))
    tell(database, "all")
    user = "11111111-1111-1111-1111-111111111111"
    access = f"INSERT INTO vehicle_access VALUES ('{user}', '{truck}')"  # noqa: S608  ids
    as_owner(server, database_name, access)
    with database.transaction() as cursor:
        cursor.execute(
            "SELECT set_config('app.user_role', 'owner', true),"
            " set_config('app.user_id', %s, true)",
            (user,),
        )
        cursor.execute("SELECT title FROM fleetsync.notice")
        assert cursor.fetchall() == [("mine",)]


def test_grave_alarms_are_told_in_the_transaction_that_stores_them(database: Database) -> None:
    with rig(database, watermark_ago=600) as it:
        it.told_alarms = Severity.INFO
        it.cycle()
        stored = it.run("SELECT count(*), count(resolved_at) FROM alarms_log")
        told = it.run("SELECT title, severity, kind FROM fleetsync.notice ORDER BY id")
        assert stored[0][0], "the simulated vehicle has alarms"
        assert told
        assert {kind for _title, _severity, kind in told} == {"alarm"}
        before = len(told)
        it.cycle(after=0)
        assert len(it.run("SELECT id FROM fleetsync.notice")) == before, "not again"


def alarm(number: int, severity: str, triggered: datetime, resolved: datetime | None) -> Alarm:
    return Alarm(number, 1, severity, f"Coolant {number}", triggered, resolved)


def test_alarms_that_begin_and_end_are_told_and_old_ones_are_not(database: Database) -> None:
    with rig(database, watermark_ago=300) as it:
        vehicle = Subject(it.vehicle_id, it.name)
        now = datetime(2026, 2, 23, 10, tzinfo=UTC)
        begun = [
            alarm(1, "critical", now - timedelta(minutes=5), None),
            alarm(2, "warning", now - timedelta(days=2), now - timedelta(days=1)),
            alarm(3, "warning", now - timedelta(minutes=9), now - timedelta(minutes=2)),
        ]
        (notice,) = alarm_notices(vehicle, are_fresh(begun, now), [])
        assert notice.title == "Truck-01: 2 alarms, the worst critical: Coolant 1"
        assert notice.severity is Weight.CRITICAL
        assert "Coolant 2" not in notice.detail
        (over,) = alarm_notices(vehicle, [], begun[2:])
        assert (over.severity, over.title) == (
            Weight.INFO,
            "Truck-01, warning: Coolant 3 (resolved)",
        )
        flood = [alarm(n, "critical", now, None) for n in range(5_000)]
        (many,) = alarm_notices(vehicle, flood, [])
        assert "4,995 more" in many.detail
        assert len(many.title) < 200


@pytest.mark.parametrize("count", [1, 5_000])
def test_an_alarm_is_told_of_a_vehicle_with_a_long_name(count: int) -> None:
    now = datetime(2026, 2, 23, 10, tzinfo=UTC)
    text = "the coolant is too hot " + "T" * 200
    vehicle = Subject(UUID(int=7), "N" * 197 + "-07")
    alarms = [Alarm(n, 1, "critical" + "S" * 99, text, now, None) for n in range(count)]
    (begun,) = alarm_notices(vehicle, alarms, [])
    (over,) = alarm_notices(vehicle, [], alarms)
    for notice in (begun, over):
        assert len(notice.title) <= TITLE_LIMIT
        assert len(notice.detail) <= DETAIL_LIMIT
        assert "critical" in notice.title
        assert ": the coolant is too hot " in notice.title
    assert begun.title != over.title
    assert (text in begun.detail) is (count == 1)


def test_a_target_that_hangs_ends_with_its_time(
    database: Database, chat: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "SEND_SEC", 0.0)
    (target,) = load_targets([chat.url], None)
    late: list[Exception] = []

    class Late:
        def __init__(self, _seconds: float, error: Any) -> None:
            self.error = error

        def __enter__(self) -> None:
            late.append(self.error())
            raise late[-1]

        def __exit__(self, *_given: object) -> None: ...

    with pytest.raises(NotSent, match="no answer within 0 s"):
        target.send(Message("t", "b", Weight.INFO), Late)
    assert ask(database, "SELECT 1") == [(1,)]
