"""Log lines: text for people or JSON for machines."""

import json
import logging
import sys
from datetime import UTC, datetime

TEXT_FORMAT = "%(asctime)s [%(levelname)s] %(name)s: %(message)s"
TIME_FORMAT = "%Y-%m-%d %H:%M:%S"


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message; of an error also its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (vehicle := getattr(record, "vehicle", None)) is not None:
            line["vehicle"] = vehicle
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def set_up(level: str, style: str) -> None:
    """Send every logger's lines to standard output; `style` is `text` or `json`."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        JsonFormatter() if style == "json" else logging.Formatter(TEXT_FORMAT, TIME_FORMAT)
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("yoyo").setLevel(logging.WARNING)
    # Its warnings are about odd answers, at every call, and do not name the vehicle.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
