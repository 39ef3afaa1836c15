import gc
import weakref
from functools import partial

import gevent
import pytest

from fleetsyncd.green import BackgroundCall


def sleep_long(ended: list[str]) -> None:
    try:
        gevent.sleep(60)
    finally:
        ended.append("work")


def test_work_goes_on_beside_and_its_result_is_waited_for() -> None:
    order = []

    def work() -> int:
        order.append("begun")
        gevent.sleep(0.01)
        order.append("done")
        return 7

    beside = BackgroundCall(work)
    gevent.sleep(0)
    order.append("meanwhile")
    assert beside.result() == 7
    assert order == ["begun", "meanwhile", "done"]


def test_an_error_is_raised_where_the_result_is_awaited_and_reported_nowhere_else(
    capfd: pytest.CaptureFixture[str],
) -> None:
    beside = BackgroundCall(lambda: 1 // 0)
    gevent.sleep(0)
    with pytest.raises(ZeroDivisionError):
        beside.result()
    assert capfd.readouterr() == ("", "")


def test_work_that_is_dropped_ends_before_anything_else_goes_on() -> None:
    ended: list[str] = []
    beside = BackgroundCall(partial(sleep_long, ended))
    gevent.sleep(0)
    beside.drop()
    assert ended == ["work"]


class Answer:
    """Stands for a vehicle's answer, whose memory is to come free at once."""


@pytest.mark.parametrize("dropped", [False, True])
def test_what_failed_work_had_in_its_hands_is_free_as_soon_as_the_error_was_seen(
    dropped: bool,
) -> None:
    answers: list[weakref.ref[Answer]] = []

    def work() -> None:
        answer = Answer()
        answers.append(weakref.ref(answer))
        raise ValueError("no page")

    def wait() -> None:
        beside = BackgroundCall(work)
        gevent.sleep(0)
        if dropped:
            beside.drop()
            return
        try:
            beside.result()
        finally:
            beside.drop()

    gc.disable()
    try:
        if dropped:
            wait()
        else:
            with pytest.raises(ValueError, match="no page") as caught:
                wait()
            del caught
        assert answers[0]() is None
    finally:
        gc.enable()


def test_who_was_ended_while_waiting_can_still_end_the_work() -> None:
    ended: list[str] = []
    beside = BackgroundCall(partial(sleep_long, ended))
    waiter = gevent.spawn(beside.result)
    gevent.sleep(0.01)
    waiter.kill()
    beside.drop()
    assert ended == ["work"]
