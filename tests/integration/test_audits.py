"""The past is asked for again: what is missing is stored, what is different is told."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from http import HTTPStatus

import pytest

from fleetsyncd.budgets import VehicleBudget
from fleetsyncd.database import audits, repairs
from fleetsyncd.database.pool import Database
from fleetsyncd.demo import readings
from fleetsyncd.demo.embedded import Server
from fleetsyncd.errors import CommandError
from fleetsyncd.models import Window
from fleetsyncd.times import floor_ms
from tests.integration.rig import Ask, Reply, Rig, rig
from tests.integration.test_adoption import as_owner

MINUTE = 60.0


@pytest.fixture
def pulled(database: Database) -> Iterator[Rig]:
    """A vehicle of which ten minutes are stored."""
    with rig(database, watermark_ago=10 * MINUTE, channels=3) as it:
        it.cycle()
        yield it


def measured(it: Rig, channel: int | None = None, ago: float = 9 * MINUTE) -> int:
    """Return how many values the vehicle has measured: at times a channel has none."""
    begin, end = (round((it.now.timestamp() - since) * 1000) for since in (ago, 0))
    rows = readings.rows(it.simulated.seed, begin, end, channel, channels=it.simulated.channels)
    return sum(value is not None for _channel, _at, value in rows)


def request(it: Rig, ago: float = 9 * MINUTE, *, report_only: bool = False) -> Window:
    start = it.now - timedelta(seconds=ago)
    return it.database.run(
        lambda c: audits.request_audit(c, it.vehicle_id, start, it.now, report_only=report_only)
    )


def lose(it: Rig, since: float, until: float = 0) -> int:
    """Delete the rows of a time, in seconds before now; return how many there were."""
    begin, end = (it.now - timedelta(seconds=ago) for ago in (since, until))
    return len(
        it.run("DELETE FROM measurements WHERE time >= %s AND time < %s RETURNING 1", begin, end)
    )


def counts(it: Rig) -> tuple[int, int, int, int]:
    """Return what the vehicle's last audit has found."""
    statement = "SELECT checked, missing, different, gone FROM fleetsync.audit"
    checked, missing, different, gone = it.run(statement)[0]
    return checked, missing, different, gone


def stored(it: Rig) -> list[tuple[object, ...]]:
    return it.run("SELECT channel_id, time, value FROM measurements ORDER BY 1, 2")


def reached(it: Rig) -> datetime:
    watermark = it.watermark()
    assert watermark is not None
    return watermark


def begin_to_look(it: Rig, *ages: int) -> None:
    """Let looks of these ages begin with all that is stored."""
    first = it.start
    for age in ages:
        it.run(
            "INSERT INTO fleetsync.verified (vehicle_id, age_sec, verified_to, looked_to)"
            " SELECT id, %s, %s, %s FROM vehicles",
            age,
            first,
            first,
        )


def test_an_audit_of_what_is_all_stored_finds_nothing(pulled: Rig) -> None:
    before = stored(pulled)
    request(pulled)
    text = pulled.audit()
    assert text.endswith(f"{measured(pulled):,} row(s) checked: nothing missing or different")
    assert counts(pulled) == (measured(pulled), 0, 0, 0)
    assert stored(pulled) == before
    assert pulled.audit() == "none"


def test_missing_rows_are_stored_and_told(pulled: Rig) -> None:
    before = stored(pulled)
    lost = lose(pulled, 300, 280)
    assert lost
    request(pulled)
    assert f"{lost} missing, stored now" in pulled.audit()
    assert counts(pulled) == (measured(pulled), lost, 0, 0)
    assert stored(pulled) == before
    assert pulled.journal()[-1][:2] == ("ok", lost)


def test_an_audit_that_only_reports_stores_nothing(pulled: Rig) -> None:
    lost = lose(pulled, 300, 280)
    before = stored(pulled)
    request(pulled, report_only=True)
    assert f"{lost} missing, not stored" in pulled.audit()
    assert counts(pulled) == (measured(pulled), lost, 0, 0)
    assert stored(pulled) == before


