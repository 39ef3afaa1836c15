"""Questions sized to the link, over links that exist in virtual time only."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsyncd.errors import (
    AnswerCutOff,
    AnswerTooLarge,
    BadAnswer,
    PullOverrun,
    PullStopped,
    VehicleError,
    VehicleTimeout,
)
from fleetsyncd.models import Window
from fleetsyncd.sync import question_limit
from fleetsyncd.sync.link import MOST_BROKEN
from fleetsyncd.sync.pull import VehicleSource
from fleetsyncd.sync.sizing import LONGEST, SHORTEST, QuestionSize
from fleetsyncd.telemetry import BadRow, DataPage, Measurements
from fleetsyncd.vehicle import parsing
from fleetsyncd.vehicle.answer import Answer
from fleetsyncd.vehicle.client import PAGE_LIMIT

NOW = datetime(2026, 2, 22, 12, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
DEADLINE_SEC = 10.0
INTERVAL_SEC = 30.0
BYTES_A_SECOND = 70.0
"""Of measurements, compressed: 18 channels at 1 Hz."""
ROWS_A_SECOND = 18
HEAD_BYTES = 250.0
STATUS_BYTES, CHANNELS_BYTES = 200.0, 650.0
PACKET_BYTES = 1_460.0


@dataclass
class Link:
    """A link and the vehicle behind it, on a clock of their own; `rate` is in bytes a second."""

    rate: float
    latency_sec: float = 0.3
    thinking_sec: float = 0.0
    """How long the vehicle takes before it sends anything."""
    loss: float = 0.0
    length_known: bool = True
    cut_after: float | None = None
    """Bytes after which every connection breaks."""
    now_sec: float = 0.0
    carried: float = 0.0
    discarded: float = 0.0
    questions: list[Window] = field(default_factory=list)
    pull_timeout_sec: float = DEADLINE_SEC

    def __post_init__(self) -> None:
        self.dice = random.Random(1)  # noqa: S311  no secret

    def data(self, window: Window, _channel: int | None = None, _limit: int = 0) -> Answer:
        self.questions.append(window)
        rows = min(window.length.total_seconds() * ROWS_A_SECOND, PAGE_LIMIT)
        size = rows * BYTES_A_SECOND / ROWS_A_SECOND
        self.fetch("/data", size)
        return self.answer(b"%d" % rows, size)

    def alarms(self, window: Window) -> Answer:
        self.questions.append(window)
        size = 40 + window.length.total_seconds() * 0.2
        self.fetch("/alarms", size)
        return self.answer(json.dumps([{"at": str(window)}]).encode(), size)

    def fetch(self, call: str, size: float) -> None:
        """Let a body of this size come over the link; raise what breaks on the way."""
        packets = int((HEAD_BYTES + size) / PACKET_BYTES) + 1
        stalls = sum(self.dice.random() < self.loss for _ in range(packets))
        rate_sec = (HEAD_BYTES + size) / self.rate + stalls * 1.0
        seconds = self.latency_sec + self.thinking_sec + rate_sec
        if self.cut_after is not None and size > self.cut_after:
            self.now_sec += self.latency_sec + (HEAD_BYTES + self.cut_after) / self.rate
            raise self.broken(AnswerCutOff(call, "the answer was cut off"), self.cut_after, size)
        if seconds > DEADLINE_SEC:
            self.now_sec += DEADLINE_SEC
            waited = self.latency_sec + self.thinking_sec
            came = max(0.0, (DEADLINE_SEC - waited) * self.rate - HEAD_BYTES)
            raise self.broken(VehicleTimeout(call, "late"), came, size)
        self.now_sec += seconds
        self.carried += HEAD_BYTES + size
        self.last_sec = rate_sec

    def broken(self, error: VehicleError, came: float, size: float) -> VehicleError:
        self.discarded += came
        error.received = int(came)
        error.expected = int(size) if self.length_known else None
        return error

    def answer(self, body: bytes, size: float) -> Answer:
        return Answer(body, None, self.latency_sec + self.thinking_sec, self.last_sec, int(size))


class CountingSource(VehicleSource):
    """Takes a body for the number of its rows, since a million of them would take too long."""

    def _decode_page(self, answer: Answer, _window: Window) -> DataPage:
        rows = (BadRow("/data", "", ""),) * int(answer.body)
        return DataPage(Measurements((), (), ()), len(rows) >= PAGE_LIMIT, rows)


def source(link: Link, size: QuestionSize, stop: Callable[[], str | None]) -> VehicleSource:
    client: Any = link
    return CountingSource(
        client=client,
        accepted_interval=lambda: Window(NOW - timedelta(days=400), NOW + timedelta(days=400)),
        stop_reason=stop,
        data_size=size,
        alarms_size=QuestionSize(size.length, DEADLINE_SEC),
        monotonic=lambda: link.now_sec,
    )


@dataclass
class CaughtUp:
    """How a gap was pulled."""

    took_sec: float
    cycles: int
    link: Link


def catch_up(link: Link, gap: timedelta, within_sec: float) -> CaughtUp:
    """Run cycles until the watermark has come up to the present, as the daemon runs them."""
    watermark = NOW - gap
    learned: timedelta | None = None
    cycles = 0
    while (present := NOW + link.now_sec * SECOND) - watermark > 2 * MINUTE:
        assert link.now_sec < within_sec, f"{present - watermark} behind after {link.now_sec:.0f} s"
        began = link.now_sec
        cycles += 1
        goes_on = False
        pulled = source(link, QuestionSize(learned, DEADLINE_SEC), lambda: None)
        try:
            for size in (STATUS_BYTES, CHANNELS_BYTES):
                link.fetch("/status", size)
            for window, _page in pulled.measurements(Window(watermark - 5 * SECOND, present)):
                watermark = window.end
        except PullOverrun:
            goes_on = True
        except VehicleError:
            pass
        learned = pulled.data_size.length
        if not goes_on:
            link.now_sec = max(link.now_sec, began + INTERVAL_SEC)
    return CaughtUp(link.now_sec, cycles, link)


def ideal_sec(link: Link, gap: timedelta) -> float:
    """How long the link takes for the gap and what is measured meanwhile, without any overhead."""
    return gap.total_seconds() * BYTES_A_SECOND / (link.rate - BYTES_A_SECOND)


@pytest.mark.parametrize("loss", [0.0, 0.02])
@pytest.mark.parametrize(
    "gap", [10 * MINUTE, 3 * 60 * MINUTE, timedelta(days=1), timedelta(days=3)]
)
@pytest.mark.parametrize("kbit", [8, 32, 100, 1000])
def test_a_gap_comes_at_four_fifths_of_what_the_link_carries(
    kbit: int, gap: timedelta, loss: float
) -> None:
    link = Link(kbit * 1000 / 8, loss=loss)
    # Packets that are sent again are not the program's to win back.
    carries = 1 / (1 + loss * link.rate / PACKET_BYTES)
    bound_sec = ideal_sec(link, gap) / carries / 0.8
    # A short gap is over before the first cycle that broke off has paid for itself.
    caught = catch_up(link, gap, bound_sec + 3 * INTERVAL_SEC)
    assert caught.link.discarded <= 2 * DEADLINE_SEC * link.rate


@pytest.mark.parametrize("length_known", [True, False])
def test_a_link_of_twice_the_live_flow_catches_up(length_known: bool) -> None:
    live = STATUS_BYTES + CHANNELS_BYTES + 4 * HEAD_BYTES + 35 * BYTES_A_SECOND
    link = Link(2 * live / INTERVAL_SEC, length_known=length_known)
    catch_up(link, 20 * MINUTE, 2 * 3600)


def test_what_broke_off_is_bounded_in_every_cycle_though_its_length_is_not_known() -> None:
    link = Link(1_000, length_known=False)
    pulled = source(link, QuestionSize(None, DEADLINE_SEC), lambda: None)
    with pytest.raises(VehicleTimeout):
        list(pulled.measurements(Window(NOW - timedelta(days=1), NOW)))
    assert len(link.questions) == pulled.broken_answers == MOST_BROKEN
    assert pulled.discarded_bytes == pytest.approx(link.discarded, abs=MOST_BROKEN)
    assert "3 answer(s) broke off" in str(pulled.broken_remark)
    assert pulled.learned.data is not None
    assert pulled.learned.data <= timedelta(days=1) / 2**MOST_BROKEN


def test_a_link_that_cuts_every_long_answer_is_asked_for_short_ones() -> None:
    link = Link(100_000, cut_after=5_000)
    catch_up(link, 60 * MINUTE, 40 * INTERVAL_SEC)


def test_a_vehicle_that_fell_silent_is_not_asked_twice_and_for_no_less_than_a_second() -> None:
    link = Link(1e-9)
    size = QuestionSize(None, DEADLINE_SEC)
    for cycle in range(60):
        with pytest.raises(VehicleTimeout):
            list(source(link, size, lambda: None).measurements(Window(NOW - MINUTE, NOW)))
        assert len(link.questions) == cycle + 1
    assert size.length == SECOND


def test_alarms_are_asked_for_in_parts_that_the_link_carries() -> None:
    link = Link(1_000)
    pulled = source(link, QuestionSize(None, DEADLINE_SEC), lambda: None)
    interval = Window(NOW - timedelta(days=3), NOW)
    windows = [window for window, _answer in pulled.alarms(interval)]
    assert (windows[0].start, windows[-1].end) == (interval.start, interval.end)
    assert all(a.end == b.start for a, b in pairwise(windows))
    assert pulled.broken_answers == 1
    assert pulled.learned.alarms is not None
    assert pulled.learned.alarms < timedelta(days=1)


def test_a_link_that_gets_better_is_asked_for_more_again() -> None:
    size = QuestionSize(MINUTE, DEADLINE_SEC)
    while size.length < LONGEST:
        before = size.length
        size.answered(size.fit(Window(NOW, NOW + LONGEST)), 0.001)
        assert before < size.length <= 1.25 * before


@given(
    st.timedeltas(SHORTEST, LONGEST),
    st.lists(
        st.tuples(st.sampled_from("abs"), st.floats(0, 100), st.timedeltas(SHORTEST, LONGEST))
    ),
)
def test_whatever_is_learned_the_length_stays_within_its_limits_in_whole_milliseconds(
    first: timedelta, events: list[tuple[str, float, timedelta]]
) -> None:
    size = QuestionSize(first, DEADLINE_SEC)
    for kind, number, length in events:
        window = size.fit(Window(NOW, NOW + length))
        before = size.length
        if kind == "a":
            size.answered(window, number)
        elif kind == "b":
            size.broke(window, min(number / 100, 1))
            assert size.length <= before
        else:
            size.stayed_silent(window)
            assert size.length <= before
        assert SHORTEST <= size.length <= LONGEST
        assert size.length % SHORTEST == timedelta(0)


def test_a_pull_is_over_after_its_longest_time_and_says_where_it_goes_on() -> None:
    link = Link(1_000)
    pulled = source(link, QuestionSize(MINUTE, DEADLINE_SEC), lambda: None)
    reached = NOW - timedelta(days=3)
    windows = pulled.measurements(Window(reached, NOW))

    def take_all() -> None:
        nonlocal reached
        for window, _page in windows:
            reached = window.end

    with pytest.raises(PullOverrun, match="resumes at") as ended:
        take_all()
    assert f"{reached:%Y-%m-%d %H:%M:%S}" in str(ended.value)
    assert link.now_sec < question_limit.LONGEST_SEC + 2 * DEADLINE_SEC


def test_a_vehicle_of_which_no_window_comes_to_an_end_is_to_blame(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(question_limit, "MOST_QUESTIONS", 10)
    link = Link(1e9)
    monkeypatch.setattr(link, "data", lambda *_: Answer(b"50000", None))
    pulled = source(link, QuestionSize(None, DEADLINE_SEC), lambda: None)
    with pytest.raises(BadAnswer, match="not one window is complete though 10 questions"):
        list(pulled.measurements(Window(NOW - MINUTE, NOW)))


def test_alarms_that_come_to_no_end_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    link = Link(1e9)
    too_many = b"[" + b",".join([b"1"] * (parsing.MAX_ALARMS + 1)) + b"]"
    monkeypatch.setattr(link, "alarms", lambda _window: Answer(too_many, None))
    pulled = source(link, QuestionSize(None, DEADLINE_SEC), lambda: None)
    with pytest.raises(BadAnswer, match="/alarms: "):
        list(pulled.alarms(Window(NOW - timedelta(days=7), NOW)))


@pytest.mark.parametrize("questions", [0, 1, 7])
def test_a_pull_that_is_to_stop_asks_nothing_more(questions: int) -> None:
    link = Link(1e9)
    asked = link.questions

    def stop() -> str | None:
        return "paused" if len(asked) >= questions else None

    pulled = source(link, QuestionSize(SECOND, DEADLINE_SEC), stop)
    with pytest.raises(PullStopped, match="paused"):
        list(pulled.alarms(Window(NOW - timedelta(days=1), NOW)))
    assert len(asked) == questions


@pytest.mark.parametrize("thinking_sec", [1.0, 4.0, 8.0])
def test_a_vehicle_that_thinks_for_long_is_not_asked_for_ever_less(thinking_sec: float) -> None:
    link = Link(125_000, thinking_sec=thinking_sec)
    caught = catch_up(link, timedelta(hours=6), 900)
    assert max(window.length for window in caught.link.questions[5:]) > 10 * MINUTE


def test_a_slow_rest_of_a_gap_makes_no_question_shorter_than_a_second() -> None:
    size = QuestionSize(MINUTE, DEADLINE_SEC)
    for _ in range(100):
        size.answered(Window(NOW, NOW + 0.005 * SECOND), 9.0)
    assert size.length == SECOND


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Every pause that a pull makes, none of which takes its time."""
    made: list[float] = []
    monkeypatch.setattr("time.sleep", made.append)
    return made


