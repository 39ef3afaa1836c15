"""What a daemon writes, made by hand for tests that run no cycle."""

from datetime import datetime, timedelta
from uuid import UUID

from fleetsyncd.database import (
    loading,
    store,
)
from fleetsyncd.database.pool import Database
from fleetsyncd.reports import CycleReport, Outcome


def first_window(vehicle_id: UUID, watermark: datetime) -> store.WatermarkUpdate:
    return store.WatermarkUpdate(
        vehicle_id=vehicle_id,
        known=None,
        watermark=watermark,
        newest_measurement_at=watermark,
        clock_skew=timedelta(0),
        software_version="2.0",
        known_asked_to=None,
        pulled_from=watermark,
        gap=None,
    )


def failure(database: Database, vehicle_id: UUID, at: datetime) -> CycleReport:
    (seen,) = database.run(lambda cursor: loading.load_vehicles(cursor, [vehicle_id]))
    return CycleReport(seen, at, at, Outcome.ERROR, reason="/data: cut short", rows_written=7)