def test_other_values_are_told_and_left_as_they_are(
    pulled: Rig, server: Server, database_name: str
) -> None:
    as_owner(
        server,
        database_name,
        "SELECT set_config('app.user_role', 'superuser', false)",
        "UPDATE measurements SET value = value + 1 WHERE channel_id = 1 AND time ="
        " (SELECT min(time) FROM measurements WHERE time > now() - interval '5 minutes')",
    )
    before = stored(pulled)
    request(pulled)
    assert "1 stored with another value, left as it is" in pulled.audit()
    assert counts(pulled) == (measured(pulled), 0, 1, 0)
    assert stored(pulled) == before


def test_values_are_compared_as_the_column_stores_them(
    pulled: Rig, server: Server, database_name: str
) -> None:
    as_owner(server, database_name, "ALTER TABLE public.measurements ALTER value TYPE numeric")
    request(pulled)
    pulled.audit()
    assert counts(pulled) == (measured(pulled), 0, 0, 0)


def test_rows_that_the_vehicle_has_no_longer_are_counted_and_kept(pulled: Rig) -> None:
    def forgetful(_path: str, query: str, ask: Ask) -> Reply:
        status, body = ask(query)
        answer = json.loads(body)
        if isinstance(answer, dict) and "rows" in answer:
            answer["rows"] = [row for row in answer["rows"] if row["channel_id"] != 2]
            answer["count"] = len(answer["rows"])
        return status, json.dumps(answer).encode()

    before = stored(pulled)
    pulled.simulated.hook = forgetful
    request(pulled)
    gone = measured(pulled, 2)
    assert f"{gone} the vehicle has no longer" in pulled.audit()
    assert counts(pulled) == (measured(pulled) - gone, 0, 0, gone)
    assert stored(pulled) == before


def test_an_audit_ends_where_the_vehicle_was_pulled_up_to(pulled: Rig) -> None:
    pulled.now += timedelta(minutes=5)
    window = request(pulled)
    assert window.end == pulled.watermark()
    pulled.audit()
    assert counts(pulled)[1] == 0, "what no cycle has pulled yet is not missing"
    with pytest.raises(CommandError):
        request(pulled, ago=60)


def test_without_a_beginning_all_that_is_stored_is_compared(pulled: Rig) -> None:
    oldest = pulled.run("SELECT min(time) FROM measurements")[0][0]
    window = pulled.database.run(
        lambda c: audits.request_audit(c, pulled.vehicle_id, None, pulled.now, report_only=False)
    )
    assert window == Window(floor_ms(oldest), reached(pulled))


def test_of_a_vehicle_that_was_never_pulled_nothing_is_audited(database: Database) -> None:
    with rig(database) as it:
        it.run("UPDATE vehicles SET last_sync_at = NULL")
        with pytest.raises(CommandError):
            request(it)
        assert it.run("SELECT count(*) FROM fleetsync.audit") == [(0,)]


def test_an_audit_is_cancelled_only_in_the_version_that_is_named(pulled: Rig) -> None:
    def cancel(asked_at: datetime | None) -> bool:
        return pulled.database.run(lambda c: audits.cancel_audit(c, pulled.vehicle_id, asked_at))

    def versions() -> list[tuple[datetime, bool]]:
        rows = pulled.run("SELECT asked_at, is_repair FROM fleetsync.audit ORDER BY is_repair")
        return [(asked_at, is_repair) for asked_at, is_repair in rows]

    request(pulled)
    [(older, _)] = versions()
    window = request(pulled)
    pulled.database.run(lambda c: repairs.request_repair(c, pulled.vehicle_id, window))
    (newer, _), (repair, _) = versions()
    assert not cancel(older)
    assert not cancel(repair)
    assert len(versions()) == 2
    assert cancel(newer)
    assert not cancel(newer)
    assert versions() == [(repair, True)], "what the daemon wants is not an operator's to cancel"
    request(pulled)
    assert cancel(None)
    pulled.run("DELETE FROM fleetsync.audit")
    request(pulled)
    pulled.audit()
    assert not cancel(None), "it has ended"


def test_an_audit_that_was_stopped_goes_on_where_it_was(database: Database) -> None:
    with rig(database, watermark_ago=30 * 3600, channels=1) as it:
        it.cycle()
        lost = lose(it, 29 * 3600, 29 * 3600 - 60) + lose(it, 3600, 3540)
        request(it, 29.5 * 3600)
        asked = 0

        def stopped() -> str | None:
            nonlocal asked
            asked += 1
            return "shutdown" if asked > 4 else None

        assert "shutdown" in it.audit(stopped=stopped)
        [(reached, start)] = it.run("SELECT reached_at, from_at FROM fleetsync.audit")
        assert start < reached < it.now
        it.audit()
        [(held,)] = it.run("SELECT count(*) FROM measurements WHERE time >= %s", start)
        assert counts(it)[:2] == (held, lost), "no row is counted twice"
        assert it.compare().clean


