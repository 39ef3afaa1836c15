"""When a disk is full to which several things are added, of which some stop growing."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

MONTH_DAYS = 365.25 / 12
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Growth:
    """What is added each day for good, and how many bytes of it there are and will be at most."""

    bytes_a_day: float
    present_bytes: int
    most_bytes: float = math.inf

    @property
    def left_bytes(self) -> float:
        """How much it still grows; negative if some of it is dropped without a replacement."""
        grows = self.bytes_a_day or math.isfinite(self.most_bytes)
        return self.most_bytes - self.present_bytes if grows else 0.0

    @property
    def days_left(self) -> float:
        """For how many days it still grows."""
        return max(0.0, self.left_bytes) / self.bytes_a_day if self.bytes_a_day else 0.0


def kept(bytes_a_day: float, present_bytes: int, months: int, passing_bytes: float = 0) -> Growth:
    """Return the growth of what is dropped after so many months beside the present one.

    `passing_bytes` are those that the newest rows take beyond what they take for good.
    """
    most = bytes_a_day * MONTH_DAYS * (months + 1) + passing_bytes
    return Growth(bytes_a_day, present_bytes, most)


def used_up_in(room_bytes: float, growths: Iterable[Growth]) -> timedelta | None:
    """Return when so much room is used up; None: never."""
    waiting = sorted(growths, key=lambda each: each.days_left)
    if sum(each.left_bytes for each in waiting) <= max(0.0, room_bytes):
        return None
    days, room = 0.0, max(0.0, room_bytes)
    while waiting:
        rate = sum(each.bytes_a_day for each in waiting)
        ends = waiting.pop(0).days_left
        if rate and rate * (ends - days) >= room:
            days += room / rate
            return DAY * days if days < DAY.max.days else None
        room -= rate * (ends - days)
        days = ends
    return None
