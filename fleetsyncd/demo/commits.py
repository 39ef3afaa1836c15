"""The rows that a simulated vehicle has committed by a moment: nothing is remembered."""

from dataclasses import dataclass

from fleetsyncd.demo import readings
from fleetsyncd.demo.lateness import Lateness
from fleetsyncd.demo.readings import Page
from fleetsyncd.demo.waveforms import HEADS, TAIL


@dataclass(frozen=True, slots=True)
class Commits:
    """What is committed at `now_ms` of the rows stamped from `since_ms` until before `until_ms`."""

    seed: int
    channels: int
    lateness: Lateness
    now_ms: int
    since_ms: int
    until_ms: int

    def page(self, start_ms: int, end_ms: int, limit: int, channel_id: int | None = None) -> Page:
        """Write the first `limit` rows of the interval as JSON."""
        start, end = max(start_ms, self.since_ms), min(end_ms, self.until_ms)
        # Older rows are all there, so that a long window costs as little as a prompt vehicle's.
        all_there = min(end, self.now_ms - self.lateness.most_ms + 1)
        old = readings.page(self.seed, start, all_there, limit, channel_id, channels=self.channels)
        if all_there == end:
            return old
        new = self._row_by_row(max(start, all_there), end, limit - old.count, channel_id)
        json = ",".join(part for part in (old.json, new.json) if part)
        return Page(json, old.count + new.count, old.truncated or new.truncated)

    def latest(self) -> str:
        """Write the newest row of each channel, as the inside of a JSON list."""
        rows = []
        for channel_id in range(1, self.channels + 1):
            newest = self.newest_ms(channel_id)
            if newest is not None:
                rows.append(self.page(newest, newest + 1, 1, channel_id).json)
        return ",".join(rows)

    def newest_ms(self, channel_id: int | None = None) -> int | None:
        """Return the newest stamp, of any channel unless one is given; None without rows."""
        newest = (self.until_ms - 1) // 1000
        oldest = newest - -(-self.lateness.most_ms // 1000) - 1
        for second in range(newest, oldest - 1, -1):
            stamp = readings.stamp_ms(self.seed, second)
            if self.since_ms <= stamp < self.until_ms and self._has(stamp, channel_id):
                return stamp
        return None

    def _has(self, stamp: int, channel_id: int | None) -> bool:
        chosen = range(1, self.channels + 1) if channel_id is None else (channel_id,)
        return any(self._is_committed(each, stamp) for each in chosen)

    def _is_committed(self, channel_id: int, stamp: int) -> bool:
        return stamp + self.lateness.of(self.seed, channel_id, stamp) <= self.now_ms

    def _row_by_row(self, start: int, end: int, limit: int, channel_id: int | None) -> Page:
        rows = readings.rows(self.seed, start, end, channel_id, channels=self.channels)
        there = [row for row in rows if self._is_committed(row[0], row[1])]
        json = ",".join(_row_json(*row) for row in there[:limit])
        return Page(json, min(len(there), limit), len(there) > limit)


def _row_json(channel_id: int, stamp: int, value: float | None) -> str:
    written = "null" if value is None else repr(value)
    return f'{HEADS[channel_id - 1]}{written}{TAIL}{readings.iso(stamp)}"}}'
