import os
import socket
from pathlib import Path

import pytest

from fleetsyncd.monitoring import events
from fleetsyncd.monitoring.systemd import VARIABLE, Notifier

EVERYTHING: list[events.Event] = [
    events.DaemonStarted(),
    events.Alive(),
    events.CycleStarted([]),
    events.CycleEnded(ok=3, failed=1, unfinished=2, seconds=1.5),
    events.CycleEnded(ok=3, failed=1, unfinished=2, seconds=1.6),
    events.DatabaseDown(),
    events.DatabaseUp(),
    events.DaemonStopping(),
]


def test_without_systemd_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    notifier = Notifier.from_environment()
    for event in EVERYTHING:
        notifier.listen(event)


def test_a_service_manager_that_is_gone_is_no_reason_to_stop(tmp_path: Path) -> None:
    notifier = Notifier(str(tmp_path / "nobody"))
    for event in EVERYTHING:
        notifier.listen(event)


def test_a_service_manager_learns_what_matters_and_each_status_once() -> None:
    name = f"fleetsync-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}")
        notifier = Notifier(f"@{name}")
        for event in EVERYTHING:
            notifier.listen(event)
        manager.setblocking(False)
        messages = [manager.recv(4096).decode() for _ in range(5)]
        with pytest.raises(BlockingIOError):
            manager.recv(4096)
    assert messages == [
        "READY=1",
        "WATCHDOG=1",
        "STATUS=6 vehicle(s), last cycle: 3 ok, 1 failed",
        "STATUS=database lost: pulling stops",
        "STOPPING=1",
    ]
