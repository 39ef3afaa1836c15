"""Edits of several vehicles at once, by statements each of which is about all of them.

A cycle waits while its vehicle is locked, so edits of very many are several transactions.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from uuid import UUID

from fleetsyncd.actions import Action
from fleetsyncd.database.action_log import recorded
from fleetsyncd.database.bulk import AT_ONCE
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.vehicle_changes import VehicleChange, change_seen, require_seen
from fleetsyncd.database.vehicle_terms import change_terms_of, check_change
from fleetsyncd.database.vehicles import RegisteredVehicle
from fleetsyncd.errors import CommandError
from fleetsyncd.terms import TermsChange
from fleetsyncd.text import counted


def set_terms(
    database: Database,
    names: Mapping[UUID, str],
    change: TermsChange,
    action: Action,
    default_sync_interval_sec: float,
) -> int:
    """Change the terms of vehicles (names by id); return how many of them are still registered.

    Raises CommandError, and changes none, if those of one cannot go together. Of more than AT_ONCE
    some may be changed before somebody else makes one of the others such; the error says so.
    """

    def check(cursor: Cursor) -> None:
        check_change(cursor, names, change, default_sync_interval_sec)

    def set_some(ids: Collection[UUID], cursor: Cursor) -> int:
        some = {key: names[key] for key in ids}
        with recorded(cursor, action, ids):
            return change_terms_of(cursor, some, change, default_sync_interval_sec)

    return _in_parts(database, names, check, set_some)


def edit(
    database: Database,
    seen: Sequence[RegisteredVehicle],
    new: VehicleChange,
    action: Action,
    default_sync_interval_sec: float,
) -> None:
    """Change vehicles that are still registered as they were `seen`, all of them or none.

    Raises CommandError as `change_seen` does; of more than AT_ONCE as `set_terms`.
    """
    vehicles = {each.id: each for each in seen}
    names = {each.id: each.name for each in seen}

    def check(cursor: Cursor) -> None:
        require_seen(cursor, seen, new)
        check_change(cursor, names, new.terms, default_sync_interval_sec)

    def edit_some(ids: Collection[UUID], cursor: Cursor) -> int:
        with recorded(cursor, action, ids):
            change_seen(cursor, [vehicles[key] for key in ids], new, default_sync_interval_sec)
        return len(ids)

    _in_parts(database, names, check, edit_some)


def _in_parts(
    database: Database,
    names: Mapping[UUID, str],
    check: Callable[[Cursor], None],
    work: Callable[[Collection[UUID], Cursor], int],
) -> int:
    """Do the work on AT_ONCE vehicles after the other, after a check of all; return its sum."""
    # In the order in which they are locked, so that two of these cannot wait for each other.
    ordered = sorted(names)
    changed = 0
    try:
        if len(ordered) > AT_ONCE:
            database.run(check)
        for start in range(0, len(ordered), AT_ONCE):
            changed += database.run(partial(work, ordered[start : start + AT_ONCE]))
    except CommandError as error:
        if len(ordered) == 1:
            raise
        done = "nothing was changed"
        if changed:
            done = f"{counted(changed, 'vehicle')} changed before that, try again for the others"
        raise CommandError(f"{error}: {done}") from None
    return changed
