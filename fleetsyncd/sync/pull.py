"""Pull an interval from one vehicle, window by window, until every answer was complete."""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from fleetsyncd.errors import (
    BadAnswer,
    PullOverrun,
    PullStopped,
    VehicleError,
)
from fleetsyncd.models import Window
from fleetsyncd.sync import question_limit
from fleetsyncd.sync.link import Link
from fleetsyncd.sync.pace import Pace
from fleetsyncd.sync.prefetch import LazyPage, PendingPage, Prefetch
from fleetsyncd.sync.question_limit import QuestionLimit
from fleetsyncd.sync.window import Splitter
from fleetsyncd.telemetry import Alarm, BadRow, DataPage
from fleetsyncd.time_limits import CLOCK_TOLERANCE, OLDEST_ALARM
from fleetsyncd.times import utc_text
from fleetsyncd.vehicle import decode, parsing
from fleetsyncd.vehicle.answer import Answer
from fleetsyncd.vehicle.client import PAGE_LIMIT, VehicleClient
from fleetsyncd.vehicle.cpu_slices import CpuSlices

HISTORY_ROWS = 100
"""How many of a vehicle's oldest rows are asked for: the first ones may be bad."""
WindowPage = tuple[Window, DataPage]
Answered = Callable[[Window, DataPage], None]
"""Is called with each complete window while the session is free."""


def ignore(_window: Window, _page: DataPage) -> None:
    """Ask for nothing more after an answer."""


@dataclass(frozen=True, slots=True)
class AlarmsAnswer:
    """The alarms of a window; `digest` is that of the answer."""

    window: Window
    digest: int
    alarms: Sequence[Alarm]
    bad: Sequence[BadRow]


