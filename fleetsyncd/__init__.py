"""Central telemetry sync for a fleet: pull, commit exactly once, report each vehicle's lag.

__main__.py     patch for gevent, then run the command line
cli.py          `main`, the group of commands, `run` and `once`
bootstrap.py    settings, database, client and supervisor, put together
green.py        the only patching; deadlines and background calls for gevent
settings.py     the environment as frozen settings
allowed.py      which values settings may have
environment.py  variables of the environment and of `.env`, as clean text
database_url.py  DATABASE_URL as libpq reads it
errors.py       the tree of all errors
models.py       vehicles as the database describes them, windows of their time
telemetry.py    what vehicles answer: status, channels, alarms, measurements
jobs.py         what is pulled beside the cycles: backfills, audits, looks
reports.py      how cycles and backfills ended; the journal's entries
remarks.py      what the journal's entries say
audit_results.py  what audits have found and proved
loss_forecast.py  what of a gap its vehicle will have dropped
states.py       a vehicle's state as operators see it
severities.py   how grave alarms are
notices.py      what operators are told of
findings.py     results of doctor's checks
actions.py      what operators do, and who they are
slices.py    long work made in slices, between which other greenlets run
text.py         sanitised text, ages
cells.py        text in terminal cells
streams.py      standard input, output and error: encoding, failures
lateness.py     how late a vehicle commits, and the overlap that follows
traffic.py      what a link carried
budgets.py      how much one vehicle may store
times.py        times of the vehicle API, of operators, months
time_limits.py  accepted times, deadlines
validation.py   what operators register a vehicle with
terms.py        what they set for one vehicle in place of the settings
logs.py         log lines as text or JSON
process.py      open files, core dumps, garbage collection
signals.py      signals end a command, rolled back

commands/       the other commands
sync/           the daemon: supervisor, cycles, backfills
vehicle/        all that speaks to a vehicle
database/       all that speaks to PostgreSQL
conditions/     what is the case in the fleet, and what is told of it
notify/         messages, and the targets that they are sent to
monitoring/     the main loop's listeners: metrics, systemd, watchdog
demo/           simulated fleet and embedded PostgreSQL; production never imports it
ops/            unit file, alerts, dashboards for Grafana
"""

__version__ = "0.2.0"
