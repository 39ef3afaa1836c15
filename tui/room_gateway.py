"""Access to the database for the pages of quarantine, jobs, findings, actions and notices.

Every method blocks, so call it in a thread; they raise as those of Gateway do.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from fleetsyncd.actions import Action, Actor, on_dashboard
from fleetsyncd.database import notices, quarantine
from fleetsyncd.database.action_log import Change, record
from fleetsyncd.database.notices import TargetState
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.quarantine import QuarantinedRow, RefusedGroup
from fleetsyncd.database.schema import fleet_checks
from fleetsyncd.database.schema.fleet_checks import Expected, Unchecked
from fleetsyncd.database.vehicle_tags import vehicles_with
from fleetsyncd.database.views import quarantine as refused
from fleetsyncd.database.views.actions import LoggedAction, read_actions
from fleetsyncd.database.views.audits import list_audits
from fleetsyncd.database.views.backfills import list_backfills
from fleetsyncd.database.views.chosen import Chosen
from fleetsyncd.database.views.jobs import JobList
from fleetsyncd.database.views.notices import ListedNotice, MuteList, read_mutes, read_notices
from fleetsyncd.findings import Finding
from fleetsyncd.notices import StoredNotice
from fleetsyncd.times import utc_now


@dataclass(frozen=True, slots=True)
class RefusedRows:
    """Groups of refused rows, or one page of a group, and how many there are in all."""

    rows: int
    vehicles: int
    groups: tuple[RefusedGroup, ...] = ()
    page: tuple[QuarantinedRow, ...] = ()


class NoticeView(StrEnum):
    """What the page of notices shows."""

    ALL = "all"
    UNTOLD = "not told"
    TARGETS = "targets"
    MUTED = "muted"


@dataclass(frozen=True, slots=True)
class ReadNotices:
    """A page of notices, their targets, and the mutes in force."""

    notices: tuple[ListedNotice, ...] = ()
    targets: tuple[TargetState, ...] = ()
    muted: MuteList = field(default_factory=MuteList)


class RoomGateway:
    """Reads and writes; thread-safe. `want` is what the settings want of the database.

    With `tags`, only vehicles that have one of them are shown. What `actor` does is recorded.
    """

    def __init__(
        self, database: Database, actor: Actor, want: Expected, tags: Collection[str] = ()
    ) -> None:
        self._database = database
        self._actor = actor
        self._tags = tags
        self._want = want

    def refused_groups(self, name_part: str) -> RefusedRows:
        """Return the groups of refused rows of the vehicles whose names contain a text."""

        def read(cursor: Cursor) -> RefusedRows:
            chosen = Chosen(name_part, self._tags)
            total = refused.refused_total(cursor, chosen)
            return RefusedRows(*total, groups=tuple(refused.refused_groups(cursor, chosen)))

        return self._database.run(read)

    def refused_page(self, group: RefusedGroup, before: int | None) -> RefusedRows:
        """Return the group's page that follows the row with the id `before`; None: the newest."""

        def read(cursor: Cursor) -> RefusedRows:
            page = tuple(refused.refused_rows(cursor, group, before))
            return RefusedRows(refused.group_size(cursor, group), 1, page=page)

        return self._database.run(read)

    def purge_groups(self, groups: tuple[RefusedGroup, ...]) -> int:
        """Delete groups of refused rows as they were counted; return how many rows there were."""
        action = on_dashboard(self._actor, "delete refused rows")

        def work(cursor: Cursor) -> int:
            deleted: Counter[UUID] = Counter()
            for group in groups:
                deleted[group.vehicle_id] += quarantine.purge_group(cursor, group)
            return _record_purged(cursor, action, deleted)

        return self._database.run(work)

    def purge_rows(self, rows: tuple[QuarantinedRow, ...]) -> int:
        """Delete refused rows; return how many there were."""
        ids = [row.id for row in rows]
        action = on_dashboard(self._actor, "delete refused rows")
        return self._database.run(
            lambda cursor: _record_purged(cursor, action, quarantine.purge_rows(cursor, ids))
        )

    def actions(self, name_part: str, before: LoggedAction | None) -> list[LoggedAction]:
        """Return the page of the action log that follows the row `before`; None: the newest."""

        def read(cursor: Cursor) -> list[LoggedAction]:
            only = vehicles_with(cursor, self._tags) if self._tags else None
            return read_actions(cursor, vehicles=only, name_part=name_part, before=before)

        return self._database.run(read)

    def notices(self, view: NoticeView, name_part: str, before: StoredNotice | None) -> ReadNotices:
        """Return the page of notices that follows `before`; None: the newest, or none in a view."""
        is_paged = view in (NoticeView.ALL, NoticeView.UNTOLD)

        def read(cursor: Cursor) -> ReadNotices:
            only = vehicles_with(cursor, self._tags) if self._tags else None
            page = (
                read_notices(
                    cursor,
                    vehicles=only,
                    name_part=name_part,
                    before=before,
                    only_untold=view is NoticeView.UNTOLD,
                )
                if is_paged
                else ()
            )
            mutes = read_mutes(cursor, vehicles=only, tags=self._tags, name_part=name_part)
            return ReadNotices(tuple(page), tuple(notices.targets(cursor)), mutes)

        return self._database.run(read)

    def jobs(self, name_part: str, *, only_open: bool) -> JobList:
        """Return the backfills and audits of the vehicles whose names contain a text."""
        chosen = Chosen(name_part, self._tags)

        def read(cursor: Cursor) -> JobList:
            pulled = list_backfills(cursor, chosen, only_open=only_open)
            return pulled + list_audits(cursor, chosen, only_open=only_open)

        return self._database.run(read)

    def examine(self, *, as_viewer: bool) -> Iterator[Finding | Unchecked]:
        """Yield the findings of doctor's checks of the database; each check blocks.

        A role that only looks is no daemon's role, and has not to have its rights. Of the checks,
        that of the API keys alone is about single vehicles: those that are shown.
        """
        as_viewer = as_viewer or fleet_checks.only_looks(self._database)
        check = fleet_checks.check_as_viewer if as_viewer else fleet_checks.check_as_daemon
        return check(self._database, self._want, utc_now, self._tags)


def _record_purged(cursor: Cursor, action: Action, deleted: Mapping[UUID, int]) -> int:
    """Record how many refused rows were deleted, and return it."""
    changes = [Change(key, before={"refused_rows": rows}) for key, rows in deleted.items() if rows]
    record(cursor, action, changes)
    return sum(deleted.values())
