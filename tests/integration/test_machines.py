import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http import HTTPStatus

import pytest

from fleetsyncd.budgets import VehicleBudget
from fleetsyncd.database import (
    backfills,
    machines,
    pausing,
    vehicle_changes,
    vehicle_memory,
    vehicles,
)
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.vehicle_changes import VehicleChange
from fleetsyncd.database.vehicles import RegisteredVehicle
from fleetsyncd.demo.embedded import OWNER, Server
from fleetsyncd.errors import CommandError
from fleetsyncd.findings import Finding, Level
from fleetsyncd.models import Window
from fleetsyncd.reports import CycleReport, Failure, Outcome
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.sync.cycle import sync_vehicle
from fleetsyncd.times import utc_text
from tests.integration.rig import KEY, Ask, Hook, Reply, Rig, rig

REPLACED = "fleetsync.replaced_alarm"
OPEN_ALARM = {"alarm_id": 7, "channel_id": 1, "severity": None, "message": "hot"}


@contextmanager
def two(database: Database, channels: int = 18) -> Iterator[tuple[Rig, Rig]]:
    with (
        rig(database, name="Truck-01", channels=channels) as one,
        rig(database, name="Truck-02", channels=channels) as other,
    ):
        yield one, other


def registered(it: Rig) -> RegisteredVehicle:
    (seen,) = it.database.run(lambda c: vehicles.read_registered(c, [it.vehicle_id]))
    return seen


def swap(one: Rig, other: Rig) -> None:
    pair = registered(one), registered(other)
    one.database.run(lambda cursor: machines.swap(cursor, *pair))


def reconnect(*rigs: Rig) -> None:
    """Ask each vehicle at the address at which it is registered by now."""
    for it in rigs:
        it.client.close()
        it.client = it.connect(it.vehicle().host, it.vehicle().port)


def move(it: Rig) -> None:
    """Change the port at which the vehicle is registered."""
    change = VehicleChange(port=it.vehicle().port % 60_000 + 1)
    it.database.run(lambda c: vehicle_changes.change_vehicle(c, it.vehicle_id, change))


def on(path: str, act: Callable[[], None], alarms: list[dict[str, object]] | None = None) -> Hook:
    """Return a hook that acts after the vehicle's answer to `path`, and before the answer comes."""

    def hook(asked: str, query: str, ask: Ask) -> Reply:
        status, body = ask(query)
        if asked == "/alarms" and alarms is not None:
            body = json.dumps(alarms).encode()
        if asked == path:
            act()
        return status, body

    return hook


def call_itself(it: Rig, name: object) -> None:
    def renamed(path: str, query: str, ask: Ask) -> Reply:
        status, body = ask(query)
        if path == "/status":
            body = json.dumps({**json.loads(body), "vehicle_id_hint": name}).encode()
        return status, body

    it.simulated.hook = renamed


def count(it: Rig, table: str) -> int:
    statement = f"SELECT count(*) FROM {table} WHERE vehicle_id = %s::uuid"  # noqa: S608  a test's
    return int(it.run(statement, str(it.vehicle_id))[0][0])


def hints(it: Rig) -> tuple[str | None, str | None]:
    return it.vehicle().id_hint, it.vehicle().other_hint


@pytest.mark.parametrize(
    ("path", "table"),
    [("/channels", "channel_config"), ("/data", "measurements"), ("/alarms", "alarms_log")],
)
def test_nothing_is_stored_of_an_address_that_was_changed_meanwhile(
    database: Database, path: str, table: str
) -> None:
    with rig(database) as it:
        alarm: dict[str, object] = {
            **OPEN_ALARM,
            "triggered_at": it.now.isoformat(),
            "resolved_at": None,
        }
        it.simulated.hook = on(path, lambda: move(it), [alarm])
        report = it.cycle()
        assert (report.stopped, report.failures) == (True, 0)
        assert "the vehicle's address was changed meanwhile" in str(report.reason)
        assert count(it, table) == 0
        assert it.watermark() == (it.now if path == "/alarms" else it.start)
        assert it.vehicle().id_hint is None


def test_what_an_address_of_before_answered_hides_no_alarm_of_the_new_one(
    database: Database,
) -> None:
    with rig(database) as it:
        it.simulated.hook = on("/alarms", lambda: None, [])
        it.cycle()
        before = it.vehicle().alarm_watermark
        it.simulated.hook = on("/alarms", lambda: move(it), [])
        it.cycle(after=30)
        assert it.vehicle().alarm_watermark == before


