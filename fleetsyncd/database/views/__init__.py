"""Read-only queries for operators.

fleet.py      the overview of all vehicles
gaps.py       what of each is missing, and how far gaps and backfills are, for that overview
journal_hours.py  how the attempts of each hour ended
alarm_knowledge.py  up to when it is known which alarms are open
alarms.py     open alarms of the whole fleet
coverage.py   what of a vehicle's time is stored
lateness.py   why vehicles are late
history.py    vehicles' attempts in equal slices of time
actions.py    pages of the action log
notices.py    pages of the notices, what became of them, the mutes in force
journal.py    pages of the journal, the last hour of vehicles
plot.py       channels over a span of time, with the alarms in it
series.py     channels' values in equal slices of time, whatever the number of rows
minute_series.py  the same of long spans, from minute aggregates
minutes.py    how far the minute aggregates are
chosen.py     which vehicles a view is about
channel_changes.py  what a vehicle's channels meant before
vehicle.py    one vehicle's channels, alarms, details
newest_values.py  the newest value of each of a vehicle's channels
audits.py     how far audits are, and what they have found
backfills.py  how far backfills are, and what stands in their way
jobs.py       what backfills and audits have in common, lists of them
planned_rows.py  how many rows the planner expects
estimates.py  rows to be removed, work of a backfill
retention.py  what is announced to be deleted, what a setting deletes
storage.py    what the database takes on its disk, and how fast it grows
stored_tables.py  the tables and the months of measurements on it
growth.py     when a disk is full to which several things are added
worker_storage.py  what the workers of a cluster have of it
traffic.py    what the links have carried, by month or day
rights.py     whether the role may read a newer table
sql_times.py  SQL for times and ages
quarantine.py  groups of bad rows, and a group page by page
"""
