"""The pane of a vehicle's lag, rows and attempts over time."""

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from fleetsyncd.database.views.journal import HistoryBucket
from fleetsyncd.text import age
from tui.background import query
from tui.formatting import count_text, lag_spark, spark
from tui.widgets.fixed_text import FixedText
from tui.widgets.journal_table import JournalTable
from tui.widgets.panes.alarms import AlarmsPane
from tui.widgets.panes.pane import Pane

SPANS = (("1h", 3600), ("6h", 21_600), ("24h", 86_400), ("7d", 604_800), ("30d", 2_592_000))
_LABEL = 9
_TAIL = 26
_GOOD, _FAIR = 1.0, 0.5


class HistoryPane(Pane):
    """Lag, rows and the share of good attempts over a span; the newest attempts beneath."""

    zoom = 0

    def compose(self) -> ComposeResult:
        """Lay out the curves over the newest attempts, and on wide screens alarms beside both."""
        with Horizontal():
            with Vertical():
                yield FixedText(id="curves")
                yield JournalTable(self.context, [self.vehicle_id], named=False)
            yield AlarmsPane(self.context, self.vehicle_id, id="beside")

    async def load(self) -> None:
        """Read the span and show it."""
        self.query_one(JournalTable).reload()
        name, seconds = SPANS[self.zoom]
        width = max(20, self.query_one("#curves").size.width - _LABEL - _TAIL)
        span = await query(lambda: self.context.gateway.history(self.vehicle_id, seconds, width))
        self.query_one("#curves", FixedText).show(history_text(span, name, seconds))
        beside = self.query_one("#beside", AlarmsPane)
        if beside.display:
            await beside.load()

    def change_zoom(self, step: int) -> None:
        """Show a longer span (1) or a shorter one (-1)."""
        self.zoom = max(0, min(self.zoom + step, len(SPANS) - 1))
        self.refresh_data()


def history_text(span: list[HistoryBucket], name: str, seconds: float) -> Text:
    """Return the three lines that tell a span."""
    lags, rows = [bucket.lag for bucket in span], [bucket.rows for bucket in span]
    attempts, ok = sum(b.attempts for b in span), sum(b.ok for b in span)
    per_minute = sum(rows) / (seconds / 60)
    lines = Text(no_wrap=True)
    lines.append(f" {f'lag {name}':<{_LABEL - 1}}").append(lag_spark(lags), "cyan")
    lines.append(f"  longest {age(max(lags, default=0.0))}\n")
    lines.append(f" {f'rows {name}':<{_LABEL - 1}}").append(spark(rows), "green")
    lines.append(f"  {count_text(per_minute)}/min\n")
    lines.append(f" {f'ok {name}':<{_LABEL - 1}}")
    for bucket in span:
        lines.append(*_share(bucket))
    share = f"{ok / attempts:.0%} of {attempts}" if attempts else "no attempts"
    return lines.append(f"  {share}")


def _share(bucket: HistoryBucket) -> tuple[str, str]:
    if not bucket.attempts:
        return "·", "bright_black"
    share = bucket.ok / bucket.attempts
    if share >= _GOOD:
        return "●", "green"
    return ("◐", "yellow") if share >= _FAIR else ("◌", "red")