@dataclass(slots=True, kw_only=True)
class VehicleSource(Link):
    """A vehicle to pull from; `stop_reason` is called before each question, and ends the pull."""

    client: VehicleClient
    accepted_interval: Callable[[], Window]
    """The interval in which a measurement's time must lie at present."""
    stop_reason: Callable[[], str | None]
    prefetch: Prefetch = LazyPage
    """How the next page is asked for while this one is being stored."""
    pace: Pace | None = None
    """How fast the link may be filled; None: as fast as it carries."""
    monotonic: Callable[[], float] = time.monotonic

    def measurements(
        self, interval: Window, answered: Answered = ignore
    ) -> Generator[WindowPage, None, None]:
        """Yield the windows of `interval` in order, without a gap, each with all of its rows.

        The next window may be asked for already, so the session must not be used for anything else
        before the last window was taken or the generator was closed, but by `answered`, which is
        called before that with each window. Raises what that raises, PullStopped, PullOverrun only
        after the first window, and VehicleError.
        """
        limit = QuestionLimit(
            self.stop_reason,
            question_limit.LONGEST_SEC,
            question_limit.MOST_QUESTIONS,
            self.monotonic,
        )
        splitter = Splitter(interval)
        pending: PendingPage | None = None
        following: Window | None = None
        begun = False
        try:
            while rest := splitter.next_window():
                # What is asked for already: its answer may have changed the size.
                window = following or self._fit(rest)
                following = None
                try:
                    limit.check()
                    page = pending.result() if pending else self._page(window)
                    pending = None
                    if page.truncated:
                        if splitter.shrink(window, len(page)):
                            continue
                        page = self._page_by_channel(window, set(page.measurements.channels), limit)
                except VehicleError as error:
                    pending = None
                    if not self._ask_for_less(error, window, self.data_size, splitter, PAGE_LIMIT):
                        raise
                    continue
                except PullStopped as stop:
                    raise _ended(stop, window.start, begun=begun) from None
                if self._latency_bound:
                    splitter.widen()
                splitter.complete(window, len(page))
                answered(window, page)
                if rest := splitter.next_window():
                    following = self._fit(rest)
                    pending = self.prefetch(partial(self._page, following))
                yield window, page
                begun = True
        finally:
            if pending:
                pending.drop()

    def _fit(self, rest: Window) -> Window:
        """Return as much of `rest` as is asked for at once."""
        window = self.data_size.fit(rest)
        return window if self.pace is None else self.pace.fit(window)

    def history_begins(self, interval: Window) -> datetime | None:
        """Return the time of the oldest row in `interval`, its end if there is none.

        None if none of the oldest rows has a time that can be read. Raises VehicleError.
        """
        answer = self.client.data(interval, None, HISTORY_ROWS)
        _require_clock("/data", answer, interval.end)
        slices = CpuSlices("/data")
        with self._paid(answer, slices) as worth:
            worth.append(HISTORY_ROWS)
            return decode.oldest_time(answer.body, HISTORY_ROWS, interval, PAGE_LIMIT, slices)

    def carries_alarms(self, interval: Window) -> bool:
        """Tell whether one question may cover all of `interval`."""
        return self.alarms_size.fit(interval) == interval

    def alarms(
        self, interval: Window, stored_digest: int | None = None
    ) -> Iterator[tuple[Window, AlarmsAnswer | None]]:
        """Yield the windows of `interval` in order, each with its answer.

        None instead means that the answer equals the last stored one, which has `stored_digest`.
        Vehicles have no limit for this call, so an answer that is too large is asked for in halves.
        Raises PullStopped, PullOverrun and VehicleError.
        """
        limit = QuestionLimit(
            self.stop_reason,
            question_limit.LONGEST_ALARMS_SEC,
            question_limit.MOST_ALARMS_QUESTIONS,
            self.monotonic,
        )
        splitter = Splitter.of_alarms(interval)
        while rest := splitter.next_window():
            window = self.alarms_size.fit(rest)
            try:
                limit.check()
                answer = self.client.alarms(window)
                _require_clock("/alarms", answer, window.end)
                digest = answer.digest
                alarms = None if digest == stored_digest else self._alarms(window, digest, answer)
            except VehicleError as error:
                if not self._ask_for_less(
                    error, window, self.alarms_size, splitter, parsing.MAX_ALARMS
                ):
                    raise
                continue
            except PullOverrun as over:
                raise PullOverrun(f"/alarms: {over}") from None
            self._learn(self.alarms_size, window, answer)
            yield window, alarms
            splitter.complete(window, len(alarms.alarms) + len(alarms.bad) if alarms else 0)
            stored_digest = digest

    def _alarms(self, window: Window, digest: int, answer: Answer) -> AlarmsAnswer:
        slices = CpuSlices("/alarms")
        with self._paid(answer, slices) as worth:
            newest = self.accepted_interval().end
            good, bad = decode.alarms(answer.body, OLDEST_ALARM, newest, slices)
            worth.append(len(good))
        return AlarmsAnswer(window, digest, good, bad)

    def _page(self, window: Window, channel_id: int | None = None) -> DataPage:
        answer = self.client.data(window, channel_id)
        _require_clock("/data", answer, window.end)
        page = self._decode_page(answer, window)
        if page.truncated:
            self.discarded_bytes += answer.received
        elif channel_id is None:
            self._learn(self.data_size, window, answer)
            if self.pace is not None:
                self.pace.learn(window, answer.received)
        return page

    def _decode_page(self, answer: Answer, window: Window) -> DataPage:
        accepted, slices = self.accepted_interval(), CpuSlices("/data")
        with self._paid(answer, slices) as worth:
            page = decode.page(
                answer.body, PAGE_LIMIT, accepted.start, accepted.end, window, slices
            )
            worth.append(len(page.measurements))
        return page

    def _page_by_channel(
        self, window: Window, answered: set[int], limit: QuestionLimit
    ) -> DataPage:
        """Ask for a millisecond with too many rows for one answer channel by channel."""
        pages: list[DataPage] = []
        rows = 0
        for channel_id in sorted(answered.union(self._configured_channels(limit))):
            limit.check()
            pages.append(self._page(window, channel_id))
            if pages[-1].truncated:
                raise BadAnswer("/data", f"too many rows of channel {channel_id} in {window}")
            rows += len(pages[-1])
            if rows > PAGE_LIMIT:
                raise BadAnswer("/data", f"too many rows of all channels in {window}")
        return DataPage.merged(pages)

    def _configured_channels(self, limit: QuestionLimit) -> set[int]:
        limit.check()
        known, _bad = decode.channels(self.client.channels().body)
        return {channel.channel_id for channel in known}


def _require_clock(call: str, answer: Answer, end: datetime) -> None:
    """Raise BadAnswer if the vehicle's clock has not come to `end`: it may still stamp before that.

    After a power cut it may be back in 1970, and an answer as empty as if nothing was ever there.
    """
    clock = answer.clock
    if clock is not None and clock + CLOCK_TOLERANCE < end:
        raise BadAnswer(
            call, f"the vehicle's clock says {utc_text(clock)}, which is too early: set it"
        )


def _ended(stop: PullStopped, reached: datetime, *, begun: bool) -> Exception:
    """Return the error of a pull that ended, which says how far it came."""
    if isinstance(stop, PullOverrun) and not begun:
        return BadAnswer("/data", f"not one window is complete though {stop}")
    return type(stop)(f"{stop}; resumes at {utc_text(reached)}")
