"""What `fleetsyncd storage` says of a cluster, and of a table whose old rows are compressed."""

import pytest

from fleetsyncd.commands import storage as command
from fleetsyncd.database.views.storage import DiskUnknown, Keep, Storage
from fleetsyncd.database.views.stored_tables import StoredTable
from fleetsyncd.database.views.worker_storage import StoringNode


def of(*nodes: StoringNode) -> Storage:
    return Storage("fleet", 10, (), 1.0, 1, DiskUnknown.CLUSTER, nodes)


def test_a_worker_that_is_out_of_reach_is_named_and_no_day_is_told() -> None:
    found = of(StoringNode("one:5432", 4, 7), StoringNode("two:5432", 4, 0, is_reachable=False))
    text = command._text(command._report(found, 1_000, Keep()), Keep())
    assert "out of reach, and not counted: two:5432" in text
    assert "at this pace" not in text
    assert command._report(found, 1_000, Keep()).full_at is None


def test_the_room_on_a_cluster_is_told_while_all_workers_answer() -> None:
    found = of(StoringNode("one:5432", 4, 7))
    assert "are left: full on" in command._text(command._report(found, 1_000, Keep()), Keep())


def month(rows: int, size: int, compressed_rows: int, compressed_size: int) -> StoredTable:
    sizes = (rows, size, 0, None, True, compressed_rows, compressed_size)
    return StoredTable("measurements", True, None, None, *sizes)


def growing(*months: StoredTable) -> Storage:
    return Storage("fleet", 10**9, months, 1_000_000.0, 1, 10**9)


@pytest.mark.parametrize(
    "fresh",
    [
        month(4_000_000, 628_000_000, 0, 0),
        month(4_000_000, 481_000_000, 1_000_000, 10_000_000),
        month(1_000, 157_000, 0, 0),
    ],
)
def test_growth_is_what_is_left_of_a_day_when_it_is_compressed(fresh: StoredTable) -> None:
    old = month(30_000_000, 300_000_000, 30_000_000, 300_000_000)
    found = growing(old, fresh)
    assert found.bytes_a_day == pytest.approx(10_000_000)
    passing = fresh.total_bytes - fresh.rows * 10
    kept = found.bytes_a_day * 2 * 365.25 / 12 + passing
    expected = found.total_bytes - found.measurement_bytes + kept
    assert found.levels_off_at(Keep(1)) == pytest.approx(expected)


def test_growth_is_that_of_new_rows_where_none_are_compressed_any_more() -> None:
    old = month(30_000_000, 300_000_000, 30_000_000, 300_000_000)
    found = growing(old, *[month(1_000_000, 157_000_000, 0, 0)] * 3)
    assert found.bytes_a_day == pytest.approx(157_000_000)
