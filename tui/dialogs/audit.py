"""The dialog that asks for a past interval to be compared with what vehicles have."""

from datetime import datetime

from textual.app import ComposeResult

from fleetsyncd.times import parse_time, utc_span, utc_text
from tui.dialogs.interval import IntervalForm, estimate_text
from tui.job_gateway import WantedAudit
from tui.widgets.checkbox import PlainCheckbox

EVERYTHING = "all"


class AuditForm(IntervalForm[WantedAudit]):
    """Asks for an interval to be compared, and whether to store what is missing.

    An empty field means that it begins where the stored measurements begin.
    """

    NOUN = "audit"
    FROM_LABEL = "From (24h, 7d, 2026-11-23 14:30, your clock; empty: all stored)"
    PRESETS = (*IntervalForm.PRESETS, EVERYTHING)

    def choices(self) -> ComposeResult:
        """Lay out what becomes of missing rows."""
        yield PlainCheckbox(
            "store what is missing, not only count it", value=True, id="store", compact=True
        )

    def preset(self, name: str) -> str:
        """Return where the interval of a preset begins."""
        return "" if name == EVERYTHING else name

    @property
    def _reports_only(self) -> bool:
        return not self.query_one("#store", PlainCheckbox).value

    def wanted(self) -> WantedAudit:
        """Return what the fields say; raise CommandError if it is not valid."""
        if not self.typed("from").strip():
            return WantedAudit(None, self._end(), self._reports_only)
        window = self.window()
        return WantedAudit(window.start, window.end, self._reports_only)

    def estimate(self) -> str:
        """Return the interval, and how much there is to compare."""
        wanted = self.wanted()
        if wanted.start is None:
            text = f"all that is stored up to {utc_text(wanted.end)}"
        else:
            span = utc_span(wanted.start, wanted.end)
            text = f"{span}\n{estimate_text(self.work, wanted.end - wanted.start)}"
        return f"{text}\nIt takes the place of the running audit" if self.work.is_running else text

    def _end(self) -> datetime:
        """Return where the interval ends if it has no start; raise CommandError as `parse_time`."""
        now = self.context.wall()
        return min(now, parse_time(self.typed("to"), now))
