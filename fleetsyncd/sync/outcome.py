"""The result of a cycle or backfill attempt as a value, for the journal, the log and metrics."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from fleetsyncd.errors import (
    BudgetSpent,
    DatabaseError,
    DatabaseUnavailable,
    OtherMachine,
    PullStopped,
    VehicleError,
    VehicleRefused,
    VehicleRemoved,
    VehicleTimeout,
    VehicleUnreachable,
    WatermarkMoved,
)
from fleetsyncd.reports import Failure, Outcome

RERAISED = (DatabaseUnavailable, VehicleRemoved)
"""Errors without a journal entry: no vehicle is to blame, or it was removed."""


@dataclass(frozen=True, slots=True)
class StepResult:
    """How a cycle or an attempt ended; `reason` says why it is not `ok`."""

    outcome: Outcome = Outcome.OK
    reason: str | None = None
    failure: Failure | None = None
    stopped: bool = False
    """It was ended on purpose."""
    vehicle_answered: bool = False
    """The error itself shows that the vehicle can be reached."""
    database_refused: bool = False
    unstored: bool = False
    """PostgreSQL could not store what was to be stored."""
    retry_after_sec: float | None = None
    """For how long the vehicle asked to be left alone."""

    def with_left_out(self, left_out: object | None) -> "StepResult":
        """Return the result of a step that left measurements out, of which `left_out` tells."""
        if left_out is None:
            return self
        if self.outcome is Outcome.OK:
            return StepResult(Outcome.ERROR, f"database: {left_out}", Failure.DATABASE)
        return replace(self, reason=f"{self.reason}; {left_out}")


def retry_after(error: Exception) -> float | None:
    """Return for how long the vehicle asked to be left alone, if this error is such a refusal."""
    return error.retry_after_sec if isinstance(error, VehicleRefused) else None


def run_step(step: Callable[[], None]) -> StepResult:
    """Run `step` and return how it ended; errors in RERAISED pass through."""
    try:
        step()
    except VehicleTimeout as error:
        return StepResult(Outcome.TIMEOUT, str(error), Failure.TIMEOUT)
    except VehicleError as error:
        answered = not isinstance(error, VehicleUnreachable)
        return StepResult(
            Outcome.ERROR,
            str(error),
            _failure(error),
            vehicle_answered=answered,
            retry_after_sec=retry_after(error),
        )
    except PullStopped as error:
        return StepResult(Outcome.ERROR, str(error), stopped=True)
    except RERAISED:
        raise
    except DatabaseError as error:
        reason = f"database: {error}"
        # Another writer has set the watermark back: nothing is wrong with storing.
        unstored = not isinstance(error, WatermarkMoved)
        return StepResult(
            Outcome.ERROR, reason, Failure.DATABASE, database_refused=True, unstored=unstored
        )
    return StepResult()


def _failure(error: VehicleError) -> Failure:
    if isinstance(error, VehicleUnreachable):
        return Failure.UNREACHABLE
    if isinstance(error, BudgetSpent):
        return Failure.OVER_BUDGET
    if isinstance(error, OtherMachine):
        return Failure.OTHER_MACHINE
    return Failure.REFUSED if isinstance(error, VehicleRefused) else Failure.BAD_ANSWER
