"""A visit: looks at small windows of a vehicle's past, each proved or asked for again with more."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cache, partial

from fleetsyncd.audit_results import AuditResult
from fleetsyncd.database import losses, repairs, vehicle_memory, verified
from fleetsyncd.database.pool import Cursor
from fleetsyncd.jobs import Look, Visit
from fleetsyncd.models import Vehicle, Window
from fleetsyncd.reports import AttemptReport, Outcome
from fleetsyncd.sync import identity
from fleetsyncd.sync.comparing import Compared, ComparingAttempt
from fleetsyncd.sync.context import SyncContext
from fleetsyncd.sync.pull import VehicleSource
from fleetsyncd.sync.recording import write_attempt_entry
from fleetsyncd.text import age
from fleetsyncd.times import utc_span, utc_text
from fleetsyncd.vehicle.client import VehicleClient

LEAST_LATE = timedelta(seconds=1)
"""What is learned of a row that was missing although pulls do not overlap."""


def run_visit(
    vehicle: Vehicle,
    visit: Visit,
    client: VehicleClient,
    context: SyncContext,
    stop_reason: Callable[[], str | None] = lambda: None,
) -> Iterator[AttemptReport]:
    """Carry out the looks of a visit and yield what each found; raises as `run_audit` does.

    One that fails ends the visit. If something is missing, it is stored, and all since the last
    clean look is to be asked for again; a journal entry is written if something was missing or
    different.
    """
    ask_machine = cache(partial(identity.ask_machine, client, context.database, vehicle))
    for look in visit.looks:
        source = context.source(vehicle, client, stop_reason)
        report = _run_look(_LookAttempt(vehicle, look, source, context, ask_machine))
        yield report
        if report.entry.status != Outcome.OK:
            return


def _run_look(attempt: "_LookAttempt") -> AttemptReport:
    result = attempt.carry_out()
    entry = attempt.journal_entry(result)
    is_told = not attempt.counts.is_clean
    if is_told:
        entry = write_attempt_entry(
            entry,
            result,
            attempt.source.learned,
            attempt.context.database,
            lambda _cursor, _reason: None,
        )
    proved = attempt.verified_to if result.outcome is Outcome.OK and attempt.is_proved else None
    look = attempt.look
    found = AuditResult(attempt.counts, look.age_sec, proved, is_told=is_told, also=look.also)
    return attempt.report(entry, result, found)


class _LookAttempt(ComparingAttempt):
    """A look at a small window."""

    def __init__(
        self,
        vehicle: Vehicle,
        look: Look,
        source: VehicleSource,
        context: SyncContext,
        ask_machine: Callable[[], str | None],
    ) -> None:
        super().__init__(vehicle, look.window, source, context, ask_machine)
        self.look = look
        self.verified_to = look.verified_to
        self.is_proved = True
        """Whether nothing was missing, and the vehicle has what is stored."""
        self._is_window_proved = False
        self.waits_until: str | None = None

    def prepare(self) -> None:
        """Take the whole interval: it was chosen by what can be asked for."""

    def title(self) -> str:
        """Say what was to be compared, for the journal."""
        span = utc_span(self.interval.start, self.interval.end)
        return f"{span}, about {age(self.look.ended_sec)} old"

    def record(self, cursor: Cursor, compared: Compared) -> None:
        """Record what is proved; if rows are missing, learn from it and have all asked again."""
        window, counts = compared.window, compared.counts
        self._is_window_proved = self.is_proved and self._proves(cursor, compared)
        verified.record_look(
            cursor,
            self.vehicle,
            self.look,
            window.end,
            counts,
            verified_to=window.end if self._is_window_proved else self.look.verified_to,
            hint=self.hint,
        )
        if not counts.missing:
            return
        # The pulls that missed them ended before they came, each asked again for its overlap.
        late = max(self.look.overlap or self.context.pull_overlap, LEAST_LATE)
        vehicle_memory.learn_lateness(cursor, self.vehicle.id, late)
        again = Window(self.look.verified_to, window.end)
        waits = repairs.request_repair(cursor, self.vehicle.id, again)
        self.waits_until = None if waits is None else utc_text(waits)

    def take_in(self, compared: Compared) -> None:
        """Take in that a window's transaction is committed."""
        self.is_proved = self._is_window_proved
        if self.is_proved:
            self.verified_to = compared.window.end
        elif compared.counts.missing and not self.notes:
            self.notes.append(self._what_follows(compared.window))

    def _what_follows(self, window: Window) -> str:
        span = utc_span(self.look.verified_to, window.end)
        if self.waits_until is None:
            return f"{span} is asked for again"
        return f"{span} is asked for again from {self.waits_until} on: it was often in vain"

    def _proves(self, cursor: Cursor, compared: Compared) -> bool:
        """Tell whether a window of which this was found was pulled well."""
        counts = compared.counts
        if counts.missing or counts.is_void:
            return False
        # Rows that an audit has found to be missing may be gone by now, from the vehicle too.
        return not losses.is_missing(cursor, self.vehicle.id, compared.window)
