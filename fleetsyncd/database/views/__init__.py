"""Read-only queries for operators.

fleet.py      the overview of all vehicles
journal.py    pages of the journal, a vehicle's history
journal_hours.py  how the attempts of each hour ended
alarms.py     open alarms of the whole fleet
lateness.py   why vehicles are late
vehicle.py    one vehicle's channels, alarms, details
backfills.py  how far backfills are, and what stands in their way
estimates.py  rows to be removed, work of a backfill
retention.py  what is announced to be deleted, what a setting deletes
sql_times.py  SQL for times and ages
"""
