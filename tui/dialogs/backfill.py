"""The dialog that asks for a past interval to be pulled again."""

from fleetsyncd.models import Window
from fleetsyncd.times import utc_span
from tui.dialogs.interval import IntervalForm, estimate_text


class BackfillForm(IntervalForm[Window]):
    """Asks for an interval to be pulled again."""

    NOUN = "backfill"

    def wanted(self) -> Window:
        """Return the interval of the fields; raise CommandError if it is not valid."""
        return self.window()

    def estimate(self) -> str:
        """Return the interval, and how much there is to pull."""
        window = self.window()
        text = estimate_text(self.work, window.length, "rows already stored are not doubled")
        return f"{utc_span(window.start, window.end)}\n{text}"
