"""How a piece of work on one vehicle ended: its fault as a value, for the journal and the log."""

from collections.abc import Callable
from dataclasses import dataclass

from fleetsyncd.errors import (
    DatabaseBusy,
    DatabaseError,
    DatabaseLost,
    PullStopped,
    SchemaOutdated,
    VehicleError,
    VehicleRefused,
    VehicleRemoved,
    VehicleTimeout,
    VehicleUnreachable,
)
from fleetsyncd.models import Failure, Outcome

FLEETWIDE = (DatabaseLost, DatabaseBusy, SchemaOutdated)
"""Faults of the database that are no single vehicle's."""
RERAISED = (*FLEETWIDE, VehicleRemoved)
"""Faults that no journal row of the vehicle's can or should tell."""


@dataclass(frozen=True, slots=True)
class StepResult:
    """What became of the work; `reason` says why it is not `ok`."""

    outcome: Outcome = Outcome.OK
    reason: str | None = None
    failure: Failure | None = None
    stopped: bool = False
    """It was ended on purpose."""
    answered: bool = False
    """The fault itself shows that the vehicle can be reached."""
    database: bool = False
    """The database refused something."""


def run_step(work: Callable[[], None]) -> StepResult:
    """Do `work` and tell how it ended; faults that are not the vehicle's are raised."""
    try:
        work()
    except VehicleTimeout as fault:
        return StepResult(Outcome.TIMEOUT, str(fault), Failure.TIMEOUT)
    except VehicleError as fault:
        answered = not isinstance(fault, VehicleUnreachable)
        return StepResult(Outcome.ERROR, str(fault), _failure(fault), answered=answered)
    except PullStopped as fault:
        return StepResult(Outcome.ERROR, str(fault), stopped=True)
    except RERAISED:
        raise
    except DatabaseError as fault:
        return StepResult(Outcome.ERROR, f"database: {fault}", Failure.DATABASE, database=True)
    return StepResult()


def _failure(fault: VehicleError) -> Failure:
    if isinstance(fault, VehicleUnreachable):
        return Failure.UNREACHABLE
    return Failure.REFUSED if isinstance(fault, VehicleRefused) else Failure.BAD_ANSWER