def test_what_the_vehicle_has_dropped_is_no_row_that_is_gone(database: Database) -> None:
    with rig(database, watermark_ago=10 * MINUTE, channels=1) as it:
        it.cycle()
        dropped = it.now - timedelta(minutes=5)
        it.simulated.history_start_ms = int(dropped.timestamp() * 1000)
        request(it)
        assert "gone for good" in it.audit()
        assert counts(it)[1:] == (0, 0, 0)
        [(gone_sec, finished)] = it.run(
            "SELECT gone_sec, finished_at IS NOT NULL FROM fleetsync.audit"
        )
        assert (round(gone_sec, -1), finished) == (240, True)


def test_nothing_of_another_machine_is_stored(pulled: Rig) -> None:
    lose(pulled, 300, 280)
    before = stored(pulled)
    request(pulled)

    def swapped(path: str, query: str, ask: Ask) -> Reply:
        if path == "/data":
            pulled.run("UPDATE fleetsync.vehicle_state SET other_hint = 'another'")
        return ask(query)

    pulled.simulated.hook = swapped
    assert "calls itself another" in pulled.audit()
    assert stored(pulled) == before
    assert counts(pulled) == (0, 0, 0, 0)


def test_nothing_is_stored_if_the_address_was_changed_meanwhile(pulled: Rig) -> None:
    lose(pulled, 300, 280)
    before = stored(pulled)
    request(pulled, report_only=True)

    def moved(path: str, query: str, ask: Ask) -> Reply:
        if path == "/data":
            pulled.run("UPDATE vehicles SET api_port = 9")
        return ask(query)

    pulled.simulated.hook = moved
    assert "address was changed" in pulled.audit()
    assert (stored(pulled), counts(pulled)) == (before, (0, 0, 0, 0))


def test_a_row_that_somebody_stores_meanwhile_is_not_missing(pulled: Rig) -> None:
    held = stored(pulled)
    lose(pulled, 300, 280)
    request(pulled)

    def store_first(path: str, query: str, ask: Ask) -> Reply:
        if path == "/data":
            for row in held:
                pulled.run(
                    "INSERT INTO measurements (vehicle_id, channel_id, time, value)"
                    " VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
                    str(pulled.vehicle_id),
                    *row,
                )
        return ask(query)

    pulled.simulated.hook = store_first
    pulled.audit()
    assert counts(pulled)[1] == 0
    assert stored(pulled) == held


def test_a_vehicle_with_a_gap_or_in_trouble_is_not_audited(pulled: Rig) -> None:
    request(pulled)
    for trouble, mend in (
        ("UPDATE vehicles SET sync_status = 'timeout'", "UPDATE vehicles SET sync_status = 'ok'"),
        (
            "UPDATE fleetsync.vehicle_state SET islands ="
            " tstzmultirange(tstzrange(now() + interval '1 day', now() + interval '2 days'))",
            "UPDATE fleetsync.vehicle_state SET islands = '{}'",
        ),
        (
            "UPDATE fleetsync.vehicle_state SET paused = true",
            "UPDATE fleetsync.vehicle_state SET paused = false",
        ),
    ):
        pulled.run(trouble)
        assert pulled.audit() == "none"
        pulled.run(mend)
    assert pulled.audit() != "none"


def test_a_clean_look_proves_its_time_and_writes_no_entry(pulled: Rig) -> None:
    begin_to_look(pulled, 60)
    entries = len(pulled.journal())
    report = pulled.look(60)
    assert report is not None
    assert report.audit is not None
    assert (report.needs_attention, report.audit.is_told, report.audit.counts.checked) == (
        False,
        False,
        30,
    )
    proved = pulled.run("SELECT verified_to FROM fleetsync.verified")[0][0]
    assert proved == reached(pulled) - timedelta(seconds=60) - pulled.overlap
    assert len(pulled.journal()) == entries
    assert pulled.look(60) is None, "nothing is looked at twice"


