"""SQL for a vehicle's state: whether it is paused, what dates it, what it was asked at; its name.

Expressions over `v`, a row of vehicles, and `s`, its row of vehicle_state.
"""

ADDRESS = "coalesce(host({v}vpn_ip), ''), coalesce({v}api_port, 8001)"
AT_ADDRESS = f"(%(host)s::text IS NULL OR ({ADDRESS.format(v='')}) = (%(host)s, %(port)s))"
"""Whether a row of `vehicles` has the address that was asked; true if none was."""
# An older version writes updated_at and not dated_at: what it left of these columns dates nothing.
DATED = "s.dated_at = s.updated_at"
"""Whether the columns that date a vehicle's state are true, of its row `s` of vehicle_state."""
IS_PAUSED = "(coalesce(s.paused, false) AND coalesce(s.paused_until > now(), true))"
"""Whether a vehicle is paused, of its row `s`; also of none, as by an outer join.

Grafana's dashboard has the same text."""
IS_OVER = "s.paused AND s.paused_until <= now()"
"""Whether its pause has ended by itself, and no daemon has tidied the row up yet."""
RESUMED_AT = "CASE WHEN s.paused THEN s.paused_until ELSE s.resumed_at END"
"""When a vehicle that is not paused was resumed: a pause has ended at its time."""
DAY = """
    day_rows = %(added)s + CASE s.intake_day WHEN current_date THEN s.day_rows ELSE 0 END,
    day_seconds = %(covered_sec)s
        + CASE s.intake_day WHEN current_date THEN s.day_seconds ELSE 0 END,
    day_alarms = CASE s.intake_day WHEN current_date THEN s.day_alarms ELSE 0 END,
    day_channel_changes = CASE s.intake_day WHEN current_date THEN s.day_channel_changes ELSE 0 END,
    intake_day = current_date
"""
"""What is counted of a day: sets columns of `s`, a row of vehicle_state."""


def true_islands(watermark: str) -> str:
    """Return SQL for the islands of `s`, a row of vehicle_state, with this last_sync_at.

    None if an older version has pulled the vehicle since, which may have met a clock that was set
    back, or if somebody has set last_sync_at back to have an interval pulled again.
    """
    return f"""CASE WHEN {DATED} AND ({watermark} < s.island_watermark) IS NOT TRUE
        THEN s.islands ELSE tstzmultirange() END"""


def name_of(vehicle: str = "v.", key: str = "v.id") -> str:
    """Return SQL for the name that a vehicle is shown with: its id, if its name is blank."""
    name = f"{vehicle}name"
    return f"coalesce(CASE WHEN btrim({name}) <> '' THEN {name} END, {key}::text)"


def if_dated(column: str) -> str:
    """Return SQL for a column that dates the state; null if an older version wrote meanwhile."""
    return f"CASE WHEN {DATED} THEN s.{column} END"
