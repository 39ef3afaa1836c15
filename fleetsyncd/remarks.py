"""What the entries of the journal say: the text of `error_msg`."""

from collections.abc import Sequence

from fleetsyncd.text import sanitise

ERROR_LIMIT = 1_000
LEAVES_GAP = "it is caught up beside what is live"
"""What the entry of a cycle says that does not pull all that is missing."""
ANOTHER = "another machine, or set up anew?"
"""What operators are asked when a vehicle contradicts what is known of it."""
BACKFILL_PREFIX, GAP_PREFIX, AUDIT_PREFIX = "backfill of ", "catch-up of ", "audit of "
"""How the journal entries of backfills, gaps and audits begin."""
BESIDE_CYCLES = (BACKFILL_PREFIX, GAP_PREFIX, AUDIT_PREFIX)
"""How the entries of all that is pulled beside the cycles begin; they say nothing of a lag."""
IS_OF_A_CYCLE = " AND ".join(
    f"coalesce(error_msg, '') NOT LIKE '{prefix}%%'" for prefix in BESIDE_CYCLES
)
"""The condition on a row of `sync_journal`, in SQL with arguments, that it is a cycle's entry."""


def join_remarks(*remarks: str | None) -> str | None:
    """Return the remarks that there are as one `error_msg`; None without any."""
    given = [remark for remark in remarks if remark]
    return sanitise("; ".join(given), ERROR_LIMIT) if given else None


def odd_alarms_remark(count: int) -> str | None:
    """Say that so many alarms were resolved before they were triggered."""
    return f"{count} alarm(s) resolved before they were triggered" if count else None


def reused_ids_remark(count: int) -> str | None:
    """Say that others of the vehicle's alarms have the ids of so many."""
    if not count:
        return None
    return f"{count} alarm(s) with the alarm_id of an older or newer one, both kept: {ANOTHER}"


def changed_channels_remark(changes: Sequence[object]) -> str | None:
    """Say that channels mean something else than before; the first of them with its meanings."""
    if not changes:
        return None
    rest = f" and {len(changes) - 1} more" if len(changes) > 1 else ""
    return f"{changes[0]}{rest}: {ANOTHER}"


def bad_rows_remark(count: int, left_out: int = 0, *, full: bool) -> str | None:
    """Say what became of so many bad rows; `full` if the quarantine could not keep all of them.

    `left_out` were too many of one answer for all to be kept.
    """
    if not count:
        return None
    if full:
        return f"{count} bad row(s) refused, the quarantine is full"
    rest = f", {left_out} of them only counted" if left_out else ""
    return f"{count} bad row(s) in quarantine{rest}"
