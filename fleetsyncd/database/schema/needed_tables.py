"""What the program needs of the tables that other services know."""

from dataclasses import dataclass

TEXT = ("text", "character varying", "citext")
ANY_TEXT = (*TEXT, "character varying(")
UUID, INET = ("uuid",), ("inet",)
INTEGER, BIGINT = ("integer", "bigint"), ("bigint",)
FLOAT = ("double precision", "numeric")
ANY_NUMBER = (*FLOAT, "numeric(", "real")
TIME = (
    "timestamp with time zone",
    *(f"timestamp({digits}) with time zone" for digits in range(3, 7)),
)


@dataclass(frozen=True, slots=True)
class Column:
    """What a column must be: one of these types, which may end in "("; to be added if missing."""

    types: tuple[str, ...]
    null: bool = False
    """The daemon writes null into it."""
    default: str = ""

    def fits(self, type_name: str) -> bool:
        """Tell whether a column of this type will do."""
        return type_name in self.types or any(
            each.endswith("(") and type_name.startswith(each) for each in self.types
        )

    @property
    def definition(self) -> str:
        """The column as ADD COLUMN takes it."""
        return f"{self.types[0]}{self.default and f' DEFAULT {self.default}'}"


COLUMNS = {
    "vehicles": {
        "id": Column(UUID, default="gen_random_uuid()"),
        "name": Column(ANY_TEXT),
        "vpn_ip": Column(INET),
        "api_port": Column(INTEGER, default="8001"),
        "api_key": Column(ANY_TEXT, null=True),
        "last_seen_at": Column(TIME, null=True),
        "last_sync_at": Column(TIME, null=True),
        "sync_status": Column(ANY_TEXT, default="'unknown'"),
        "software_version": Column(TEXT, null=True),
        "created_at": Column(TIME, default="now()"),
    },
    "channel_config": {
        "vehicle_id": Column(UUID),
        "channel_id": Column(INTEGER),
        "name": Column(TEXT),
        "unit": Column(TEXT, null=True),
        "min_value": Column(ANY_NUMBER),
        "max_value": Column(ANY_NUMBER),
        "synced_at": Column(TIME),
    },
    "measurements": {
        "vehicle_id": Column(UUID),
        "channel_id": Column(INTEGER),
        "time": Column(TIME),
        "value": Column(FLOAT),
    },
    "alarms_log": {
        "vehicle_id": Column(UUID),
        "alarm_id": Column(BIGINT),
        "channel_id": Column(INTEGER),
        "severity": Column(TEXT, null=True),
        "message": Column(TEXT),
        "triggered_at": Column(TIME),
        "resolved_at": Column(TIME, null=True),
        "synced_at": Column(TIME),
    },
    "sync_journal": {
        "id": Column(BIGINT + INTEGER),
        "vehicle_id": Column(UUID),
        "started_at": Column(TIME),
        "finished_at": Column(TIME),
        "status": Column(ANY_TEXT),
        "rows_written": Column(INTEGER),
        "error_msg": Column(TEXT, null=True),
    },
    "vehicle_access": {"user_id": Column(UUID), "vehicle_id": Column(UUID)},
}
KEYS = {
    "vehicles": ("id",),
    "channel_config": ("vehicle_id", "channel_id"),
    "alarms_log": ("vehicle_id", "alarm_id"),
}
"""Unique keys that statements name."""
ADDED_KEYS = {"measurements": ("vehicle_id", "channel_id", "time")}
"""Another one, which `migrate` adds where there is none."""
STATUSES = {
    ("vehicles", "sync_status"): ("ok", "timeout", "error", "unknown"),
    ("sync_journal", "status"): ("ok", "timeout", "error"),
}
FILLED_BY_OTHERS = ("vehicles", "vehicle_access")
"""Tables to which the daemon adds no row: further columns may ask for a value."""
