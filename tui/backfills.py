"""Backfills: past intervals that are pulled again."""

from fleetsyncd.database.views.backfills import BackfillStatus
from fleetsyncd.models import Window
from fleetsyncd.text import counted
from tui.dialogs.backfill import BackfillForm
from tui.jobs import Ended, Jobs, some_text


class Backfills(Jobs[Window, BackfillStatus]):
    """Asks for an interval, requests it or cancels what runs, and reports the outcome."""

    NOUN, A_NOUN = "backfill", "a backfill"
    FORM = BackfillForm
    DONE_STAYS = "stays stored"
    REPEATS = "Pull this interval"
    OPEN_REPEATED = "what was pulled of it already is pulled again"

    def same(self, status: BackfillStatus) -> Window:
        """Return the interval."""
        return status.window

    def outcome_text(self, ended: Ended[BackfillStatus]) -> str:
        """Say how several vehicles' backfills ended, or the one of a single vehicle."""
        done = [(name, status) for name, status in ended if status is not None]
        rows = counted(sum(status.rows_added for _, status in done), "row")
        if len(ended) == 1:
            return f"{done[0][1].outcome}, {rows}" if done else "cancelled or replaced"
        lacking = some_text((
            ("of them without what is gone", [name for name, each in done if each.gone_sec > 0]),
            ("of them without alarms", [name for name, each in done if each.lacks_alarms]),
            ("cancelled or replaced", [name for name, each in ended if each is None]),
        ))  # fmt: skip
        return "; ".join([f"{len(done)} complete, {rows}", *lacking])
