import gevent
import pytest

from fleetsyncd.green import Beside


def test_work_goes_on_beside_and_its_result_is_waited_for() -> None:
    order = []

    def work() -> int:
        order.append("begun")
        gevent.sleep(0.01)
        order.append("done")
        return 7

    beside = Beside(work)
    gevent.sleep(0)
    order.append("meanwhile")
    assert beside.result() == 7
    assert order == ["begun", "meanwhile", "done"]


def test_an_error_is_raised_where_the_result_is_wanted_and_told_nowhere_else(
    capfd: pytest.CaptureFixture[str],
) -> None:
    beside = Beside(lambda: 1 // 0)
    gevent.sleep(0)
    with pytest.raises(ZeroDivisionError):
        beside.result()
    assert capfd.readouterr() == ("", "")


def test_work_that_is_dropped_ends_before_anything_else_goes_on() -> None:
    order = []

    def work() -> None:
        try:
            gevent.sleep(60)
        finally:
            order.append("ended")

    beside = Beside(work)
    gevent.sleep(0)
    beside.drop()
    assert order == ["ended"]
