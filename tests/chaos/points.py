"""Named points of a daemon's way through the database at which it may be killed."""

VARIABLE = "CHAOS_POINT"
POINTS = {
    "before-commit": ("COMMIT", False),
    "after-commit": ("COMMIT", True),
    "before-rows": ("fleetsync.add_measurements", False),
    "after-rows": ("fleetsync.add_measurements", True),
    "after-watermark": ("SET last_sync_at = greatest", True),
    "after-alarms": ("INSERT INTO public.alarms_log", True),
    "before-journal": ("INSERT INTO public.sync_journal", False),
    "after-journal": ("INSERT INTO public.sync_journal", True),
    "after-month": ("fleetsync.ensure_month", True),
    "after-request": ("SET sync_requested_at = NULL", True),
}
"""Part of the statement, and whether the end comes after it."""