@pytest.mark.parametrize("call", ["/status", "/data"])
def test_a_failure_of_an_address_of_before_says_nothing_of_the_machine_at_the_new_one(
    database: Database, call: str
) -> None:
    with rig(database) as it:
        it.cycle()

        def fail(path: str, query: str, ask: Ask) -> Reply:
            status, body = ask(query)
            if path == "/status":
                body = json.dumps({**json.loads(body), "software_version": "0.9"}).encode()
            if path == call:
                move(it)
                return HTTPStatus.SERVICE_UNAVAILABLE, b"{}"
            return status, body

        state = "SELECT failures, last_rows, last_error, id_hint_at FROM fleetsync.vehicle_state"
        row = "SELECT sync_status, software_version FROM vehicles"
        before = it.run(state), it.run(row)
        it.simulated.hook = fail
        report = it.cycle(after=30)
        assert report.outcome is Outcome.ERROR
        assert it.journal()[-1][0] == "error"
        assert (it.run(state), it.run(row)) == before
        database.run(lambda cursor: vehicle_memory.save_failure(cursor, report))
        assert it.run(state) == before[0]


def test_a_backfill_stores_nothing_of_an_address_that_was_changed_meanwhile(
    database: Database,
) -> None:
    with rig(database) as it:
        window = Window(it.now - timedelta(hours=1), it.now - timedelta(minutes=50))
        database.run(lambda c: backfills.request_backfill(c, it.vehicle_id, window))
        it.simulated.hook = on("/data", lambda: move(it))
        assert "the vehicle's address was changed meanwhile" in it.backfill()
        assert count(it, "measurements") == 0
        it.simulated.hook = None
        assert "complete" in it.backfill()
        assert count(it, "measurements") > 0


def test_a_changed_key_or_name_is_no_other_address(database: Database) -> None:
    with rig(database) as it:
        change = VehicleChange(name="Truck-1", key="another-key")
        it.simulated.hook = on(
            "/data",
            lambda: database.run(
                lambda c: vehicle_changes.change_vehicle(c, it.vehicle_id, change)
            ),
        )
        assert it.cycle().outcome is Outcome.OK


def test_a_swap_exchanges_address_port_and_key_and_nothing_else(database: Database) -> None:
    with two(database) as (one, other):
        database.run(
            lambda c: vehicle_changes.change_vehicle(
                c, other.vehicle_id, VehicleChange(host="10.8.0.2")
            )
        )
        database.run(
            lambda c: vehicle_changes.change_vehicle(
                c, one.vehicle_id, VehicleChange(key="its-own")
            )
        )
        first, second = registered(one), registered(other)
        marks = [it.watermark() for it in (one, other)]
        swap(one, other)
        assert registered(one) == RegisteredVehicle(
            first.id, first.name, second.host, second.port, second.key
        )
        assert registered(other) == RegisteredVehicle(
            second.id, second.name, first.host, first.port, "its-own"
        )
        assert [it.watermark() for it in (one, other)] == marks
        swap(one, other)
        assert (registered(one), registered(other)) == (first, second)


def test_a_swap_needs_no_free_address_where_the_address_alone_is_unique(
    server: Server, database_name: str, database: Database
) -> None:
    with two(database) as (one, other):
        one.run("UPDATE vehicles SET vpn_ip = '10.8.0.1/24' WHERE name = 'Truck-01'")
        one.run("UPDATE vehicles SET vpn_ip = 'fd00::2', api_port = 1 WHERE name = 'Truck-02'")
        owner = Database(DatabaseSettings(server.parameters(database_name, OWNER)))
        owner.run(lambda c: c.execute("ALTER TABLE public.vehicles ADD UNIQUE (vpn_ip)"))
        owner.close()
        swap(one, other)
        assert one.run("SELECT name, vpn_ip::text FROM vehicles ORDER BY name") == [
            ("Truck-01", "fd00::2/128"),
            ("Truck-02", "10.8.0.1/24"),
        ]


