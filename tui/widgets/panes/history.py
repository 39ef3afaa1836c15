"""The pane of a vehicle's lag, rows and outcomes over time."""

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from fleetsyncd.database.views.journal import HistoryBucket
from fleetsyncd.text import age
from tui.background import query
from tui.formatting import count_text, lag_spark, spark
from tui.model.export_table import ExportTable
from tui.model.span import DAY, HOUR, MONTH, SIX_HOURS, WEEK, Span
from tui.widgets.fixed_text import FixedText
from tui.widgets.journal_table import JournalTable
from tui.widgets.panes.alarms import AlarmsPane
from tui.widgets.panes.pane import Pane
from tui.widgets.row_table import READING

SPANS = (HOUR, SIX_HOURS, DAY, WEEK, MONTH)
"""The spans that the zoom keys choose from, the shortest first."""
_LABEL_WIDTH = 9
_SUMMARY_WIDTH = 26
_ALL, _HALF = 1.0, 0.5


class HistoryPane(Pane):
    """Lag, rows and the share of successful attempts over a span, above the newest attempts."""

    ZOOMABLE = True
    zoom = 0
    """Index into SPANS."""
    is_read = False
    """Whether a span has been read."""

    def compose(self) -> ComposeResult:
        """Lay out curves and attempts; the alarms beside them are shown on wide screens only."""
        with Horizontal():
            with Vertical():
                yield FixedText(id="curves")
                yield JournalTable(self.context, [self.vehicle_id], with_vehicle=False)
            yield AlarmsPane(self.context, self.vehicle_id, id="side-alarms")

    def on_mount(self) -> None:
        """Say that nothing has been read yet."""
        self.query_one("#curves", FixedText).show(Text(f" {READING}"))

    def show_unread(self, text: str) -> None:
        """Show why nothing was read, unless something was before."""
        if not self.is_read:
            self.query_one("#curves", FixedText).show(Text(f" {text}"))

    async def load(self) -> None:
        """Read the span and the newest attempts, and show them."""
        self.query_one(JournalTable).reload()
        alarms = self.query_one("#side-alarms", AlarmsPane)
        if alarms.display:
            alarms.refresh_data()
        span = SPANS[self.zoom]
        width = max(20, self.query_one("#curves").size.width - _LABEL_WIDTH - _SUMMARY_WIDTH)
        buckets = await query(
            lambda: self.context.gateway.history(self.vehicle_id, span.seconds, width)
        )
        self.is_read = True
        self.query_one("#curves", FixedText).show(history_text(buckets, span))

    def change_zoom(self, step: int) -> None:
        """Show a longer span (1) or a shorter one (-1)."""
        self.zoom = max(0, min(self.zoom + step, len(SPANS) - 1))
        self.refresh_data()

    def export_table(self) -> ExportTable:
        """Return the rows of the shown page of the journal."""
        return self.query_one(JournalTable).export_table()


def history_text(buckets: list[HistoryBucket], span: Span) -> Text:
    """Return the lines of lag, rows and outcomes over a span."""
    lags, rows = [bucket.lag for bucket in buckets], [bucket.rows for bucket in buckets]
    attempts, ok = sum(b.attempts for b in buckets), sum(b.ok for b in buckets)
    per_minute = sum(rows) / (span.seconds / 60)
    lines = Text(no_wrap=True)
    lines.append(f" {f'lag {span.name}':<{_LABEL_WIDTH - 1}}").append(lag_spark(lags), "cyan")
    lines.append(f"  longest {age(max(lags, default=0.0))}\n")
    lines.append(f" {f'rows {span.name}':<{_LABEL_WIDTH - 1}}").append(spark(rows), "green")
    lines.append(f"  {count_text(per_minute)}/min\n")
    lines.append(f" {f'ok {span.name}':<{_LABEL_WIDTH - 1}}")
    for bucket in buckets:
        lines.append(*_outcome_mark(bucket))
    share = f"{ok / attempts:.0%} of {attempts}" if attempts else "no attempts"
    return lines.append(f"  {share}")


def _outcome_mark(bucket: HistoryBucket) -> tuple[str, str]:
    if not bucket.attempts:
        return "·", "bright_black"
    share = bucket.ok / bucket.attempts
    if share >= _ALL:
        return "●", "green"
    return ("◐", "yellow") if share >= _HALF else ("◌", "red")
