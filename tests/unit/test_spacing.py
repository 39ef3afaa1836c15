"""A cycle's vehicles are started as fast as connections came free in the one before."""

import pytest

from fleetsyncd.sync.spacing import FASTER, MOST_OF_INTERVAL, SLOWER, Queueing, Spacing

INTERVAL_SEC = 30.0
EACH = 3
"""Transactions of a vehicle's cycle."""


class Fleet:
    """Cycles of which some wait for the database; `waits` follow each other without a pause."""

    def __init__(self) -> None:
        self.now = 100.0
        self.spacing = Spacing(INTERVAL_SEC)
        self.spacing.new_fleet_cycle()
        self.cycle(1, 0.0)

    def cycle(self, vehicles: int, seconds: float) -> None:
        """Pull so many vehicles, whose transactions queue for so many seconds in all."""
        wait = seconds / (EACH * vehicles)
        for _ in range(vehicles):
            for _ in range(EACH):
                self.spacing.note_wait(self.now, self.now + wait)
                self.now += wait
            self.spacing.note_started()
        self.now += 1.0
        self.spacing.new_fleet_cycle()


def test_without_a_queue_all_vehicles_are_started_at_once() -> None:
    fleet = Fleet()
    fleet.cycle(1000, 0.0)
    assert fleet.spacing.gap_sec(1000) == 0


def test_vehicles_that_queued_are_started_as_fast_as_connections_came_free() -> None:
    fleet = Fleet()
    for _ in range(20):
        fleet.cycle(1000, 6.0)
    assert fleet.spacing.gap_sec(1000) == pytest.approx(SLOWER * 6.0 / 1000, rel=0.01)


def test_a_single_slow_cycle_counts_half() -> None:
    fleet = Fleet()
    fleet.cycle(1000, 6.0)
    assert fleet.spacing.gap_sec(1000) == pytest.approx(SLOWER * 6.0 / 1000 / 2)


def test_once_hardly_anything_queues_the_vehicles_move_together_slowly() -> None:
    fleet = Fleet()
    fleet.cycle(1000, 6.0)
    before = fleet.spacing.gap_sec(1000)
    fleet.cycle(100, 0.4)
    assert fleet.spacing.gap_sec(1000) == pytest.approx(before * FASTER)


def test_one_stall_of_the_database_is_soon_forgotten() -> None:
    fleet = Fleet()
    fleet.cycle(1000, 500.0)
    assert fleet.spacing.gap_sec(1000) * 1000 == pytest.approx(0.4 * INTERVAL_SEC)
    for _ in range(5):
        fleet.cycle(1000, 0.0)
    assert fleet.spacing.gap_sec(1000) * 1000 < 0.5


def test_the_first_cycle_of_a_daemon_teaches_nothing() -> None:
    spacing = Spacing(INTERVAL_SEC)
    spacing.new_fleet_cycle()
    spacing.note_wait(0.0, 20.0)
    spacing.note_started()
    spacing.new_fleet_cycle()
    assert spacing.gap_sec(1) == 0


def test_the_last_vehicle_is_started_well_within_the_interval() -> None:
    fleet = Fleet()
    for _ in range(20):
        fleet.cycle(100, 500.0)
    assert fleet.spacing.gap_sec(100) * 100 == pytest.approx(MOST_OF_INTERVAL * INTERVAL_SEC)


def test_a_cycle_in_which_no_vehicle_was_started_teaches_nothing() -> None:
    fleet = Fleet()
    fleet.spacing.note_wait(0.0, 9.0)
    fleet.spacing.new_fleet_cycle()
    assert fleet.spacing.gap_sec(10) == 0


def test_waits_at_the_same_time_are_one_queue() -> None:
    queueing = Queueing()
    queueing.note(0.0, 0.0)
    queueing.note(0.0, 2.0)
    queueing.note(1.0, 3.0)
    queueing.note(5.0, 6.0)
    assert (queueing.transactions, queueing.queued, queueing.seconds) == (4, 3, 4.0)
