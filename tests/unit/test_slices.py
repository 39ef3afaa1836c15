"""Long work is made in slices, between which others run."""

import time

import pytest

from fleetsyncd import slices
from fleetsyncd.slices import Sliced, Slices


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    found: list[None] = []
    monkeypatch.setattr(slices, "pause", lambda: found.append(None))
    return found


def test_a_pause_follows_each_slice_however_many_lists_are_gone_over(
    pauses: list[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slices, "SLICE_SEC", 0.0)
    meter = Slices()
    found = Sliced(range(100), meter)
    assert list(found) == list(range(100))
    assert [each for each in found if each > 98] == [99]
    assert len(pauses) == 3 * 100 / slices._EVERY


def test_short_work_has_no_pause(pauses: list[None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "SLICE_SEC", 60.0)
    assert len(Sliced(Sliced(range(100), Slices()), Slices())) == 100
    assert pauses == []


def test_a_slice_is_measured_over_all_lists_together(
    pauses: list[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "thread_time", iter(range(1_000)).__next__)
    monkeypatch.setattr(slices, "SLICE_SEC", 3.0)
    meter = Slices()
    for _ in range(6):
        list(meter.each(range(slices._EVERY)))
    assert len(pauses) >= 1
