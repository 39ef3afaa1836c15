"""What apprise says in its log, which may contain URLs: heard by the caller, and by nobody else."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

_LOG = logging.getLogger("apprise")
_STATUS = re.compile(r"error=([0-9]{3})\b")
_SMTP_STATUS = re.compile(r"Socket Exception: \(([0-9]{3}), b")


class Heard(logging.Handler):
    """Keeps the warnings of the library, and the last status that a target has answered with."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self.status: int | None = None

    @property
    def reason(self) -> str:
        """Why a message was not sent, with the status."""
        text = self.said[-1] if self.said else "it was refused"
        if self.status is None or str(self.status) in text:
            return text
        return f"{text.rstrip('.')}, error={self.status}"

    def emit(self, record: logging.LogRecord) -> None:
        """Keep what is of use."""
        text = record.getMessage()
        if record.levelno >= logging.WARNING:
            self.said.append(text)
            found = _STATUS.findall(text)
        else:
            # What a mail server answers is no warning.
            found = _SMTP_STATUS.findall(text)
        if found:
            self.status = int(found[-1])


@contextmanager
def heard() -> Iterator[Heard]:
    """Keep what the library says to itself, and to the caller."""
    listener = Heard()
    before = _LOG.handlers, _LOG.propagate, _LOG.level
    _LOG.handlers, _LOG.propagate = [listener], False
    _LOG.setLevel(logging.DEBUG)
    try:
        yield listener
    finally:
        _LOG.handlers, _LOG.propagate = before[0], before[1]
        _LOG.setLevel(before[2])
