"""What operators are told of rows that audits found: an event, with no end to tell. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from uuid import UUID

from fleetsyncd.conditions.model import subject_of
from fleetsyncd.notices import Notice, NoticeKind, Weight, name_in_title
from fleetsyncd.states import VehicleOverview


def audit_notices(fleet: Iterable[VehicleOverview], found: Mapping[UUID, int]) -> Iterator[Notice]:
    """Yield a notice for each vehicle of which rows were found missing or different."""
    for vehicle in fleet:
        if rows := found.get(vehicle.id, 0):
            yield Notice(
                NoticeKind.AUDIT,
                Weight.WARNING,
                f"{name_in_title(vehicle.name)}: {rows:,} rows were missing, or differ from what is"
                " stored",
                "Missing ones were stored, unless the audit only reports. `fleetsyncd audit`"
                " compares a whole interval.",
                subject_of(vehicle),
            )
