"""Log lines: text for people or JSON for machines; their times are UTC."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

from fleetsyncd.streams import OutputLost, discarded, is_utf8

TEXT_FORMAT = "%(asctime)s [%(levelname)s] %(name)s: %(message)s"
TIME_FORMAT = "%Y-%m-%d %H:%M:%S"


class TextFormatter(logging.Formatter):
    """A line for people; its time has no zone, so that whoever knows these lines can read them.

    A daemon that was given a name has it before the logger's.
    """

    def __init__(self, daemon: str | None = None) -> None:
        named = f"{daemon.replace('%', '%%')} %(name)s" if daemon else "%(name)s"
        super().__init__(TEXT_FORMAT.replace("%(name)s", named))

    def formatTime(  # noqa: N802  logging's name
        self, record: logging.LogRecord, datefmt: str | None = None
    ) -> str:
        """Return when the record was made, in UTC."""
        return f"{datetime.fromtimestamp(record.created, UTC):{datefmt or TIME_FORMAT}}"


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, the daemon's name if it was given one.

    Of an error also its traceback.

    JSON is UTF-8: in another encoding only its ASCII part is right, so everything else is escaped.
    """

    def __init__(self, daemon: str | None = None, *, ascii_only: bool = False) -> None:
        super().__init__()
        self._daemon = daemon
        self._ascii_only = ascii_only

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if self._daemon is not None:
            line["daemon"] = self._daemon
        if (vehicle := getattr(record, "vehicle", None)) is not None:
            line["vehicle"] = vehicle
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=self._ascii_only)


class LogHandler(logging.StreamHandler[TextIO]):
    """Writes lines; while that fails, as on a full disk, it drops them and the daemon goes on.

    A named pipe has no reader for a while if that is restarted: such lines are missing as well.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line; after the first that succeeds again, say how many were lost."""
        lost, discarded_before = self._lost, discarded(self.stream)
        super().emit(record)
        self._lost += discarded(self.stream) - discarded_before
        if lost and lost == self._lost:
            self._lost = 0
            text = f"this log could not be written: up to {lost} line(s) before this are missing"
            super().emit(logging.LogRecord("sync", logging.WARNING, __file__, 0, text, None, None))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  logging's name
        """Count a line that could not be written; report any other error, which is a bug."""
        if isinstance(sys.exception(), OutputLost):
            self._lost += 1
        else:
            super().handleError(record)


def set_up(level: str, style: str, stream: TextIO, daemon: str | None = None) -> None:
    """Send every logger's lines to a standard stream; `style` is `text` or `json`.

    `daemon` is the name that was given to this daemon, if it is one.
    """
    handler = LogHandler(stream)
    handler.setFormatter(
        JsonFormatter(daemon, ascii_only=not is_utf8(stream))
        if style == "json"
        else TextFormatter(daemon)
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("yoyo").setLevel(logging.WARNING)
    # Its warnings are about odd answers, at every call, and do not name the vehicle.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
