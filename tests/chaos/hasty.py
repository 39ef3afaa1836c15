"""The daemon as ever, but that notices are judged and sent twenty times as fast, each by name.

`python -m tests.chaos.hasty run` for a trial that would else take hours.
"""

from fleetsyncd import green

green.patch()

from fleetsyncd.cli import main  # noqa: E402  after the process is green, as in fleetsyncd.__main__
from fleetsyncd.notify import digest  # noqa: E402
from fleetsyncd.sync import notice_sender, notifier  # noqa: E402

FASTER = 20
MOST_LINES = 1000


def hasten() -> None:
    """Divide the times of the notifier, and let a message name all of its notices."""
    for module, name in ((digest, "MOST_LINES"), (notice_sender, "MOST_LINES")):
        setattr(module, name, MOST_LINES)
    for name in ("JUDGED_SEC", "SENT_SEC", "SETTLE_SEC"):
        setattr(notifier, name, getattr(notifier, name) / FASTER)
    for name in ("TOGETHER", "MESSAGE_PAUSE", "LEASE"):
        setattr(notice_sender, name, getattr(notice_sender, name) / FASTER)


if __name__ == "__main__":
    hasten()
    main()
