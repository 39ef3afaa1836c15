"""Access to the database for backfills and audits: request them, cancel them, see how far they are.

Every method blocks, so call it in a thread; they raise as those of Gateway do.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Generic, TypeVar
from uuid import UUID

from fleetsyncd.actions import Actor, on_dashboard
from fleetsyncd.database import audits, backfills
from fleetsyncd.database.action_log import Change, record
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.views.audits import AuditStatus, audit_statuses, verified_ages
from fleetsyncd.database.views.backfills import BackfillStatus, backfill_statuses
from fleetsyncd.database.views.jobs import JobStatus
from fleetsyncd.database.views.rights import may_read
from fleetsyncd.errors import CommandError, NothingToAudit
from fleetsyncd.models import Window

Wanted = TypeVar("Wanted")
"""What is requested."""
Status = TypeVar("Status", bound=JobStatus)


@dataclass(frozen=True, slots=True)
class WantedAudit:
    """An interval to compare; without a start it begins where the stored measurements begin."""

    start: datetime | None
    end: datetime
    report_only: bool


@dataclass(frozen=True, slots=True)
class Requested(Generic[Status]):
    """What was requested of some vehicles."""

    statuses: dict[UUID, Status]
    left_out: Mapping[UUID, str]
    """Vehicles of which nothing can be done, by name."""


class JobGateway(ABC, Generic[Wanted, Status]):
    """Reads and writes of one kind of job; thread-safe. What `actor` does is recorded."""

    NAME: ClassVar[str]

    def __init__(self, database: Database, actor: Actor) -> None:
        self._database = database
        self._actor = actor

    def request(self, names: Mapping[UUID, str], wanted: Wanted) -> Requested[Status]:
        """Request it of vehicles (names by id) in one transaction; return the requests.

        Of several, those are left out of which there is nothing to audit.
        """
        action = on_dashboard(self._actor, self.NAME)

        def work(cursor: Cursor) -> Requested[Status]:
            changes, left_out = [], {}
            for vehicle_id, name in names.items():
                try:
                    window = self._request(cursor, vehicle_id, wanted)
                except NothingToAudit as error:
                    left_out[vehicle_id] = name
                    if len(left_out) == len(names):
                        raise CommandError(f"{name}: {error}") from None
                    continue
                except CommandError as error:
                    raise CommandError(f"{name}: {error}") from None
                changes.append(Change(vehicle_id, after={self.NAME: str(window)}))
            record(cursor, action, changes)
            statuses = self._read(cursor, names.keys() - left_out.keys())
            return Requested(statuses, left_out)

        return self._database.run(work)

    def statuses(self, ids: Collection[UUID]) -> dict[UUID, Status]:
        """Return how far the vehicles' last jobs are; those without one are left out."""
        return self._database.run(lambda cursor: self._read(cursor, ids))

    def cancel(self, versions: Mapping[UUID, datetime]) -> int:
        """Cancel the rest of vehicles' jobs, in these versions; return how many there were."""
        action = on_dashboard(self._actor, f"cancel {self.NAME}")

        def work(cursor: Cursor) -> int:
            cancelled = [key for key, at in versions.items() if self._cancel(cursor, key, at)]
            record(cursor, action, [Change(key, before={self.NAME: "open"}) for key in cancelled])
            return len(cancelled)

        return self._database.run(work)

    @abstractmethod
    def _request(self, cursor: Cursor, vehicle_id: UUID, wanted: Wanted) -> Window:
        """Request it of a vehicle; return the interval of the request."""

    @abstractmethod
    def _read(self, cursor: Cursor, ids: Collection[UUID]) -> dict[UUID, Status]:
        """Read the status by vehicle."""

    @abstractmethod
    def _cancel(self, cursor: Cursor, vehicle_id: UUID, asked_at: datetime) -> bool:
        """Cancel a version of a vehicle's job; tell whether there was one."""


class BackfillGateway(JobGateway[Window, BackfillStatus]):
    """Past intervals that are pulled again."""

    NAME = "backfill"

    def _request(self, cursor: Cursor, vehicle_id: UUID, wanted: Window) -> Window:
        return backfills.request_backfill(cursor, vehicle_id, wanted)

    def _read(self, cursor: Cursor, ids: Collection[UUID]) -> dict[UUID, BackfillStatus]:
        return backfill_statuses(cursor, ids)

    def _cancel(self, cursor: Cursor, vehicle_id: UUID, asked_at: datetime) -> bool:
        return backfills.cancel_backfill(cursor, vehicle_id, asked_at)


class AuditGateway(JobGateway[WantedAudit, AuditStatus]):
    """Past intervals that are compared with what the vehicles have."""

    NAME = "audit"

    def verified_ages(self, vehicle_id: UUID) -> dict[int, float]:
        """Return for looks of each age how many seconds ago what they have proved ends."""
        return self._database.run(lambda cursor: verified_ages(cursor, vehicle_id))

    def _request(self, cursor: Cursor, vehicle_id: UUID, wanted: WantedAudit) -> Window:
        return audits.request_audit(
            cursor, vehicle_id, wanted.start, wanted.end, report_only=wanted.report_only
        )

    def _read(self, cursor: Cursor, ids: Collection[UUID]) -> dict[UUID, AuditStatus]:
        return audit_statuses(cursor, ids) if may_read(cursor, "fleetsync.audit") else {}

    def _cancel(self, cursor: Cursor, vehicle_id: UUID, asked_at: datetime) -> bool:
        return audits.cancel_audit(cursor, vehicle_id, asked_at)