def test_a_swap_whose_answer_was_lost_is_not_undone_by_its_second_try(database: Database) -> None:
    with two(database) as (one, other):
        pair = registered(one), registered(other)
        for _ in range(2):
            database.run(lambda cursor: machines.swap(cursor, *pair))
        assert registered(one).port == pair[1].port


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("UPDATE vehicles SET api_port = 5 WHERE name = 'Truck-02'", r"Truck-02 .*\(port 5\)"),
        ("UPDATE vehicles SET api_key = 'x' WHERE name = 'Truck-01'", r"\(another API key\)"),
        ("DELETE FROM vehicles WHERE name = 'Truck-01'", "the vehicle was removed meanwhile"),
    ],
)
def test_a_swap_of_what_somebody_has_changed_meanwhile_is_refused(
    database: Database, statement: str, told: str
) -> None:
    with two(database) as (one, other):
        pair = registered(one), registered(other)
        one.run(statement)
        left = registered(other)
        with pytest.raises(CommandError, match=told):
            database.run(lambda cursor: machines.swap(cursor, *pair))
        assert registered(other) == left


def test_a_vehicle_is_not_swapped_with_itself(database: Database) -> None:
    with rig(database) as it, pytest.raises(CommandError, match="the same vehicle"):
        swap(it, it)


def test_cycles_that_run_during_a_swap_store_no_row_under_the_other_vehicle(
    database: Database,
) -> None:
    with two(database) as (one, other):
        other.simulated.hook = on("/data", lambda: swap(one, other))
        reports = []
        one.simulated.hook = on("/data", lambda: reports.append(other.cycle()))
        reports.append(one.cycle())
        assert [report.stopped for report in reports] == [True, True]
        assert (count(one, "measurements"), count(other, "measurements")) == (0, 0)
        one.simulated.hook = other.simulated.hook = None
        reconnect(one, other)
        for it in (one, other):
            assert it.cycle(after=30).outcome is Outcome.OK
        one.name, other.name = other.name, one.name
        one.simulated, other.simulated = other.simulated, one.simulated
        for it in (one, other):
            assert it.cycle(after=30).notes == ()
            assert it.compare().unexpected == 0


@pytest.mark.parametrize("asked", [("Truck-01",), ("Truck-02",), ("Truck-01", "Truck-02"), ()])
def test_each_machine_is_known_by_its_name_after_a_swap_whichever_was_asked_before_it(
    database: Database, asked: tuple[str, ...]
) -> None:
    with two(database) as (one, other):
        for it in (one, other):
            it.cycle()
        pair = registered(one), registered(other)
        # The machines change places; if a vehicle was asked since, its cycle was refused.
        one.client, other.client = other.client, one.client
        for it in (one, other):
            it.now += timedelta(seconds=30)
            if it.name in asked:
                assert it.cycle().failure is Failure.OTHER_MACHINE
        database.run(lambda cursor: machines.swap(cursor, *pair))
        if asked:  # else nobody knows of the change, and each takes its name along
            assert (hints(one), hints(other)) == (("Truck-01", None), ("Truck-02", None))
            one.client, other.client = other.client, one.client
        for it in (one, other):
            report = it.cycle(after=30)
            assert (report.outcome, report.notes) == (Outcome.OK, ())
        assert found(database) == []


@pytest.mark.parametrize("changed", [{"channel_id": 2}, {"triggered_at": 90}])
def test_an_alarm_of_another_machine_does_not_touch_one_that_has_its_alarm_id(
    database: Database, changed: dict[str, int]
) -> None:
    with two(database, channels=2) as (one, other):
        begun = one.now - timedelta(seconds=100)
        mine: dict[str, object] = {
            **OPEN_ALARM,
            "triggered_at": begun.isoformat(),
            "resolved_at": None,
        }
        one.simulated.hook = on("/alarms", lambda: None, [mine])
        one.cycle()
        other.cycle()
        swap(one, other)
        reconnect(one, other)
        later = begun + timedelta(seconds=changed.get("triggered_at", 0))
        its: dict[str, object] = {
            **mine,
            **changed,
            "message": "low",
            "triggered_at": later.isoformat(),
            "resolved_at": (begun + timedelta(seconds=95)).isoformat(),
        }
        other.simulated.hook = on("/alarms", lambda: None, [its])
        report = one.cycle(after=30)
        assert report.outcome is Outcome.OK
        assert "1 alarm(s) with the alarm_id of an older or newer one" in str(report.error_msg)
        messages = (
            "SELECT a.message, resolved_at IS NULL FROM {} a JOIN vehicles v ON v.id = vehicle_id"
            " WHERE v.name = 'Truck-01'"
        )
        both = [one.run(messages.format(table)) for table in ("alarms_log", REPLACED)]
        hot, low = ("hot", True), ("low", False)
        assert both == ([[low], [hot]] if later > begun else [[hot], [low]])
        assert one.run("SELECT count(*) FROM fleetsync.quarantine") == [(0,)]


