"""Read-only queries for operators.

fleet.py       the overview of all vehicles
journal.py     pages of the journal, a vehicle's history
vehicle.py     one vehicle's channels, alarms, details
backfills.py   how far backfills are, and what stands in their way
quarantine.py  groups of bad rows, and a group page by page
estimates.py   rows to be removed, work of a backfill
retention.py   what is announced to be deleted, what a setting deletes
sql_times.py   SQL for times and ages
"""
