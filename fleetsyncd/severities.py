"""How grave alarms are. Vehicles name severities as they like; the known names have an order."""

from collections.abc import Mapping
from enum import IntEnum

from msgspec import Struct


class Severity(IntEnum):
    """The gravity of an alarm; the worst is the highest."""

    INFO = 1
    WARNING = 2
    ALARM = 3
    CRITICAL = 4


KNOWN_NAMES: Mapping[str, Severity] = {
    "critical": Severity.CRITICAL,
    "alarm": Severity.ALARM,
    "error": Severity.ALARM,
    "warning": Severity.WARNING,
    "info": Severity.INFO,
}
"""The names with an order, in lower case."""
UNKNOWN = Severity.WARNING
"""The gravity of every other name, and of an alarm without one."""


class OpenAlarms(Struct, frozen=True, gc=False):
    """How many alarms are open, and how many of them are of the worst severity among them."""

    count: int
    worst: Severity
    of_worst: int

    def __add__(self, other: "OpenAlarms") -> "OpenAlarms":
        worst = max(self.worst, other.worst)
        of_worst = sum(each.of_worst for each in (self, other) if each.worst is worst)
        return OpenAlarms(self.count + other.count, worst, of_worst)
