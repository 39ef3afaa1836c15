"""What the link to a vehicle has carried, as the vehicle's SIM card pays for it."""

from dataclasses import dataclass


@dataclass(slots=True)
class Traffic:
    """Bytes above TCP in both directions, and the requests that were sent.

    Heads and bodies as they came: compressed, of answers that broke off too.
    """

    received: int = 0
    sent: int = 0
    requests: int = 0

    def copy(self) -> "Traffic":
        """Return what was carried by now."""
        return Traffic(self.received, self.sent, self.requests)

    def add(self, other: "Traffic") -> None:
        """Take in what was carried besides."""
        self.received += other.received
        self.sent += other.sent
        self.requests += other.requests

    def since(self, before: "Traffic") -> "Traffic":
        """Return what was carried since it was `before`."""
        return Traffic(
            self.received - before.received,
            self.sent - before.sent,
            self.requests - before.requests,
        )
