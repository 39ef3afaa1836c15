"""All that speaks to PostgreSQL.

connections.py   open connections
connect_errors.py  why there is none, and what to do about it
session_settings.py  what every transaction relies on
cluster.py       what the pool knows of a Citus cluster
pool.py          transactions with the RLS context, retries
probe.py         what a transaction that took too long waited for
statement_errors.py  what an error of a statement means
session.py       one kept connection for advisory locks
pooler.py        poolers on which such locks do not hold
maintenance.py   statements that no transaction may surround
blocking.py      who stands in the way of a lock
hints.py         what an operator can do about a statement's error
loading.py       the vehicles with all that a daemon has to know of them
store.py         what a cycle stores: the watermark, channels, alarms, bad rows
outcomes.py      how cycles and attempts ended
statements.py    the SQL of store.py
vehicle_state.py  SQL for a vehicle's state: paused, dated, at the address that was asked; its name
adopted_nulls.py  entries with a null that an adopted table may refuse
lateness.py      the columns of how late a vehicle commits
vehicle_memory.py  what is remembered of a vehicle between cycles
measurements.py  measurements, each stored once
minutes.py       minute aggregates of measurements, as the watermark moves on
due_minutes.py   those of history, and of rows that came late
minutes_before_drop.py  those of months whose rows are to be dropped
untold_alarms.py  those that are open and were not told
alarms.py        alarms, also those whose number was used again
channel_changes.py  what channels meant before
compression.py   old chunks of a hypertable compressed
partitions.py    months ahead of time and for gaps
retention.py     removal of expired rows and months
expired_months.py  months dropped, the oldest first
retention_in_force.py  which settings may have deleted already
retention_kinds.py  what is kept for how long
retention_plan.py  what is to be removed, and whether it may be
closed_months.py  which months are to be tidied
tidying.py       keys of closed months written anew
tidy_progress.py  how far that is, and who is in its way
housekeeping.py  the journal of what was done so
outbox.py  what waits for a target of notices, and what becomes of it
notices.py       what is told, to whom, and what waits
conditions.py    what is the case, and what was told of it
quarantine.py    bad rows: list, release, delete
gaps.py          which gaps are open, and their progress
islands.py       what is live ahead of a gap
traffic.py       what the links have carried, by the day
losses.py        what the watermark has passed over without all of it being stored
backfills.py     requested backfills and their progress
audits.py        requested audits and their progress
audit_findings.py  what they found and is not told yet
repairs.py       audits that the daemon itself requests
verified.py      what looks at a vehicle's past have proved
comparison.py    a vehicle's answer compared with what is stored
vehicles.py      the registered vehicles: find, register
vehicle_changes.py  their registration changed
pausing.py       pause, resume, the end of pauses whose time is over
sync_requests.py  sync now: what operators ask for, and the daemon takes
bulk_mutes.py    mutes of several vehicles at once, and the way back
mutes.py         vehicles that are pulled, and of which nothing is told
action_log.py    who did what, written by the transaction that does it
bulk.py          pause, resume, sync now for several vehicles at once
bulk_edits.py    their registration, tags and terms, of several at once
vehicle_tags.py  labels that operators give to vehicles
vehicle_terms.py  what they set for vehicles in place of the settings
machines.py      which machine answers for which vehicle
access.py        which user may see which vehicle
intake.py        who stores far more than the others
removal.py       vehicles leave the fleet
removed_vehicles.py  what is known of removed vehicles
leftovers.py     what they left
restoration.py   their way back into the fleet
purge.py         their measurements deleted, in batches
replicas.py      heartbeats of the daemons
spans.py         all of time in spans that touch few parts of measurements each
shard_locks.py   which daemon holds which shards

views/           read-only queries for operators
schema/          migrations, grants, checks
"""
