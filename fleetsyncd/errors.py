"""Every error that fleetsyncd raises on purpose.

FleetsyncError
├── SettingsError               the configuration cannot be used
├── CommandError                a command was asked for something impossible
│   └── NothingToAudit          of this vehicle; of others it may be possible
├── VehicleError                one vehicle's call failed; names the call and the reason
│   ├── AddressUnusable         no address, or a port that cannot be: set another
│   ├── KeyUnusable             the API key cannot be sent: set another
│   ├── VehicleTimeout          no complete answer within the deadline
│   ├── VehicleUnreachable      refused, reset, no route
│   ├── VehicleRefused          an HTTP status other than 200
│   ├── OtherMachine            another vehicle's machine answers at its address
│   ├── BudgetSpent             it has stored as much as one vehicle may: asked for later
│   └── BadAnswer               an answer that cannot be what was asked for
│       ├── AnswerTooLarge      more than is read of one answer: ask for less
│       └── AnswerCutOff        the connection ended before the answer did
├── PullStopped                 a pull was ended between two questions, on purpose
│   ├── PullOverrun             it has taken as long, or asked as often, as one pull may
│   ├── AddressChanged          the vehicle is registered at another address meanwhile
│   └── BackfillTaken           an operator cancelled or replaced it, or another daemon pulls it
└── DatabaseError               PostgreSQL could not do it
    ├── DatabaseUnavailable     PostgreSQL can serve no vehicle at present
    │   ├── DatabaseLost        no connection can be made, or it broke; try again later
    │   │   └── DatabaseReadOnly    nothing can be written: a standby, or a setting
    │   ├── PoolerUnfit         a pooler shares connections between transactions
    │   ├── DatabaseBusy        no connection of the pool was free within the deadline
    │   └── SchemaOutdated      run `fleetsyncd migrate`
    ├── DatabaseFull            nothing more fits on its disk
    ├── WorkerLost              a cluster's worker, which has this vehicle's rows, does not answer
    ├── MigrationFailed         a migration was refused by the server
    ├── NotTidied               a closed month could not be tidied; tried again later
    ├── OthersTidy              another daemon tidies a month: one at a time is enough
    ├── PartitionMissing        a month has no partition, though it was taken to have one
    ├── WatermarkMoved          another writer moved the watermark during a pull
    └── VehicleRemoved          the vehicle's row is missing, or hidden from the daemon's role
"""

from enum import Enum

TOO_MANY_OPEN_FILES = "no more files can be opened"
RAISE_FILE_LIMIT = "raise the limit (ulimit -n, LimitNOFILE=)"
INTERNAL_ERROR = "internal error, please report"
"""The text of a bug of fleetsyncd itself."""


class FleetsyncError(Exception):
    """Root of all errors raised on purpose; its text is meant for the operator."""


class SettingsError(FleetsyncError):
    """The configuration cannot be used; the text lists every fault."""


class CommandError(FleetsyncError):
    """A command was asked for something impossible."""


class NothingToAudit(CommandError):
    """Nothing of the interval was pulled of a vehicle."""


class VehicleError(FleetsyncError):
    """A call to a vehicle failed."""

    def __init__(self, call: str, reason: str) -> None:
        super().__init__(f"{call}: {reason}")
        self.call = call
        self.reason = reason
        self.received = 0
        """Bytes of the answer's body that came all the same, compressed."""
        self.expected: int | None = None
        """Bytes that the whole body has, as the vehicle says; None if it does not."""
        self.cpu_sec = 0.0
        """What reading the answer has cost, in CPU time."""


class AddressUnusable(VehicleError):
    """The registered address cannot be asked; nothing was."""


class KeyUnusable(VehicleError):
    """The configured API key cannot be sent in a header; nothing was asked."""


class VehicleTimeout(VehicleError):
    """The vehicle gave no complete answer within the deadline."""


class VehicleUnreachable(VehicleError):
    """No connection to the vehicle, or it broke."""


class RefusalCause(Enum):
    """Why a vehicle refuses a call, as far as it is known."""

    KEY = "the API key is wrong or missing"
    DATABASE = "the vehicle's own database is down"
    PAGE = "a page instead of the vehicle's own words"
    UNKNOWN = "not known"


class VehicleRefused(VehicleError):
    """The vehicle answered with an HTTP status other than 200."""

    def __init__(
        self,
        call: str,
        status: int,
        reason: str,
        cause: RefusalCause = RefusalCause.UNKNOWN,
        retry_after_sec: float | None = None,
    ) -> None:
        super().__init__(call, reason)
        self.status = status
        self.cause = cause
        self.retry_after_sec = retry_after_sec
        """For how long the vehicle asks to be left alone, within bounds."""


class OtherMachine(VehicleError):
    """The machine of another vehicle answers: nothing of it is stored under this one."""


class BudgetSpent(VehicleError):
    """The vehicle has stored as much as one vehicle may, and is not asked for more."""


class BadAnswer(VehicleError):
    """The vehicle's answer cannot be what was asked for."""


class AnswerTooLarge(BadAnswer):
    """The vehicle's answer is longer than what is read of one: a smaller window may do."""


class AnswerCutOff(BadAnswer):
    """The connection ended before the answer was complete."""


class PullStopped(FleetsyncError):
    """A pull was ended between two questions: the daemon stops, or the vehicle is paused."""


class PullOverrun(PullStopped):
    """A pull has reached the limit of its time or of its questions."""


class AddressChanged(PullStopped):
    """The vehicle's address was changed during a pull: another machine may be there."""


class BackfillTaken(PullStopped):
    """A backfill is no longer this attempt's to pull; what it has committed stays."""


class AuditTaken(PullStopped):
    """An audit is not this attempt's any more: it was cancelled, replaced or goes on elsewhere."""


class DatabaseError(FleetsyncError):
    """PostgreSQL could not do what was asked; `hint` says what an operator can do about it."""

    def __init__(self, reason: str, hint: str | None = None) -> None:
        super().__init__(reason if hint is None else f"{reason}: {hint}")
        self.reason = reason
        self.hint = hint


class DatabaseUnavailable(DatabaseError):
    """PostgreSQL can serve no vehicle at present: no single vehicle is to blame."""


class DatabaseLost(DatabaseUnavailable):
    """The connection to PostgreSQL is gone or cannot be made."""


class DatabaseReadOnly(DatabaseLost):
    """PostgreSQL answers, but nothing can be written there."""


class PoolerUnfit(DatabaseUnavailable):
    """A pooler gives each transaction another connection, so no lock of a session holds."""


class DatabaseBusy(DatabaseUnavailable):
    """Every connection of the pool stayed in use until the deadline."""


class SchemaOutdated(DatabaseUnavailable):
    """The database lacks migrations that this version needs."""


class DatabaseFull(DatabaseError):
    """Nothing more fits on PostgreSQL's disk; small changes may still."""


class WorkerLost(DatabaseError):
    """A worker of a cluster cannot be reached: only vehicles whose rows it has are affected."""


class MigrationFailed(DatabaseError):
    """A migration could not be applied."""


class NotTidied(DatabaseError):
    """A closed month, of this table, could not be tidied: nothing is lost."""

    def __init__(self, table: str, reason: str) -> None:
        super().__init__(reason)
        self.table = table


class OthersTidy(DatabaseError):
    """Another daemon, or a command, is tidying a month."""


class PartitionMissing(DatabaseError):
    """No partition holds a row's time."""


class WatermarkMoved(DatabaseError):
    """The stored watermark is no longer the one that this cycle started from."""


class VehicleRemoved(DatabaseError):
    """The vehicle was removed, or row level security hides it."""
