"""The time axis of a picture: which cell a time belongs to, and where labels stand; UTC."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_STEPS = (
    1, 2, 5, 10, 15, 30, _MINUTE, 2 * _MINUTE, 5 * _MINUTE, 10 * _MINUTE, 15 * _MINUTE,
    30 * _MINUTE, _HOUR, 2 * _HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR, _DAY, 2 * _DAY, 5 * _DAY,
    10 * _DAY, 20 * _DAY, 50 * _DAY, 100 * _DAY, 200 * _DAY, 500 * _DAY, 1000 * _DAY,
)  # fmt: skip
"""The distances that labels may have, in seconds."""
_LABEL_SPACE = 3
"""Cells of the mark before a label and of the room behind it."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MARK = "╵"
"""Stands before each label, in the cell of the label's time."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled time."""

    cell: int
    at: float
    label: str


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """A span of time, `start` included and `end` excluded, over `width` cells; seconds since 1970.

    `start` is before `end`.
    """

    start: float
    end: float
    width: int

    def cell(self, at: float) -> int | None:
        """Return the cell of a time; None for a time that is not on the axis."""
        if not self.start <= at < self.end:
            return None
        return min(self.width - 1, int((at - self.start) / (self.end - self.start) * self.width))

    @property
    def ticks(self) -> list[Tick]:
        """The labelled times, the first one first; their labels do not touch each other."""
        step, text_format = self._step()
        ticks: list[Tick] = []
        at, taken = -(-self.start // step) * step, 0
        while at < self.end:
            cell, label = self.cell(at), f"{utc(at):{text_format}}"
            if cell is not None and taken <= cell <= self.width - len(MARK) - len(label):
                ticks.append(Tick(cell, at, label))
                taken = cell + len(MARK) + len(label)
            at += step
        return ticks

    @property
    def line(self) -> str:
        """The labels, each behind a mark in the cell of its time; exactly `width` characters."""
        line = ""
        for tick in self.ticks:
            line += " " * (tick.cell - len(line)) + MARK + tick.label
        return line.ljust(self.width)

    def _step(self) -> tuple[int, str]:
        """Return the shortest distance at which labels fit, and the format that it needs."""
        cell_sec = (self.end - self.start) / self.width
        for step in _STEPS:
            text_format = self._format(step)
            if step / cell_sec >= len(f"{utc(self.start):{text_format}}") + _LABEL_SPACE:
                return step, text_format
        return _STEPS[-1], self._format(_STEPS[-1])

    def _format(self, step: int) -> str:
        if step >= _DAY:
            return "%Y-%m-%d"
        time_format = "%H:%M:%S" if step < _MINUTE else "%H:%M"
        return (
            time_format
            if utc(self.start).date() == utc(self.end).date()
            else (f"%m-%d {time_format}")
        )


def utc(at: float) -> datetime:
    """Return a time of seconds since 1970, also before it."""
    return _EPOCH + timedelta(seconds=at)


def moment_text(at: float) -> str:
    """Return a time of seconds since 1970, cut to seconds, with its zone."""
    return f"{utc(at):%Y-%m-%d %H:%M:%S} UTC"


def span_text(start: float, end: float) -> str:
    """Return a span of time with its zone; seconds and the day of the end only where they tell."""
    begins, ends = utc(start), utc(end)
    time_format = "%H:%M:%S" if end - start <= _HOUR else "%H:%M"
    day = "" if begins.date() == ends.date() else f"{ends:%Y-%m-%d} "
    return f"{begins:%Y-%m-%d {time_format}} to {day}{ends:{time_format}} UTC"