def test_a_vehicle_is_not_pulled_behind_its_own_watermark_after_a_swap(database: Database) -> None:
    with two(database) as (one, other):
        for it in (one, other):
            it.cycle()
        one.offset = timedelta(hours=-1)
        for _ in range(3):
            one.cycle(after=30)
        assert one.vehicle().pulled_until is not None
        other.now = one.now
        behind = [it.vehicle().clock_skew for it in (one, other)]
        # Its links were learned as well.
        one.run("UPDATE fleetsync.vehicle_state SET data_window_ms = 7000, alarms_window_ms = 9000")
        other.run(
            "UPDATE fleetsync.vehicle_state SET data_window_ms = 8000, alarms_window_ms = NULL"
            " WHERE vehicle_id = %s::uuid",
            str(other.vehicle_id),
        )
        links = [it.vehicle().learned for it in (one, other)]
        swap(one, other)
        reconnect(one, other)
        assert [it.vehicle().clock_skew for it in (other, one)] == behind
        assert [it.vehicle().learned for it in (other, one)] == links
        for it, clock in ((one, one.now), (other, other.now + one.offset)):
            report = it.cycle()
            assert report.outcome is Outcome.OK
            assert report.interval is not None
            begins = min(report.vehicle.watermark or clock, clock)
            assert report.interval.start >= begins - it.overlap - timedelta(milliseconds=1)


def test_a_vehicle_that_calls_itself_otherwise_is_told_of_and_pulled_until_it_is_accepted(
    database: Database,
) -> None:
    with rig(database) as it:
        assert it.cycle().notes == ()
        assert hints(it) == ("Truck-01", None)
        call_itself(it, "spare-7")
        for _ in range(2):
            report = it.cycle(after=30)
            assert report.outcome is Outcome.OK
            assert report.rows_written > 0
            assert "calls itself spare-7 instead of Truck-01" in str(it.journal()[-1][2])
        assert hints(it) == ("Truck-01", "spare-7")
        since = it.run("SELECT other_hint_since FROM fleetsync.vehicle_state")
        assert since == [(it.now - timedelta(seconds=30),)]
        assert database.run(lambda c: machines.accept(c, it.vehicle_id)) == "spare-7"
        assert database.run(lambda c: machines.accept(c, it.vehicle_id)) is None
        assert it.cycle(after=30).notes == ()
        assert hints(it) == ("spare-7", None)


def test_a_vehicle_that_calls_itself_as_before_again_is_told_of_no_more(database: Database) -> None:
    with rig(database) as it:
        it.cycle()
        call_itself(it, "spare-7")
        it.cycle(after=30)
        it.simulated.hook = None
        assert it.cycle(after=30).notes == ()
        assert hints(it) == ("Truck-01", None)


@pytest.mark.parametrize("name", [None, "", {"id": 3}, ["x"], True])
def test_a_vehicle_that_tells_no_usable_name_is_pulled_as_ever(
    database: Database, name: object
) -> None:
    with rig(database) as it:
        it.cycle()
        call_itself(it, name)
        report = it.cycle(after=30)
        assert report.outcome is Outcome.OK
        assert name is True or report.notes == ()
        assert hints(it)[0] == "Truck-01"


def test_a_number_is_as_good_a_name_as_a_text(database: Database) -> None:
    with rig(database) as it:
        call_itself(it, 4711)
        it.cycle()
        assert hints(it) == ("4711", None)


