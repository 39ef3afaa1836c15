"""Watch audits until they are done, and print what they have found."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import click

from fleetsyncd.commands.backfill_watch import Watch
from fleetsyncd.commands.json_output import print_list
from fleetsyncd.commands.tables import table
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.views.audits import AuditStatus, audit_statuses
from fleetsyncd.database.views.jobs import JobStatus
from fleetsyncd.text import age


@dataclass(frozen=True, slots=True)
class AuditedVehicle:
    """What the audit of a vehicle has found."""

    id: UUID
    name: str
    start: datetime
    end: datetime
    finished: bool
    fraction: float
    report_only: bool
    checked: int
    missing: int
    different: int
    no_longer_held: int
    gone_seconds: float
    waits_for: str | None


@dataclass
class AuditWatch(Watch):
    """Watches the audits of some vehicles; the bar is on standard error."""

    NOUN = "audit"
    BAR_ON_STDERR = True
    as_json: bool = False

    def read_statuses(self, cursor: Cursor, ids: Collection[UUID]) -> dict[UUID, JobStatus]:
        """Return the audits' status by vehicle."""
        return dict(audit_statuses(cursor, ids))

    def print_json(self) -> None:
        """Print what was found as JSON."""
        print_list(
            [
                AuditedVehicle(
                    id=vehicle.id,
                    name=vehicle.name,
                    start=status.window.start,
                    end=status.window.end,
                    finished=status.finished,
                    fraction=status.fraction,
                    report_only=status.report_only,
                    checked=status.counts.checked,
                    missing=status.counts.missing,
                    different=status.counts.different,
                    no_longer_held=status.counts.gone,
                    gone_seconds=status.gone_sec,
                    waits_for=status.obstacle,
                )
                for vehicle, status in zip(self.vehicles, self._statuses, strict=True)
                if isinstance(status, AuditStatus)
            ]
        )

    def tell_outcome(self, wait_sec: float | None) -> None:
        """Print what was found."""
        if self.as_json:
            self.print_json()
        else:
            self._print_table()
        if self._open:
            text = f"not done within {age(wait_sec)}: {self._open} audit(s) stay requested"
            click.echo(f"{text}, and a daemon goes on with them", err=True)

    def _print_table(self) -> None:
        header = ["VEHICLE", "AUDIT", "CHECKED", "MISSING", "DIFFERENT", "NO LONGER HELD"]
        lines = []
        for vehicle, status in zip(self.vehicles, self._statuses, strict=True):
            if not isinstance(status, AuditStatus):
                lines.append([vehicle.name, "cancelled", "", "", "", ""])
                continue
            counts = status.counts
            missing = f"{counts.missing} ({status.fate})" if counts.missing else "0"
            numbers = [str(counts.checked), missing, str(counts.different), str(counts.gone)]
            lines.append([vehicle.name, status.outcome, *numbers])
        click.echo(table(header, lines))
