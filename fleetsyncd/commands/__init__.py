"""The commands; `cli` has the two that run the daemon.

group.py        sections of the help text, exit codes
status.py       `status`
health.py       `health`
vehicle.py      `vehicle list/add/sync/test`
vehicle_set.py  `vehicle set`
removed_vehicles.py  `vehicle remove/restore/purge`, `vehicle list --removed`
vehicle_maintenance.py  `vehicle pause/resume/mute/unmute`
vehicle_machines.py  `vehicle swap/accept`
vehicle_csv.py  a CSV file of vehicles to register
access.py       `access list/grant/revoke`
backfill.py     `backfill`
backfill_watch.py  how far requests are, until they are done
audit.py        `audit`
audit_watch.py  how far audits are, and what they have found
log.py          `log`
traffic.py      `traffic`
quarantine.py   `quarantine list/show/replay/purge`
migrate.py      `migrate`
migrate_where.py  its options for TimescaleDB and for a Citus cluster
doctor.py       `doctor`
retention.py    `retention`
storage.py      `storage`
minutes.py      `minutes`
notify.py       `notify test/list`
completion.py   `completion`
schema.py       `schema`
json_output.py  what is printed with --json, and its versions
acting.py       the running command as the action log stores it, acting on a vehicle
parameters.py   options and arguments that several commands have
input_files.py  key files and other files that commands read
questions.py    questions before something is deleted
tables.py       plain text tables
"""