def test_of_another_vehicles_machine_nothing_is_stored_until_it_is_swapped(
    database: Database,
) -> None:
    with two(database) as (one, other):
        for it in (one, other):
            it.cycle()
        for it in (one, other):
            it.set_watermark(it.now)
        pair = registered(one), registered(other)
        stored = [count(it, "measurements") for it in (one, other)]
        # The machines change places behind the daemon's back.
        one.client, other.client = other.client, one.client
        for it, owner in ((one, "Truck-02"), (other, "Truck-01")):
            report = it.cycle(after=30)
            assert (report.outcome, report.failure) == (Outcome.ERROR, Failure.OTHER_MACHINE)
            assert f"which is the machine of [{owner}]" in str(it.journal()[-1][2])
            assert it.watermark() == one.now - timedelta(seconds=30)
        assert [count(it, "measurements") for it in (one, other)] == stored
        # Their addresses are swapped as well: each is found where it is by now.
        database.run(lambda cursor: machines.swap(cursor, *pair))
        one.client, other.client = other.client, one.client
        for it in (one, other):
            report = it.cycle(after=30)
            assert (report.outcome, report.notes) == (Outcome.OK, ())


def test_a_backfill_stores_nothing_of_another_vehicles_machine(database: Database) -> None:
    with two(database) as (one, other):
        for it in (one, other):
            it.cycle()
        call_itself(one, "Truck-02")
        one.cycle(after=30)
        stored = count(one, "measurements")
        window = Window(one.now - timedelta(hours=1), one.now - timedelta(minutes=50))
        database.run(lambda c: backfills.request_backfill(c, one.vehicle_id, window))
        assert "which is the machine of [Truck-02]" in one.backfill()
        assert count(one, "measurements") == stored
        database.run(lambda c: machines.accept(c, one.vehicle_id))
        assert "complete" in one.backfill()


def tell_cycle(it: Rig, name: str) -> None:
    """Leave behind what a cycle leaves that was told another name while a backfill runs."""
    it.run(
        "UPDATE fleetsync.vehicle_state SET other_hint = %s WHERE vehicle_id = %s::uuid",
        name,
        str(it.vehicle_id),
    )


def test_a_backfill_asks_itself_whose_machine_answers(database: Database) -> None:
    with two(database) as (one, other):
        for it in (one, other):
            it.cycle()
        call_itself(one, "Truck-02")
        stored = count(one, "measurements"), count(one, "alarms_log")
        window = Window(one.now - timedelta(hours=4), one.now - timedelta(hours=3))
        database.run(lambda c: backfills.request_backfill(c, one.vehicle_id, window))
        assert "which is the machine of [Truck-02]" in one.backfill(), "no cycle has noticed it"
        assert (count(one, "measurements"), count(one, "alarms_log")) == stored
        one.simulated.hook = None
        assert "complete" in one.backfill()


@pytest.mark.parametrize(("path", "windows"), [("/alarms", 0), ("/data", 2)])
def test_a_running_backfill_stores_nothing_more_once_a_cycle_is_told_another_name(
    database: Database, path: str, windows: int
) -> None:
    with two(database) as (one, other):
        for it in (one, other):
            it.cycle()
        start = one.now - timedelta(hours=5)
        window = Window(start, one.now - timedelta(hours=1))
        database.run(lambda c: backfills.request_backfill(c, one.vehicle_id, window))
        asked = iter([False] * windows + [True])

        def exchange(asked_path: str, query: str, ask: Ask) -> Reply:
            if asked_path == path and "limit=100" not in query and next(asked):
                call_itself(one, "Truck-02")
                tell_cycle(one, "Truck-02")
            return ask(query)

        one.simulated.hook = exchange
        told = one.backfill()
        assert "the vehicle calls itself Truck-02 meanwhile: the next attempt asks again" in told
        (known,) = database.run(lambda c: backfills.open_backfills(c, (), 1)).values()
        assert start <= known.reached < window.end
        assert (known.reached == start, known.alarms_reached is None) == (not windows, not windows)
        newest = one.run(
            "SELECT max(time) FROM measurements WHERE vehicle_id = %s::uuid AND time < %s",
            str(one.vehicle_id),
            window.end,
        )[0][0]
        assert newest is None or newest < known.reached
        assert "which is the machine of [Truck-02]" in one.backfill()


def test_a_new_name_that_is_nobodys_ends_no_backfill(database: Database) -> None:
    with rig(database) as it:
        it.cycle()
        call_itself(it, "spare-7")
        window = Window(it.now - timedelta(hours=5), it.now - timedelta(hours=1))
        database.run(lambda c: backfills.request_backfill(c, it.vehicle_id, window))
        renamed, asked = it.simulated.hook, iter([True])
        assert renamed is not None

        def notice(path: str, query: str, ask: Ask) -> Reply:
            if path == "/data" and next(asked, False):
                it.simulated.hook = renamed
                tell_cycle(it, "spare-7")
            return renamed(path, query, ask)

        it.simulated.hook = notice
        assert "; complete" in it.backfill()


