"""Simulated vehicles for tests that are not green themselves."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import gevent

from fleetsyncd.demo.fleet import Fleet


@contextmanager
def running(fleet: Fleet) -> Iterator[None]:
    """Serve the fleet from a thread of its own, since blocking requests would stop a shared hub."""
    started, finished = threading.Event(), threading.Event()

    def serve() -> None:
        try:
            fleet.start()
            started.set()
            while not finished.is_set():
                gevent.sleep(0.005)
            fleet.stop()
        finally:
            gevent.get_hub().destroy(destroy_loop=True)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        assert started.wait(5)
        yield
    finally:
        finished.set()
        thread.join(5)
