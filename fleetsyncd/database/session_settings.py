"""What every transaction relies on, whatever role, database and server have as defaults."""

from functools import cache

ROLE = "superuser"
"""`app.user_role`, for the row level security policies."""
CHECK_CLIENT_SINCE = 140_000
"""First server version with client_connection_check_interval."""
TRANSACTION_TIMEOUT_SINCE = 170_000
ISOLATION = "READ COMMITTED"
"""What is repeated after a conflict, and what is not, is written for this level."""
_RELIED_ON = {
    "app.user_role": ROLE,
    "TimeZone": "UTC",
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "row_security": "on",
    "extra_float_digits": "1",
    "quote_all_identifiers": "off",
    "standard_conforming_strings": "on",
    "lock_timeout": "0",
}
"""Settings that change what a statement means or returns."""
# Workers are told only what such a SET sets, and then with the whole text that it stands in: as a
# statement of a block that is its own. It costs no round trip.
TELL_WORKERS = f"DO $$ BEGIN SET LOCAL app.user_role = '{ROLE}'; END $$"
"""SQL that tells the workers of a cluster, too, for this transaction."""
_ON_CLUSTER = {"citus.propagate_set_commands": "local"}


@cache
def opening(
    server_version: int, *, statement_sec: float, idle_sec: float, on_cluster: bool = False
) -> str:
    """Return the SQL that begins a transaction with these settings and time limits, in seconds."""
    limits = {
        "statement_timeout": f"{statement_sec:g}s",
        # A daemon that froze must not keep others from its vehicles' rows.
        "idle_in_transaction_session_timeout": f"{idle_sec:g}s",
    }
    begin = f"BEGIN ISOLATION LEVEL {ISOLATION}"
    if on_cluster:
        values = _set(server_version, {**limits, **_ON_CLUSTER}, "true")
        return f"{begin}; {values}; {TELL_WORKERS}"
    return f"{begin}; {_set(server_version, limits, 'true')}"


def for_whole_session(server_version: int) -> str:
    """Return the SQL that sets them for a session, which then has no time limits."""
    limits = {"statement_timeout": "0", "idle_in_transaction_session_timeout": "0"}
    level = f"SET default_transaction_isolation = '{ISOLATION.lower()}'"
    return f"{level}; {_set(server_version, limits, 'false')}"


def _set(server_version: int, limits: dict[str, str], is_local: str) -> str:
    values = {**_RELIED_ON, **limits}
    if server_version >= CHECK_CLIENT_SINCE:
        # Else the server goes on with a statement, and its locks, after its client was killed.
        values["client_connection_check_interval"] = "5s"
    if server_version >= TRANSACTION_TIMEOUT_SINCE:
        values["transaction_timeout"] = "0"
    calls = (f"set_config('{name}', '{value}', {is_local})" for name, value in values.items())
    return f"SELECT {', '.join(calls)}"