def test_an_update_that_renames_every_vehicle_stops_none(database: Database) -> None:
    with two(database) as (one, other), rig(database, name="Truck-03") as third:
        fleet = one, other, third
        for it in fleet:
            it.cycle()
        for it in fleet:
            call_itself(it, "unnamed")
            assert it.cycle(after=30).outcome is Outcome.OK
            assert it.cycle(after=30).outcome is Outcome.OK


def rename_alike(one: Rig, other: Rig) -> CycleReport:
    """Accept a new name of one, then give it to the other; return the other's first cycle."""
    for it in (one, other):
        it.cycle()
    call_itself(one, "tracker")
    one.cycle(after=30)
    one.database.run(lambda c: machines.accept(c, one.vehicle_id))
    one.cycle(after=30)
    call_itself(other, "tracker")
    return other.cycle(after=90)


def test_two_vehicles_that_an_update_renames_alike_go_on_both(database: Database) -> None:
    with two(database, channels=2) as (one, other):
        refused = rename_alike(one, other)
        assert refused.failure is Failure.OTHER_MACHINE
        assert "if it is no other machine" in str(refused.reason)
        assert "`fleetsyncd vehicle accept`" in str(refused.reason)
        # A machine is not at two places for so long.
        one.cycle(after=60 + 500)
        assert other.cycle(after=500).failure is Failure.OTHER_MACHINE
        one.cycle(after=200)
        report = other.cycle(after=200)
        assert report.outcome is Outcome.OK
        assert "calls itself tracker instead of Truck-02, as [Truck-01] does" in report.notes[0]
        assert other.cycle(after=30).outcome is Outcome.OK
        assert other.compare().lost == 0


def test_a_machine_that_answers_at_the_addresses_of_two_vehicles_is_stored_under_one(
    database: Database,
) -> None:
    with two(database, channels=2) as (one, other):
        assert rename_alike(one, other).failure is Failure.OTHER_MACHINE
        stored = count(other, "measurements")
        other.client, client = one.client, other.client
        one.cycle(after=3600)
        asked: list[str] = []
        named = one.simulated.hook
        assert named is not None

        def note(path: str, query: str, ask: Ask) -> Reply:
            asked.append(path)
            return named(path, query, ask)

        for spent in (False, True):
            one.simulated.hook = note
            other.budget = VehicleBudget(vehicle_max_rows_per_day=0 if spent else 10**6)
            report = other.cycle(after=1800)
            expected = Failure.OVER_BUDGET if spent else Failure.OTHER_MACHINE
            assert report.failure is expected
            assert set(asked) == ({"/status"} if spent else {"/status", "/data"})
            asked.clear()
            one.simulated.hook = named
            one.cycle(after=1800)
        window = Window(other.now - timedelta(hours=9), other.now - timedelta(hours=8))
        database.run(lambda c: backfills.request_backfill(c, other.vehicle_id, window))
        assert "which is the machine of [Truck-01]" in other.backfill()
        assert count(other, "measurements") == stored
        other.client = client


def test_the_owner_of_a_name_that_answers_by_another_one_answers_by_it_no_more(
    database: Database,
) -> None:
    with two(database, channels=2) as (one, other):
        rename_alike(one, other)
        one.cycle(after=3600)
        call_itself(one, "spare")
        one.cycle(after=30)
        assert other.cycle(after=3600).failure is Failure.OTHER_MACHINE


def test_a_name_that_several_vehicles_have_stops_none(database: Database) -> None:
    with two(database) as (one, other), rig(database, name="Truck-03") as third:
        for it in (one, other):
            call_itself(it, "factory")
            it.cycle()
        third.cycle()
        call_itself(third, "factory")
        assert third.cycle(after=30).outcome is Outcome.OK


def test_a_machine_with_another_history_is_told_of_though_it_tells_no_name(
    database: Database,
) -> None:
    with two(database) as (one, other):
        for it in (one, other):
            call_itself(it, None)
            it.cycle()
        newest = one.vehicle().newest_measurement_at
        one.client, other.client = other.client, one.client
        other.now += timedelta(seconds=30)
        report = one.cycle(after=30)
        assert report.outcome is Outcome.OK
        assert f"it lacks the newest stored row, of {newest:%Y-%m-%dT%H:%M:%S}" in report.notes[0]
        other.now += timedelta(seconds=30)
        assert one.cycle(after=30).notes == ()


