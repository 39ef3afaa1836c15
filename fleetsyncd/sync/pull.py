"""Asking one vehicle for an interval, in pieces, until all of it was answered completely."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Protocol

from fleetsyncd.errors import AnswerTooLarge, BadAnswer, PullStopped, VehicleError
from fleetsyncd.models import Alarm, BadRow, DataPage, Window
from fleetsyncd.sync.sessions import VehicleCache
from fleetsyncd.sync.window import MILLISECOND, Splitter
from fleetsyncd.time_limits import OLDEST_ALARM
from fleetsyncd.times import floor_ms
from fleetsyncd.vehicle import decode
from fleetsyncd.vehicle.client import PAGE_LIMIT, VehicleClient

WindowPage = tuple[Window, DataPage]
WindowAlarms = tuple[Window, tuple[list[Alarm], list[BadRow]] | None]


class PendingPage(Protocol):
    """A question that was begun before its answer is needed."""

    def result(self) -> DataPage:
        """Return the answer, once it is there; raise what asking raised."""

    def drop(self) -> None:
        """Let go of a question whose answer nobody needs any more."""


class LazyPage:
    """Stands in for a question that is asked meanwhile: this one is asked when it is needed."""

    def __init__(self, ask: Callable[[], DataPage]) -> None:
        self._ask = ask

    def result(self) -> DataPage:
        """Ask."""
        return self._ask()

    def drop(self) -> None:
        """Ask nothing."""


Prefetch = Callable[[Callable[[], DataPage]], PendingPage]


@dataclass(frozen=True, slots=True)
class VehicleSource:
    """A vehicle to ask; `stopped` names the reason to end early, and is asked between pieces."""

    client: VehicleClient
    memory: VehicleCache
    storable: Callable[[], Window]
    """The interval that a measurement's time must lie in at present."""
    stopped: Callable[[], str | None]
    begin: Prefetch = LazyPage
    """How the next question is begun while a page is being stored."""

    def measurements(self, interval: Window) -> Generator[WindowPage, None, None]:
        """Yield each piece of `interval`, in order and without a gap, with all of its rows.

        The vehicle may be at work on the next piece meanwhile, so nobody else may ask it anything
        before the last piece was taken or the generator was closed.
        """
        splitter = Splitter(interval)
        ahead: PendingPage | None = None
        try:
            while question := splitter.next_window():
                if reason := self.stopped():
                    raise PullStopped(f"{reason}; resumes at {question.start:%Y-%m-%d %H:%M:%S}")
                page = ahead.result() if ahead else self._page(question)
                ahead = None
                if page.truncated:
                    if splitter.shrink(question, len(page)):
                        continue
                    page = self._each_channel(question, set(page.measurements.channels))
                splitter.complete(question, len(page))
                if following := splitter.next_window():
                    ahead = self.begin(partial(self._page, following))
                yield question, page
        finally:
            if ahead:
                ahead.drop()

    def oldest(self, interval: Window) -> datetime | None:
        """Return the time of the oldest measurement that the vehicle holds; None without any."""
        times = self._page(interval, limit=1).measurements.times
        return times[0] if times else None

    def alarms(self, interval: Window) -> Iterator[WindowAlarms]:
        """Yield each piece of `interval`, in order, with its alarms and bad rows to be stored.

        None stands for those of the last answer, which are stored. An answer that is too large,
        to which vehicles know no limit, is asked for by halves.
        """
        pieces = [interval]
        while pieces:
            piece = pieces.pop()
            try:
                body = self.client.alarms(piece).body
                seen = hash(body)
                known = seen == self.memory.alarms_seen
                newest = self.storable().end
                found = None if known else decode.alarms(body, OLDEST_ALARM, newest)
            except AnswerTooLarge:
                if piece.length <= MILLISECOND:
                    raise
                half = floor_ms(piece.start + piece.length / 2)
                pieces += [Window(half, piece.end), Window(piece.start, half)]
            else:
                yield piece, found
                self.memory.alarms_seen = seen

    def _page(
        self, question: Window, channel_id: int | None = None, limit: int = PAGE_LIMIT
    ) -> DataPage:
        answer = self.client.data(question, channel_id, limit)
        bounds = self.storable()
        return decode.page(answer.body, limit, bounds.start, bounds.end, question)

    def _each_channel(self, question: Window, seen: set[int]) -> DataPage:
        """Ask a millisecond that holds too many rows for one answer, channel by channel."""
        pages = []
        for channel_id in sorted(seen.union(self._channel_ids())):
            pages.append(self._page(question, channel_id))
            if pages[-1].truncated:
                raise BadAnswer("/data", f"too many rows of channel {channel_id} in {question}")
        return DataPage.merged(pages)

    def _channel_ids(self) -> tuple[int, ...]:
        if not self.memory.channel_ids:
            known, _bad = decode.channels(self.client.channels().body)
            self.memory.channel_ids = tuple(channel.channel_id for channel in known)
        return self.memory.channel_ids


def lost_history(source: VehicleSource, gap: Window) -> str | None:
    """Say which part of `gap` the vehicle cannot give any more; None if it still has all of it.

    A vehicle that does not tell where its history begins is given the benefit of the doubt.
    """
    try:
        begins = source.oldest(Window(source.storable().start, gap.end))
    except VehicleError:
        return None
    if begins is None or begins <= gap.start:
        return None
    lost = f"{gap.start:%Y-%m-%d %H:%M:%S} to {begins:%Y-%m-%d %H:%M:%S}"
    return f"gone for good: {lost}, the vehicle's history begins there"
