"""Report the daemon's state to systemd: `Type=notify` and `WatchdogSec` of its unit.

The protocol is sd_notify(3): datagrams to the socket that NOTIFY_SOCKET names; a leading "@" means
an abstract one. Without the variable nothing is sent. A service manager that does not listen is no
reason to stop.
"""

import os
import socket
from contextlib import suppress

from fleetsyncd.monitoring import events

VARIABLE = "NOTIFY_SOCKET"


class Notifier:
    """Sends the daemon's state to its service manager, if there is one."""

    def __init__(self, address: str | None) -> None:
        self._address = address and ("\0" + address[1:] if address[0] == "@" else address)
        self._last_status = ""

    @classmethod
    def from_environment(cls) -> "Notifier":
        """Return a notifier to the service manager that started this process, if one did."""
        return cls(os.environ.get(VARIABLE))

    def listen(self, event: events.Event) -> None:
        """Send what an event means to a service manager."""
        match event:
            case events.DaemonStarted():
                self._send("READY=1")
            case events.Alive():
                self._send("WATCHDOG=1")
            case events.CycleEnded(ok, failed):
                total = ok + failed + event.unfinished
                lost = f", {event.unstored} not stored" if event.unstored else ""
                self._status(f"{total} vehicle(s), last cycle: {ok} ok, {failed} failed{lost}")
            case events.DatabaseDown():
                self._status("database lost: pulling stops")
            case events.DaemonStopping():
                self._send("STOPPING=1")

    def _status(self, text: str) -> None:
        """Set the line that `systemctl status` shows."""
        if text != self._last_status:
            self._last_status = text
            self._send(f"STATUS={text}")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        with socket.socket(socket.AF_UNIX, kind) as sender, suppress(OSError):
            sender.sendto(message.encode(), self._address)
