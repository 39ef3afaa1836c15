"""Every error that fleetsyncd raises on purpose.

FleetsyncError
├── SettingsError            the configuration cannot be used
├── CommandError             a command was asked for something impossible
├── VehicleError             one vehicle's call failed; names the call and the reason
│   ├── VehicleTimeout       no complete answer within the deadline
│   ├── VehicleUnreachable   refused, reset, no route
│   ├── VehicleRefused       an HTTP status other than 200
│   └── BadAnswer            an answer that cannot be what was asked for
│       └── AnswerTooLarge   more of it than is read: ask for less
├── CycleStopped             the cycle was ended between two windows, on purpose
└── DatabaseError            PostgreSQL could not do it
    ├── DatabaseLost         no connection to be had; worth another try later
    ├── DatabaseBusy         no free connection of the pool within the deadline
    ├── SchemaOutdated       run `fleetsyncd migrate`
    ├── MigrationFailed      a migration was refused by the server
    ├── WatermarkMoved       somebody moved the watermark while rows were being pulled
    └── VehicleGone          the vehicle's row is not there, or not visible to us
"""

TOO_MANY_OPEN_FILES = "no more files can be opened: raise the limit (ulimit -n, LimitNOFILE=)"


class FleetsyncError(Exception):
    """Root of all errors raised on purpose; its text is meant for the operator."""


class SettingsError(FleetsyncError):
    """The configuration cannot be used; the text lists every fault."""


class CommandError(FleetsyncError):
    """A command was asked for something impossible."""


class VehicleError(FleetsyncError):
    """A call to a vehicle failed."""

    def __init__(self, call: str, reason: str) -> None:
        super().__init__(f"{call}: {reason}")
        self.call = call
        self.reason = reason


class VehicleTimeout(VehicleError):
    """The vehicle gave no complete answer within the deadline."""


class VehicleUnreachable(VehicleError):
    """No connection to the vehicle, or it broke."""


class VehicleRefused(VehicleError):
    """The vehicle answered with an HTTP status other than 200."""

    def __init__(self, call: str, status: int, reason: str) -> None:
        super().__init__(call, reason)
        self.status = status


class BadAnswer(VehicleError):
    """The vehicle's answer cannot be what was asked for."""


class AnswerTooLarge(BadAnswer):
    """The vehicle's answer is longer than what is read of one: a smaller question may do."""


class PullStopped(FleetsyncError):
    """The cycle was ended between two windows because the daemon stops or the vehicle is paused."""


class DatabaseError(FleetsyncError):
    """PostgreSQL could not do what was asked."""


class DatabaseLost(DatabaseError):
    """The connection to PostgreSQL is gone or cannot be made."""


class DatabaseBusy(DatabaseError):
    """Every connection of the pool stayed in use until the deadline."""


class SchemaOutdated(DatabaseError):
    """The database lacks migrations that this version needs."""


class MigrationFailed(DatabaseError):
    """A migration could not be applied."""


class WatermarkMoved(DatabaseError):
    """The stored watermark is no longer the one this cycle started from."""


class VehicleRemoved(DatabaseError):
    """The vehicle was removed, or row level security hides it."""
