"""The settings of the daemon's main loop."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """The supervisor's settings, under their own names but for `kept_sessions`."""

    sync_interval_sec: float
    sync_concurrency: int
    """At least two vehicles; fewer than configured if the limit of open files is low."""
    kept_sessions: int
    """The most sessions that are kept between cycles."""
    catch_up_concurrency: int
    shutdown_grace_sec: float
    silent_interval_sec: float
    audit_percent: float = 0.0
    """Of what a vehicle sends, how much of its past may be asked for again; 0: nothing."""
    minutes_keep_months: int | None = None
    """None: no minutes are computed."""
    daemon_name: str | None = None
    """None: it is called by host and process."""
