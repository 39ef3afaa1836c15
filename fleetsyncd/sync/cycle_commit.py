"""The commits of a cycle: each window's rows together with how far the vehicle is pulled then.

That is its watermark or, while there is a gap before what is live, the end of an island.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from fleetsyncd.budgets import Intake
from fleetsyncd.database import islands, losses, store
from fleetsyncd.database.pool import Cursor
from fleetsyncd.lateness import Added, LatenessUpdate
from fleetsyncd.models import Vehicle, Window
from fleetsyncd.sync.commit import Totals, commit_page
from fleetsyncd.sync.context import SyncContext
from fleetsyncd.sync.cycle_plan import CyclePlan
from fleetsyncd.sync.pull import VehicleSource
from fleetsyncd.telemetry import DataPage, Measurements

Advance = Callable[[Cursor, Added, datetime | None, LatenessUpdate], None]
"""Records how far the vehicle is pulled: with what a window added, the newest row of it, and what
it tells of lateness."""


class CommittedWindows:
    """What a cycle has committed; what `add` has returned from is true, also after an error."""

    def __init__(
        self,
        vehicle: Vehicle,
        source: VehicleSource,
        context: SyncContext,
        totals: Totals,
        intake: Intake,
        started_at: datetime,
    ) -> None:
        self.vehicle = vehicle
        self.source = source
        self.context = context
        self.totals = totals
        self.intake = intake
        self.started_at = started_at
        """When the cycle began."""
        self.watermark = vehicle.watermark
        self.live_to = vehicle.live_to
        self.asked_to = vehicle.pulled_until
        self.newest = vehicle.newest_measurement_at
        self.passed_over: list[Window] = []
        """Of what is pulled, what nobody can pull any more."""
        self._overdue: list[Window] = []
        """Of what is committed, what was found since to be gone."""

    def unpulled(self, whole: Window) -> Window:
        """Return what of `whole` is not asked for once more, but for the first time."""
        start = max(whole.start, self._asked_to or whole.start)
        return Window(min(start, whole.end), whole.end)

    @property
    def _asked_to(self) -> datetime | None:
        """Up to where all is committed: behind the watermark if the clock was behind that."""
        if self.watermark is None or self.asked_to is None:
            return self.watermark
        return min(self.watermark, self.asked_to)

    def pass_over(self, lost: Window) -> None:
        """Take in what nobody can pull any more, which is recorded with the next commits."""
        self.passed_over.append(lost)
        committed = lost.before(self._asked_to)
        self._overdue += [committed] if committed else []

    def add(self, plan: CyclePlan, page: DataPage, window: Window) -> None:
        """Commit one window's rows together with what is complete then, or nothing of either.

        Raises DatabaseError and VehicleRemoved.
        """
        if plan.live.leaves_gap:
            self._advance_island(plan, page, window)
        else:
            self._advance_watermark(plan, page, window)

    def _advance_watermark(self, plan: CyclePlan, page: DataPage, window: Window) -> None:
        """Commit one window's rows together with the watermark at its end."""
        end = window.end
        # Only time that was not pulled before: a vehicle that sets its clock back gains nothing.
        begun = window.start if self.watermark is None else max(window.start, self.watermark)
        covered = max(end - begun, timedelta(0))
        update = store.WatermarkUpdate(
            vehicle_id=self.vehicle.id,
            known=self.watermark,
            watermark=end,
            newest_measurement_at=None,
            clock_skew=plan.skew,
            software_version=plan.status.software_version,
            known_asked_to=self.asked_to,
            clock_behind=self.watermark is not None and plan.window.end < self.watermark,
            clock_stepped_back=plan.stepped_back,
            cut_from=plan.live.cut_from if window.start == plan.window.start else None,
            pulled_from=plan.window.start,
            gap=plan.window if end < plan.window.end else None,
            gap_took=self.context.now() - self.started_at,
            learned=self.source.learned,
            rows=len(page),
            covered=covered,
            address=self.vehicle.address,
            late_after=self.context.own_late_after(self.vehicle),
        )

        asked_to, asked_from = self.asked_to, self._asked_to

        def advance(
            cursor: Cursor, added: Added, newest: datetime | None, lateness: LatenessUpdate
        ) -> None:
            nonlocal asked_to
            now = replace(
                update,
                gap_rows=self.totals.rows_written + added.rows,
                newest_measurement_at=newest,
                lateness=lateness,
            )
            asked_to = store.advance_watermark(cursor, now)
            losses.forget_after(cursor, self.vehicle, now.known or window.start)
            losses.record_passed(
                cursor, now.vehicle_id, asked_from, end, self.passed_over, self._overdue
            )

        self._commit_page(plan, page, window, advance)
        self._overdue.clear()
        self.asked_to = asked_to
        self._count(page, covered)
        self.watermark = end if self.watermark is None else max(self.watermark, end)
        self.live_to = self.watermark

    def _advance_island(self, plan: CyclePlan, page: DataPage, window: Window) -> None:
        """Commit one window's rows together with the island that it belongs to."""
        known = self.live_to
        is_first = window.start == plan.window.start
        begun = window.start if known is None else max(window.start, known)
        covered = max(window.end - begun, timedelta(0))
        update = islands.IslandUpdate(
            vehicle_id=self.vehicle.id,
            window=window,
            gap_start=plan.gap_start,
            known=self.vehicle.watermark,
            cut_from=plan.live.cut_from if is_first else None,
            behind_from=plan.live.behind_from if is_first else None,
            stepped_back=plan.stepped_back,
            newest_measurement_at=None,
            clock_skew=plan.skew,
            software_version=plan.status.software_version,
            learned=self.source.learned,
            rows=len(page),
            covered=covered,
            address=self.vehicle.address,
            lateness=LatenessUpdate(),
        )
        watermark = self.watermark

        def advance(
            cursor: Cursor, _added: Added, newest: datetime | None, lateness: LatenessUpdate
        ) -> None:
            nonlocal watermark
            now = replace(update, newest_measurement_at=newest, lateness=lateness)
            watermark = islands.advance_island(cursor, now)
            losses.forget_after(cursor, self.vehicle, watermark)

        self._commit_page(plan, page, window, advance)
        self._count(page, covered)
        self.watermark = watermark
        self.live_to = window.end if watermark is None else max(watermark, window.end)

    def _commit_page(
        self,
        plan: CyclePlan,
        page: DataPage,
        window: Window,
        advance: Advance,
    ) -> None:
        """Commit one window's rows with what `advance` records, and what they tell of lateness."""
        newest, learned = None, LatenessUpdate()

        def record(cursor: Cursor, added: Added, stored: Measurements) -> None:
            nonlocal newest, learned
            newest = stored.times[-1] if stored else None
            learned = plan.meter.update(window, page, added)
            advance(cursor, added, newest, learned)

        added = commit_page(
            self.context, self.vehicle.id, page, self.newest, record, self.totals, plan.meter.head
        )
        plan.meter.take(learned, added)
        if newest is not None:
            self.newest = newest if self.newest is None else max(newest, self.newest)

    def _count(self, page: DataPage, covered: timedelta) -> None:
        """Take in what a committed window uses of the vehicle's budget."""
        self.intake.rows += len(page)
        self.intake.seconds += covered.total_seconds()
