"""Pull an interval from one vehicle, window by window, until every answer was complete."""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Protocol

from fleetsyncd.errors import AnswerTooLarge, BadAnswer, PullStopped, VehicleError
from fleetsyncd.models import Alarm, BadRow, DataPage, Window
from fleetsyncd.sync.window import MILLISECOND, Splitter
from fleetsyncd.time_limits import OLDEST_ALARM
from fleetsyncd.times import floor_ms
from fleetsyncd.vehicle import decode
from fleetsyncd.vehicle.client import PAGE_LIMIT, VehicleClient

WindowPage = tuple[Window, DataPage]


@dataclass(frozen=True, slots=True)
class AlarmsAnswer:
    """The alarms of a window; `digest` is that of the answer."""

    window: Window
    digest: int
    alarms: Sequence[Alarm]
    bad: Sequence[BadRow]


class PendingPage(Protocol):
    """A page that was asked for before it is needed."""

    def result(self) -> DataPage:
        """Return the page once it has arrived; raise the error that asking for it raised."""

    def drop(self) -> None:
        """Give up a page that is not needed any more."""


class LazyPage:
    """A pending page that is asked for only when it is needed."""

    def __init__(self, ask: Callable[[], DataPage]) -> None:
        self._ask = ask

    def result(self) -> DataPage:
        """Ask for the page and return it."""
        return self._ask()

    def drop(self) -> None:
        """Do nothing: the page was not asked for."""


Prefetch = Callable[[Callable[[], DataPage]], PendingPage]


@dataclass(frozen=True, slots=True)
class VehicleSource:
    """A vehicle to pull from; `stop_reason` is called between windows, and ends the pull."""

    client: VehicleClient
    accepted_interval: Callable[[], Window]
    """The interval in which a measurement's time must lie at present."""
    stop_reason: Callable[[], str | None]
    prefetch: Prefetch = LazyPage
    """How the next page is asked for while this one is being stored."""

    def measurements(self, interval: Window) -> Generator[WindowPage, None, None]:
        """Yield the windows of `interval` in order, without a gap, each with all of its rows.

        The next window may be asked for already, so the session must not be used for anything else
        before the last window was taken or the generator was closed.
        """
        splitter = Splitter(interval)
        pending: PendingPage | None = None
        try:
            while window := splitter.next_window():
                if reason := self.stop_reason():
                    raise PullStopped(f"{reason}; resumes at {window.start:%Y-%m-%d %H:%M:%S}")
                page = pending.result() if pending else self._page(window)
                pending = None
                if page.truncated:
                    if splitter.shrink(window, len(page)):
                        continue
                    page = self._page_by_channel(window, set(page.measurements.channels))
                splitter.complete(window, len(page))
                if following := splitter.next_window():
                    pending = self.prefetch(partial(self._page, following))
                yield window, page
        finally:
            if pending:
                pending.drop()

    def oldest(self, interval: Window) -> datetime | None:
        """Return the time of the oldest measurement that the vehicle has; None without any."""
        times = self._page(interval, limit=1).measurements.times
        return times[0] if times else None

    def alarms(
        self, interval: Window, stored_digest: int | None = None
    ) -> Iterator[tuple[Window, AlarmsAnswer | None]]:
        """Yield the windows of `interval` in order, each with its answer.

        None instead means that the answer equals the last stored one, which has `stored_digest`.
        Vehicles have no limit for this call, so an answer that is too large is asked for in halves.
        """
        windows = [interval]
        while windows:
            window = windows.pop()
            try:
                answer = self.client.alarms(window)
                digest = answer.digest
                stored = digest == stored_digest
                alarms = None if stored else self._alarms(window, digest, answer.body)
            except AnswerTooLarge:
                if window.length <= MILLISECOND:
                    raise
                half = floor_ms(window.start + window.length / 2)
                windows += [Window(half, window.end), Window(window.start, half)]
            else:
                yield window, alarms
                stored_digest = digest

    def _alarms(self, window: Window, digest: int, body: bytes) -> AlarmsAnswer:
        good, bad = decode.alarms(body, OLDEST_ALARM, self.accepted_interval().end)
        return AlarmsAnswer(window, digest, good, bad)

    def _page(
        self, window: Window, channel_id: int | None = None, limit: int = PAGE_LIMIT
    ) -> DataPage:
        answer = self.client.data(window, channel_id, limit)
        accepted = self.accepted_interval()
        return decode.page(answer.body, limit, accepted.start, accepted.end, window)

    def _page_by_channel(self, window: Window, answered: set[int]) -> DataPage:
        """Ask for a millisecond with too many rows for one answer channel by channel."""
        pages = []
        for channel_id in sorted(answered.union(self._configured_channels())):
            pages.append(self._page(window, channel_id))
            if pages[-1].truncated:
                raise BadAnswer("/data", f"too many rows of channel {channel_id} in {window}")
        return DataPage.merged(pages)

    def _configured_channels(self) -> set[int]:
        known, _bad = decode.channels(self.client.channels().body)
        return {channel.channel_id for channel in known}


def lost_history(source: VehicleSource, gap: Window) -> str | None:
    """Say which part of `gap` the vehicle has dropped already; None if it still has all of it.

    If the start of the vehicle's history is not known, nothing is taken as lost.
    """
    try:
        begins = source.oldest(Window(source.accepted_interval().start, gap.end))
    except VehicleError:
        return None
    if begins is None or begins <= gap.start:
        return None
    lost = f"{gap.start:%Y-%m-%d %H:%M:%S} to {begins:%Y-%m-%d %H:%M:%S}"
    return f"gone for good: {lost}, the vehicle's history begins there"
