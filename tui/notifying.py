"""The base class of the app: it shows messages, and keeps them."""

from collections.abc import Sequence
from datetime import datetime

from textual.app import App
from textual.notifications import Notification, SeverityLevel
from textual.widgets._toast import Toast, ToastHolder

from fleetsyncd.times import utc_now
from tui.model.messages import Message, MessageLog, reading_sec

MOST_SHOWN = 3
"""Messages on the screen at once."""


class NotifyingApp(App[None]):
    """Shows at most MOST_SHOWN messages, each long enough to be read; `messages` keeps the last."""

    def __init__(self) -> None:
        super().__init__()
        self.messages = MessageLog()

    def wall(self) -> datetime:
        """Return the time of day, aware; subclasses override it."""
        return utc_now()

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = True,
    ) -> None:
        """Show a message and keep it; `timeout` in seconds, None for as long as it takes to read.

        The toolkit's own messages come here too.
        """
        error = severity == "error"
        self.messages.add(Message(message, error, self.wall()))
        for shown in to_remove(list(self._notifications), message):
            self._unnotify(shown, refresh=False)
        super().notify(
            message,
            title=title,
            severity=severity,
            timeout=reading_sec(message, error=error) if timeout is None else timeout,
            markup=markup,
        )

    def _refresh_notifications(self) -> None:
        """Remove from the screen what made room or expired, then show the others.

        The toolkit removes a message, but not its holder, which keeps a line.
        """
        kept = {each.identity for each in self._notifications}
        for holder in self.screen.query(ToastHolder) if self.screen_stack else ():
            if not any(toast._notification.identity in kept for toast in holder.query(Toast)):
                holder.remove()
        super()._refresh_notifications()


def to_remove(shown: Sequence[Notification], text: str) -> list[Notification]:
    """Return which of the messages on the screen, oldest first, make room for one with this text.

    The same text goes, for it is told again; then the oldest, but errors last.
    """
    same = [each for each in shown if each.message == text]
    others = [each for each in shown if each.message != text]
    errors_last = sorted(others, key=lambda each: each.severity == "error")
    return [*same, *errors_last[: max(0, len(others) - MOST_SHOWN + 1)]]