def test_a_vehicle_with_a_name_of_its_own_is_live_first_and_its_lateness_is_learned(
    database: Database,
) -> None:
    with rig(database) as it:
        call_itself(it, "factory-1")
        it.live = timedelta(seconds=60)
        it.cycle()
        call_itself(it, "factory-2")
        known = it.watermark()
        report = it.cycle(after=3 * 3600)
        assert "calls itself factory-2" in str(report.error_msg)
        assert (it.watermark(), report.live_to) == (known, it.now)
        assert it.catch_up().endswith("complete")
        it.run("DELETE FROM measurements WHERE time >= %s", it.now - timedelta(seconds=3))
        assert it.cycle(after=30).late_rows > 0
        assert it.compare().clean


def test_a_machine_that_was_replaced_while_it_was_away_is_told_of(database: Database) -> None:
    with two(database) as (one, other):
        for it in (one, other):
            call_itself(it, None)
            it.cycle()
        newest = one.vehicle().newest_measurement_at
        one.client, other.client = other.client, one.client
        one.live = timedelta(seconds=60)
        other.now += timedelta(hours=2)
        assert "another machine" not in str(one.cycle(after=7200).error_msg)
        report = one.attempt()
        assert report is not None
        told = f"it lacks the newest stored row, of {newest:%Y-%m-%dT%H:%M:%S}"
        assert told in str(report.entry.error_msg)
        assert report.needs_attention


def test_a_vehicle_that_was_away_for_hours_lacks_nothing_of_its_own(database: Database) -> None:
    with rig(database) as it:
        it.live = timedelta(seconds=60)
        it.cycle()
        it.cycle(after=5 * 3600)
        assert it.catch_up().endswith("complete")
        it.cycle(after=30 * 3600)
        report = it.attempt()
        assert report is not None
        assert not report.needs_attention


def test_a_vehicle_that_was_away_for_hours_has_its_own_history(database: Database) -> None:
    with rig(database) as it:
        it.cycle()
        assert it.cycle(after=5 * 3600).notes == ()
        assert it.cycle(after=30 * 3600).notes == ()


def test_a_machine_without_a_history_is_told_of(database: Database) -> None:
    with rig(database) as it:
        it.cycle()
        installed = it.now + timedelta(hours=1)
        it.simulated.history_start_ms = int(installed.timestamp() * 1000)
        report = it.cycle(after=2 * 3600)
        assert "the vehicle's history begins there" in report.notes[0]
        assert "it lacks the newest stored row" in report.notes[1]


def test_a_name_of_a_vehicle_is_no_place_for_control_characters(database: Database) -> None:
    with rig(database) as it:
        it.cycle()
        call_itself(it, "x\x1b]52;c;aGk=\x07" + "y" * 500)
        it.cycle(after=30)
        assert "\x1b" not in str(it.journal()[-1][2])
        assert len(str(hints(it)[1])) <= 200
        assert "\x1b" not in str(hints(it)[1])