def forget(it: Rig, ago: float) -> None:
    """Let the vehicle drop all that is so many seconds old."""
    dropped = it.now - timedelta(seconds=ago)
    it.simulated.history_start_ms = int(dropped.timestamp() * 1000)


def test_of_what_the_vehicle_has_dropped_a_look_proves_nothing(pulled: Rig) -> None:
    begin_to_look(pulled, 60)
    lose(pulled, 70, 68)
    forget(pulled, 55)
    entries = len(pulled.journal())
    report = pulled.look(60)
    assert report is not None
    assert report.audit is not None
    assert report.audit.counts.gone
    assert report.audit.verified_to is None
    assert pulled.run("SELECT verified_to FROM fleetsync.verified") == [(pulled.start,)]
    assert len(pulled.journal()) == entries
    pulled.cycle(after=60)
    later = pulled.look(60, seconds=20)
    assert later is not None
    assert later.audit is not None
    proved = pulled.run("SELECT verified_to FROM fleetsync.verified")
    assert proved == [(later.audit.verified_to,)], "of what the vehicle has it is proved"


@pytest.mark.parametrize("dropped", [True, False])
def test_of_what_the_vehicle_has_dropped_a_repair_proves_nothing(
    pulled: Rig, dropped: bool
) -> None:
    begin_to_look(pulled, 60)
    window = Window(reached(pulled) - timedelta(minutes=10), reached(pulled) - timedelta(minutes=5))
    pulled.database.run(lambda c: repairs.request_repair(c, pulled.vehicle_id, window))
    if dropped:
        forget(pulled, 6 * MINUTE)
    pulled.audit()
    proved = pulled.run("SELECT verified_to FROM fleetsync.verified")[0][0]
    assert proved == (pulled.start if dropped else window.end)


def test_a_hole_in_what_the_vehicle_has_is_told_as_gone(pulled: Rig) -> None:
    def empty(path: str, query: str, ask: Ask) -> Reply:
        status, body = ask(query)
        answer = json.loads(body)
        if path == "/data" and "limit=100&" not in f"{query}&":
            answer |= {"rows": [], "count": 0}
        return status, json.dumps(answer).encode()

    pulled.simulated.hook = empty
    request(pulled, ago=300)
    pulled.audit()
    assert counts(pulled)[0] == 0
    [(gone_sec,)] = pulled.run("SELECT gone_sec FROM fleetsync.audit")
    assert gone_sec == 300


def test_what_was_pulled_before_the_first_look_is_not_judged(pulled: Rig) -> None:
    assert pulled.look(60) is None
    assert pulled.look(60) is None
    pulled.cycle(after=120)
    assert pulled.look(60) is not None


def test_a_look_that_finds_rows_missing_has_all_since_the_last_clean_one_asked_again(
    pulled: Rig,
) -> None:
    begin_to_look(pulled, 60)
    elsewhere, here = lose(pulled, 400, 390), lose(pulled, 70, 68)
    report = pulled.look(60)
    assert report is not None
    text = str(report.entry.error_msg)
    assert f"{here} missing, stored now" in text
    assert "is asked for again" in text
    assert report.needs_attention
    assert pulled.journal()[-1] == ("ok", here, text)
    [(proved, missing)] = pulled.run("SELECT verified_to, missing FROM fleetsync.verified")
    assert (proved, missing) == (pulled.start, here)
    assert pulled.look(60) is None, "not before it is repaired"
    pulled.cycle(after=30)
    assert f"{elsewhere} missing, stored now" in pulled.audit()
    proved = pulled.run("SELECT verified_to FROM fleetsync.verified")[0][0]
    assert proved == reached(pulled) - timedelta(seconds=95)
    assert pulled.compare().clean


def test_the_lateness_is_learned_from_rows_that_were_missing(pulled: Rig) -> None:
    begin_to_look(pulled, 60)
    lose(pulled, 70, 68)
    pulled.look(60)
    late, overlap = pulled.run("SELECT late_ms, overlap_ms FROM fleetsync.vehicle_state")[0]
    assert late >= 5_000
    assert overlap >= 10_000


