"""How much one vehicle may store: limits that no honest vehicle meets, so that none fills a table.

A day is a UTC day of the database's clock. What a vehicle's budget refuses is not pulled, and so
not lost: the watermark stays, and the next day goes on from there.
"""

from dataclasses import dataclass

from fleetsyncd.errors import BudgetSpent

DAY_SEC = 86_400
MOST_OF_BUDGET = 0.8
"""Of the measurements that a vehicle may store in a day, what gaps and the daemon's own audits may
use; the rest is left to what is live."""


@dataclass(frozen=True, slots=True)
class VehicleBudget:
    """The limits of each vehicle, under the names of their settings."""

    vehicle_max_channels: int = 1_000
    vehicle_max_alarms: int = 1_000_000
    vehicle_max_channel_changes_per_day: int = 200_000
    vehicle_max_alarms_per_day: int = 5_000
    vehicle_max_rows_per_day: int = 20_000_000


@dataclass(slots=True)
class Intake:
    """What one vehicle has sent, or stored, today."""

    rows: int = 0
    """That came, stored already or not."""
    seconds: float = 0.0
    """Of the vehicle's own time that was pulled first: each day of it allows as much again."""
    alarms: int = 0
    channel_changes: int = 0

    def check_rows(self, budget: VehicleBudget, share: float = 1.0) -> None:
        """Raise BudgetSpent if no more measurements than a share of the day's may be stored."""
        most = round(self._allowed(budget.vehicle_max_rows_per_day) * share)
        if self.rows >= most:
            raise _spent("/data", self.rows, "measurements", most, "VEHICLE_MAX_ROWS_PER_DAY")

    def check_alarms(self, budget: VehicleBudget) -> None:
        """Raise BudgetSpent if no more alarms may be stored today."""
        most = self._allowed(budget.vehicle_max_alarms_per_day)
        if self.alarms >= most:
            raise _spent("/alarms", self.alarms, "alarms", most, "VEHICLE_MAX_ALARMS_PER_DAY")

    def _allowed(self, a_day: int) -> int:
        return round(a_day * (1 + self.seconds / DAY_SEC))

    def may_change_channels(self, budget: VehicleBudget) -> bool:
        """Tell whether channels may still be written today."""
        return self.channel_changes < budget.vehicle_max_channel_changes_per_day

    def channels_spent(self, budget: VehicleBudget, refused: int) -> BudgetSpent:
        """Return the error of new or changed channels that are not written today."""
        most = budget.vehicle_max_channel_changes_per_day
        return BudgetSpent(
            "/channels",
            f"{refused:,} change(s) refused: {self.channel_changes:,} were stored today, {most:,}"
            " are allowed (VEHICLE_MAX_CHANNEL_CHANGES_PER_DAY): the rest is stored tomorrow",
        )


def _spent(call: str, number: int, what: str, most: int, setting: str) -> BudgetSpent:
    reason = f"{number:,} {what} came today, {most:,} are allowed ({setting})"
    return BudgetSpent(call, f"{reason}: the rest is asked for tomorrow")