def answering(body: bytes, monkeypatch: pytest.MonkeyPatch, *, cpu_sec: float) -> VehicleSource:
    link = Link(1e9)
    answer = Answer(body, None, cpu_sec=cpu_sec)
    monkeypatch.setattr(link, "data", lambda *_: answer)
    client: Any = link
    return VehicleSource(
        client=client,
        accepted_interval=lambda: Window(NOW - timedelta(days=400), NOW + timedelta(days=400)),
        stop_reason=lambda: None,
        data_size=QuestionSize(None, DEADLINE_SEC),
        alarms_size=QuestionSize(None, DEADLINE_SEC),
    )


def test_an_answer_that_costs_more_than_its_rows_are_worth_is_followed_by_a_pause(
    pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b'{"rows":[],"truncated":false}'
    list(answering(body, monkeypatch, cpu_sec=0.23).measurements(Window(NOW - MINUTE, NOW)))
    assert sum(pauses) == pytest.approx(19 * 0.2, rel=0.1)


def test_an_answer_that_was_too_dear_to_be_read_is_paid_for(pauses: list[float]) -> None:
    link = Link(1e9)
    client: Any = link

    def too_dear(*_arguments: object) -> Answer:
        error = AnswerTooLarge("/data", "reading it takes too long")
        error.cpu_sec = 0.13
        raise error

    link.data = too_dear  # type: ignore[assignment,method-assign]
    pulled = source(client, QuestionSize(None, DEADLINE_SEC), lambda: None)
    with pytest.raises(AnswerTooLarge):
        list(pulled.measurements(Window(NOW - SECOND, NOW)))
    assert sum(pauses) > 10 * 19 * 0.1


def test_an_answer_that_is_worth_its_cost_is_followed_by_none(
    pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = '{"channel_id":%d,"value":1.5,"time":"2026-02-22T11:59:30.000Z"}'
    rows = ",".join(row % number for number in range(40_000))
    body = f'{{"rows":[{rows}],"truncated":false}}'.encode()
    longest = []
    for _ in range(5):  # another process may take the time of one
        pauses.clear()
        list(answering(body, monkeypatch, cpu_sec=0.03).measurements(Window(NOW - MINUTE, NOW)))
        longest.append(max(pauses, default=0.0))
    assert min(longest) < 0.001
