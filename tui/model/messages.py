"""What the dashboard has told the operator."""

from collections import deque
from dataclasses import dataclass
from datetime import datetime

MOST_KEPT = 200
_LEAST_SEC, _LEAST_ERROR_SEC, _MOST_SEC = 5.0, 10.0, 30.0
_CHARACTERS_PER_SEC = 15.0
"""What an operator reads, who looks at other things too."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message; `at` is aware."""

    text: str
    error: bool
    at: datetime


class MessageLog:
    """The last messages; older ones are forgotten."""

    def __init__(self) -> None:
        self._messages: deque[Message] = deque(maxlen=MOST_KEPT)
        self.told = 0
        """How many messages there were, the forgotten ones included."""

    def add(self, message: Message) -> None:
        """Keep a message."""
        self._messages.append(message)
        self.told += 1

    @property
    def newest_first(self) -> list[Message]:
        """The messages that are kept."""
        return list(reversed(self._messages))


def reading_sec(text: str, *, error: bool) -> float:
    """Return how many seconds a message stays on the screen: long enough to be read."""
    least = _LEAST_ERROR_SEC if error else _LEAST_SEC
    return min(_MOST_SEC, max(least, len(text) / _CHARACTERS_PER_SEC))
