"""What `fleetsyncd storage` says of a cluster."""

from fleetsyncd.commands import storage as command
from fleetsyncd.database.views.storage import DiskUnknown, Storage
from fleetsyncd.database.views.worker_storage import StoringNode


def of(*nodes: StoringNode) -> Storage:
    return Storage("fleet", 10, (), 1.0, 1, DiskUnknown.CLUSTER, nodes)


def test_a_worker_that_is_out_of_reach_is_named_and_no_day_is_told() -> None:
    found = of(StoringNode("one:5432", 4, 7), StoringNode("two:5432", 4, 0, is_reachable=False))
    text = command._text(command._report(found, 1_000, None), None)
    assert "out of reach, and not counted: two:5432" in text
    assert "at this pace" not in text
    assert command._report(found, 1_000, None).full_at is None


def test_the_room_on_a_cluster_is_told_while_all_workers_answer() -> None:
    found = of(StoringNode("one:5432", 4, 7))
    assert "are left: full on" in command._text(command._report(found, 1_000, None), None)