def test_a_suspicion_is_followed_up_and_then_cleared(pulled: Rig) -> None:
    lost = lose(pulled, 200, 190)
    since = pulled.now - timedelta(seconds=300)
    pulled.run("UPDATE fleetsync.vehicle_state SET suspect_from = %s", since)
    pulled.database.run(lambda c: repairs.repair_suspects(c, set(), 5))
    assert pulled.run("SELECT suspect_from FROM fleetsync.vehicle_state") == [(None,)]
    assert f"{lost} missing, stored now" in pulled.audit()
    assert pulled.compare().clean


def ask_for_repair(it: Rig, number: int) -> datetime | None:
    """Have a repair requested, of which the end differs by `number`; return before when it waits.

    As a look or a suspicion does.
    """
    window = Window(it.now - timedelta(hours=1), it.now + timedelta(seconds=number))
    return it.database.run(lambda c: repairs.request_repair(c, it.vehicle_id, window))


def end_repair(it: Rig, missing: int) -> None:
    """Let the open repair be done, in which so many rows were missing."""
    done = "UPDATE fleetsync.audit SET finished_at = now(), reached_at = to_at, missing = %s"
    it.run(done, missing)


def test_a_vehicle_that_invents_rows_is_asked_again_ever_later(pulled: Rig) -> None:
    waits = []
    for number in range(30):
        waits.append(ask_for_repair(pulled, number))
        end_repair(pulled, missing=50)
    assert waits[: repairs.FREE_REPAIRS] == [None] * repairs.FREE_REPAIRS
    lengths = [
        pulled.run("SELECT extract(epoch FROM %s - now())::float8", at)[0][0]
        for at in waits[repairs.FREE_REPAIRS :]
    ]
    assert [round(length) for length in lengths] == sorted(round(length) for length in lengths)
    assert lengths[0] < 1300
    assert 86_000 < lengths[-1] <= 86_400
    assert pulled.audit() == "none"


def test_what_joins_a_repair_that_has_not_begun_does_not_delay_it(pulled: Rig) -> None:
    waits = {ask_for_repair(pulled, number) for number in range(30)}
    assert waits == {None}
    for number in range(repairs.FREE_REPAIRS):
        end_repair(pulled, missing=50)
        at = ask_for_repair(pulled, 30 + number)
    assert at is not None
    assert {ask_for_repair(pulled, 60 + number) for number in range(10)} == {at}


def test_repairs_that_find_nothing_do_not_delay_the_next_ones(pulled: Rig) -> None:
    for number in range(30):
        assert ask_for_repair(pulled, number) is None
        end_repair(pulled, missing=0)


def test_a_vehicle_that_is_suspected_all_the_time_is_followed_up_now_and_then(pulled: Rig) -> None:
    begun = 0
    for _ in range(30):
        pulled.cycle(after=30)
        since = pulled.now - timedelta(seconds=150)
        pulled.run("UPDATE fleetsync.vehicle_state SET suspect_from = %s", since)
        pulled.database.run(lambda c: repairs.repair_suspects(c, set(), 5))
        begun += pulled.audit() != "none"
    assert begun == 3, "in fifteen minutes"


def test_repairs_cannot_pass_the_rows_of_a_day(pulled: Rig) -> None:
    pulled.budget = VehicleBudget(vehicle_max_rows_per_day=1000)
    window = Window(pulled.now - timedelta(seconds=300), pulled.now)
    pulled.database.run(lambda c: repairs.request_repair(c, pulled.vehicle_id, window))
    pulled.run("UPDATE fleetsync.vehicle_state SET day_rows = 10000, day_seconds = 0")
    assert "VEHICLE_MAX_ROWS_PER_DAY" in pulled.audit()
    [(error,)] = pulled.run("SELECT last_error FROM fleetsync.audit")
    assert "allowed" in error


def test_a_look_that_the_vehicle_refuses_is_not_told(pulled: Rig) -> None:
    begin_to_look(pulled, 60)
    entries = len(pulled.journal())

    def refuse(path: str, query: str, ask: Ask) -> Reply:
        return (HTTPStatus.SERVICE_UNAVAILABLE, b"{}") if path == "/data" else ask(query)

    pulled.simulated.hook = refuse
    report = pulled.look(60)
    assert report is not None
    assert report.audit is not None
    assert not report.audit.is_told
    assert report.audit.verified_to is None
    assert len(pulled.journal()) == entries
