import json
from http import HTTPStatus
from typing import Any

from fleetsyncd.database import channel_changes, vehicle_memory
from fleetsyncd.database.channel_changes import record_changes
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.views.channel_changes import channel_changes as shown
from fleetsyncd.reports import Outcome
from fleetsyncd.telemetry import Channel
from tests.integration.rig import Ask, Reply, Rig, rig

CHANGES = (
    "SELECT channel_id, old_name, old_unit, new_name, new_unit FROM fleetsync.channel_change"
    " ORDER BY changed_at, channel_id"
)
ANOTHER = ": another machine, or set up anew?"


def told(it: Rig, *entries: dict[str, Any], version: str = "1.1.0") -> None:
    """Let the vehicle list these channels, and say that it has this software."""
    fixed = {"raw_min": 4, "raw_max": 20, "signal_type": "analog_420", "enabled": True}
    listed = [
        {**fixed, "phys_min": 0, "phys_max": 10, "updated_at": "2026-01-01T00:00:00Z", **entry}
        for entry in entries
    ]

    def hook(path: str, query: str, ask: Ask) -> Reply:
        status, body = ask(query)
        if path == "/channels":
            return HTTPStatus.OK, json.dumps(listed).encode()
        if path == "/status":
            return status, json.dumps(json.loads(body) | {"software_version": version}).encode()
        return status, body

    it.simulated.hook = hook


def entry(number: int, name: str, unit: str | None) -> dict[str, Any]:
    return {"channel_id": number, "name": name, "unit": unit}


def test_a_channel_that_means_something_else_is_told_once_and_its_meaning_is_kept(
    database: Database,
) -> None:
    with rig(database, channels=2) as it:
        told(it, entry(1, "Oil", "bar"), entry(2, "Fuel", "%"))
        assert it.cycle().error_msg is None
        told(it, entry(1, "Speed", "km/h"), entry(2, "Load", "t"))
        report = it.cycle(after=30)
        remark = "channel 1 is Speed [km/h], was Oil [bar] and 1 more" + ANOTHER
        assert (report.outcome, report.error_msg) == (Outcome.OK, remark)
        assert it.cycle(after=30).error_msg is None
        assert it.run(CHANGES) == [
            (1, "Oil", "bar", "Speed", "km/h"),
            (2, "Fuel", "%", "Load", "t"),
        ]
        first, _ = database.run(lambda cursor: shown(cursor, it.vehicle_id))
        assert (first.channel_id, first.old_name, first.old_min, first.old_max) == (1, "Oil", 0, 10)


def test_a_channel_that_is_corrected_or_was_never_measured_has_not_changed_its_meaning(
    database: Database,
) -> None:
    with rig(database, channels=2) as it:
        told(it, entry(1, "Oil", "bar"), entry(2, "Fuel", None), entry(99, "Spare", "V"))
        it.cycle()
        told(it, entry(1, "Oil", "psi"), entry(2, "Diesel", None), entry(99, "Horn", "dB"))
        assert it.cycle(after=30).error_msg is None
        assert it.run(CHANGES) == []
        assert ("Horn",) in it.run("SELECT name FROM channel_config")


def test_a_vehicle_that_changes_its_channels_again_and_again_keeps_the_last_changes(
    database: Database, monkeypatch: Any
) -> None:
    monkeypatch.setattr(channel_changes, "KEPT_PER_VEHICLE", 3)
    with rig(database, channels=2) as it:
        for number in range(6):
            told(it, entry(1, f"name {number}", f"unit {number}"))
            it.cycle(after=30)
        assert [old for _, old, *_ in it.run(CHANGES)] == ["name 2", "name 3", "name 4"]


def test_unchanged_channels_cost_no_further_query(database: Database) -> None:
    with rig(database, channels=2) as it:
        it.cycle()

        def record(cursor: Cursor) -> str:
            stored = vehicle_memory.stored_channels(cursor, it.vehicle_id)
            before = cursor.query
            assert record_changes(cursor, it.vehicle_id, stored, list(stored.values())) == []
            renamed = [Channel(1, "other", stored[1].unit, 0.0, 1.0)]
            assert record_changes(cursor, it.vehicle_id, stored, renamed) == []
            return "none" if cursor.query == before else "some"

        assert database.run(record) == "none"


def test_software_that_goes_back_is_told_once(database: Database) -> None:
    with rig(database, channels=1) as it:
        remarks = []
        for version in ("1.10.0", "1.9.3", "1.9.3", "1.10.0"):
            told(it, entry(1, "Oil", "bar"), version=version)
            remarks.append(it.cycle(after=30).error_msg)
        assert remarks == [None, "software 1.9.3, was 1.10.0" + ANOTHER, None, None]