def test_a_cycle_has_five_round_trips_to_the_database(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    executed: list[str] = []

    def count_trips(cursor: Cursor, query: str, arguments: object = None) -> None:
        executed.append(query)
        execute(cursor, query, arguments)

    execute = Cursor.execute
    with rig(database) as it:
        it.partitions = Partitions(database)
        it.simulated.hook = on("/alarms", lambda: None, [])
        it.cycle()
        it.cycle(after=30)
        it.now += timedelta(seconds=30)
        vehicle = it.vehicle()
        monkeypatch.setattr(Cursor, "execute", count_trips)
        assert sync_vehicle(vehicle, it.client, it.context()).outcome is Outcome.OK
        assert len(executed) == 5
        assert executed.count("COMMIT") == 2


@pytest.mark.parametrize("name", ["new-77", "new-of-nobody"])
def test_whose_name_it_is_is_found_without_looking_at_every_vehicle(
    database: Database, server: Server, database_name: str, name: str
) -> None:
    with rig(database) as it:
        it.run(
            "INSERT INTO vehicles (name, vpn_ip) SELECT 'V-' || n, '10.0.0.0'::inet + n"
            " FROM generate_series(1, 2000) n"
        )
        it.run(
            "INSERT INTO fleetsync.vehicle_state (vehicle_id, id_hint, other_hint)"
            " SELECT id, 'old-' || name, replace(name, 'V-', 'new-') FROM vehicles"
        )
        owner = Database(DatabaseSettings(server.parameters(database_name, OWNER)))
        owner.run(lambda c: c.execute("ANALYZE fleetsync.vehicle_state"))
        owner.close()

        def explain(cursor: Cursor) -> str:
            cursor.execute("SELECT")  # the transaction begins with the first statement
            machines.owner_of_hint(cursor, it.vehicle_id, name)
            assert cursor.query is not None
            cursor.execute(b"EXPLAIN " + cursor.query)
            return "\n".join(line for (line,) in cursor.fetchall())

        plan = database.run(explain)
        assert "vehicle_state_other_hint" in plan
        assert "Seq Scan on vehicle_state s" not in plan


def found(database: Database) -> list[str]:
    def work(cursor: Cursor) -> list[str]:
        return [finding.text for finding in machines.findings(cursor)]

    return database.run(work)


def test_vehicles_that_call_themselves_otherwise_or_alike_are_findings(database: Database) -> None:
    with two(database) as (one, other):
        for it in (one, other):
            it.cycle()
        assert found(database) == []
        call_itself(one, "Truck-02")
        one.cycle(after=30)
        (changed, alike) = found(database)
        assert changed == (
            f"[Truck-01] calls itself Truck-02 instead of Truck-01 since {utc_text(one.now)},"
            " which is the machine of [Truck-02]: nothing of it is stored"
        )
        assert alike == "2 vehicles call themselves Truck-02: [Truck-01], [Truck-02]"


def levels(database: Database) -> dict[str, Level]:
    """Return the level of what is found of each vehicle that calls itself otherwise."""

    def work(cursor: Cursor) -> list[Finding]:
        return machines.findings(cursor)

    told = [each for each in database.run(work) if each.text.startswith("[")]
    return {each.text[1:].partition("]")[0]: each.level for each in told}


def test_a_machine_is_a_fault_only_while_cycles_store_nothing_of_it(database: Database) -> None:
    with two(database) as (one, other), rig(database, name="Truck-03") as third:
        for it in (one, other, third):
            it.cycle()
        call_itself(one, "spare-7")
        call_itself(other, "Truck-03")
        reports = [it.cycle(after=30) for it in (one, other)]
        assert [report.failure for report in reports] == [None, Failure.OTHER_MACHINE]
        assert levels(database) == {"Truck-01": Level.WARNING, "Truck-02": Level.FAULT}
        call_itself(one, "Truck-03")
        assert one.cycle(after=60).failure is None
        assert levels(database) == {"Truck-01": Level.WARNING, "Truck-02": Level.WARNING}
        one.simulated.hook = None
        one.cycle(after=30)
        assert levels(database) == {"Truck-02": Level.FAULT}
        database.run(lambda c: pausing.set_paused(c, other.vehicle_id, True))
        assert levels(database) == {"Truck-02": Level.WARNING}


def test_an_update_that_renames_many_vehicles_hides_no_other_machine(database: Database) -> None:
    with two(database) as (one, other):
        for it in (one, other):
            it.cycle()
        one.run(
            "WITH v AS (INSERT INTO vehicles (name, vpn_ip, api_port)"
            " SELECT 'A-' || n, '10.9.0.1', n FROM generate_series(1, 30) n RETURNING id, name)"
            " INSERT INTO fleetsync.vehicle_state (vehicle_id, id_hint, other_hint)"
            " SELECT id, name, 'new-' || name FROM v"
        )
        call_itself(one, "Truck-02")
        one.cycle(after=30)
        assert levels(database)["Truck-01"] is Level.FAULT


def test_a_vehicle_that_refuses_is_asked_nothing_about_its_name(database: Database) -> None:
    with rig(database) as it:
        it.cycle()
        it.simulated.hook = lambda *_: (HTTPStatus.UNAUTHORIZED, b"{}")
        assert it.cycle(after=30).failure is Failure.REFUSED
        assert hints(it) == ("Truck-01", None)
        assert KEY not in str(it.journal())
