"""A vehicle that was removed and given back still knows which machine it was."""

import json

import pytest

from fleetsyncd.database import pausing, removal, removed_vehicles, restoration
from fleetsyncd.database.pool import Database
from fleetsyncd.database.restoration import NewRegistration
from fleetsyncd.reports import Failure, Outcome
from tests.integration.rig import KEY, Ask, Reply, Rig, rig

WITH_ITS_KEY = NewRegistration(key=KEY)


def tell_no_name(path: str, query: str, ask: Ask) -> Reply:
    status, body = ask(query)
    if path == "/status":
        body = json.dumps({**json.loads(body), "vehicle_id_hint": None}).encode()
    return status, body


def remove(it: Rig) -> None:
    removal.remove_vehicles(it.database, [it.vehicle_id], with_measurements=False)


def restore(it: Rig, new: NewRegistration = WITH_ITS_KEY) -> None:
    key = str(it.vehicle_id)
    vehicle = it.database.run(lambda cursor: removed_vehicles.find_removed(cursor, key))
    it.database.run(lambda cursor: restoration.restore(cursor, vehicle, new))


def test_of_another_vehicles_machine_nothing_is_stored_under_a_restored_vehicle(
    database: Database,
) -> None:
    with rig(database) as it, rig(database, name="Truck-02") as other:
        it.cycle()
        other.cycle()
        remove(it)
        restore(it)
        it.client = other.client
        other.now = it.now
        report = it.cycle()
        assert (report.outcome, report.failure) == (Outcome.ERROR, Failure.OTHER_MACHINE)
        assert "which is the machine of [Truck-02]" in str(report.reason)


@pytest.mark.parametrize("with_record", [True, False])
def test_a_restored_vehicle_that_lacks_its_newest_row_is_told_of(
    database: Database, with_record: bool
) -> None:
    with rig(database) as it, rig(database, name="Truck-02") as other:
        it.simulated.hook = other.simulated.hook = tell_no_name
        it.cycle()
        remove(it)
        if not with_record:
            it.run("DELETE FROM fleetsync.removed_vehicle")
        restore(it, NewRegistration("Truck-01", *it.simulated.address, KEY))
        it.client = other.client
        other.now = it.now
        (note,) = it.cycle(after=30).notes
        assert "it lacks the newest stored row" in note


def test_a_restored_vehicle_with_its_own_machine_is_told_of_by_no_remark(
    database: Database,
) -> None:
    with rig(database) as it:
        it.cycle()
        known = it.vehicle()
        remove(it)
        restore(it)
        again = it.vehicle()
        assert (known.id_hint, known.newest_measurement_at is None) == ("Truck-01", False)
        assert again.id_hint == known.id_hint
        assert again.newest_measurement_at == known.newest_measurement_at
        report = it.cycle(after=30)
        assert (report.outcome, report.notes) == (Outcome.OK, ())


def test_a_removal_remembers_a_paused_vehicle_that_was_never_pulled(database: Database) -> None:
    with rig(database) as it:
        database.run(lambda cursor: pausing.set_paused(cursor, it.vehicle_id, True))
        remove(it)
        restore(it)
        again = it.vehicle()
        assert (again.paused, again.id_hint, again.newest_measurement_at) == (True, None, None)
