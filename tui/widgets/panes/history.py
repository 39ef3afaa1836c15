"""The pane of a vehicle's lag, rows and outcomes over time."""

from collections.abc import Hashable, Sequence

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from fleetsyncd.database.views.history import History, Outcomes
from fleetsyncd.text import age
from tui.background import query
from tui.formatting import count_text
from tui.model.export_table import ExportTable
from tui.model.span import DAY, HOUR, MONTH, SIX_HOURS, WEEK, Span
from tui.model.sparks import count_scale, count_spark, lag_scale, lag_scale_text, spark
from tui.model.time_axis import TimeAxis
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
        history = await query(
            lambda: self.context.gateway.history(self.vehicle_id, span.seconds, width)
        )
        self.is_read = True
        vehicle = self.context.state.view.get(self.vehicle_id)
        own = None if vehicle is None else vehicle.own_interval_sec
        self.query_one("#curves", FixedText).show(history_text(history, span, own))

    def question(self) -> Hashable:
        """Return the span and the width of the curves."""
        return self.zoom, self.query_one("#curves").size.width

    def change_zoom(self, step: int) -> None:
        """Show a longer span (1) or a shorter one (-1)."""
        self.zoom = max(0, min(self.zoom + step, len(SPANS) - 1))
        self.refresh_data()

    def export_table(self) -> ExportTable:
        """Return the rows of the shown page of the journal."""
        return self.query_one(JournalTable).export_table()


def history_text(history: History, span: Span, own_interval_sec: float | None = None) -> Text:
    """Return the lines of lag, rows and outcomes over a span, and the time axis below them."""
    buckets = history.buckets
    lags = [bucket.lag for bucket in buckets]
    rows = [bucket.rows if bucket.attempts else None for bucket in buckets]
    lag_bounds, row_bounds = lag_scale(lags, own_interval_sec), count_scale(rows)
    lines = Text(no_wrap=True)
    lines.append(_label("lag", span)).append(spark(lags, lag_bounds), "cyan")
    lines.append(f"  {lag_scale_text(lag_bounds)} · longest {age(_longest(lags))}\n")
    lines.append(_label("rows", span)).append(count_spark(rows, row_bounds), "green")
    scale = f"0…{count_text(row_bounds.high)}" if any(row is not None for row in rows) else "-"
    lines.append(f"  {scale} · {_rate_text(history.rows_per_second)}\n")
    lines.append(_label("ok", span))
    for outcomes in history.outcomes:
        lines.append(*_outcome_mark(outcomes))
    lines.append(f"  {_share_text(history.all_outcomes)}\n")
    axis = TimeAxis(history.start, history.end, len(buckets))
    return lines.append(f" {'UTC':<{_LABEL_WIDTH - 1}}{axis.line}", "bright_black")


def _label(name: str, span: Span) -> str:
    return f" {f'{name} {span.name}':<{_LABEL_WIDTH - 1}}"


def _longest(lags: Sequence[float | None]) -> float | None:
    return max((lag for lag in lags if lag is not None), default=None)


def _rate_text(rows_per_second: float | None) -> str:
    return "no rate yet" if rows_per_second is None else f"{count_text(60 * rows_per_second)}/min"


def _share_text(outcomes: Outcomes) -> str:
    attempts = outcomes.attempts
    if not attempts:
        return "no attempts"
    share = f"{outcomes.ok / attempts:.0%}"
    if share == "100%" and outcomes.ok < attempts:
        share = ">99%"
    elif share == "0%" and outcomes.ok:
        share = "<1%"
    return f"{share} of {attempts}"


def _outcome_mark(outcomes: Outcomes) -> tuple[str, str]:
    if not outcomes.attempts:
        return "·", "bright_black"
    share = outcomes.ok / outcomes.attempts
    if share >= _ALL:
        return "●", "green"
    return ("◐", "yellow") if share >= _HALF else ("◌", "red")
