"""The daemon, from the main loop (supervisor) down to one vehicle's cycle.

supervisor.py       the main loop: start cycles, serve requests, drain
plan.py             its settings
stopping.py         how it waits, and ends
keepers.py          what runs beside the cycles: housekeeping, minutes, traffic, notices
dispatcher.py       what is pulled now: shards, cycles, backfills
lanes.py            greenlets in two lanes, prompt and slow
spacing.py          how far apart a cycle's vehicles are started
cycle_runner.py     runs cycles, keeps errors with their vehicle
cycle.py            one cycle of one vehicle, top to bottom
cycle_plan.py       which interval a cycle pulls, by both clocks
cycle_commit.py     a cycle's windows committed, and how far they reach
alarm_pull.py       a cycle's alarms
identity.py         another machine in a vehicle's place
pull.py             windows of one vehicle, until all are complete
link.py             what a pull's answers tell of the vehicle's link
history.py          what a vehicle has dropped of an interval
dropping.py         what it drops while that is pulled
lateness.py         how late a pull's rows came
window.py           which interval to pull, and how to split it
commit.py           rows, bad rows and progress in one transaction
placing.py          a partition for every row, or the row left out
prefetch.py         how the next page is asked for meanwhile
payment.py          a pause after answers that cost too much
own_intervals.py    whose turn it is, of those with an interval of their own
rests.py            who asked to be left alone, and until when
silence.py          who is asked less often, since it does not answer
sizing.py           how much one question asks for
question_limit.py   how long and how often one pull may ask
context.py          what cycles and backfills work with
sessions.py         kept sessions to the vehicles
recording.py        the end of a cycle, written down
outcome.py          the result of a step as a value
catch_up_runner.py  runs gaps, backfills and audits beside the cycles
attempts.py         what of these a job runs, and when an attempt is to end
gap.py              one attempt at a gap, up to what is live
running_jobs.py     what runs of these, and when it pauses or ends
job_slots.py        their slots; a job that waits for its link lends its own
pacing.py           jobs wait for the pace of their vehicles' links
pace.py             how fast a vehicle's gap may fill its link
gap_turns.py        in which order gaps get slots
backfill.py         one attempt at a vehicle's backfill
backfill_jobs.py    which backfills are started
audit.py            one attempt at an audit of a vehicle's past
look.py             a visit: looks at small windows of it
comparing.py        what both do alike: ask again, compare, store
audit_jobs.py       which audits are started
audit_plan.py       who is visited next, and how much is asked for
replay.py           quarantined rows tried again
shards.py           this replica's shards
requests.py         what is to be pulled now: requests, unfinished gaps
setback.py          notices that the database went back
outage.py           whether the database is lost, or only busy
unstored.py         whose cycles the database could not store
heartbeat.py        this daemon's heartbeat in the database
housekeeping.py     expired rows and closed months, once an hour
traffic.py          what the links carry, counted and stored once a minute
rounds.py           work beside the cycles, a round every so often
tidier.py           when a closed month is tidied
minutes.py          minute aggregates, beside the cycles
alarm_notices.py    what is told of alarms
loss_notices.py     tells that PostgreSQL is lost, and that it is back
full_disk.py        tells that PostgreSQL's disk is full
notice_sender.py    sends what waits for each target of notices
notifier.py         judges the fleet, and sends notices
intake_watch.py     warns of vehicles that store too much
cycle_summary.py    a cycle of the fleet, counted and logged
vehicle_log.py      what is logged of a vehicle, and how often
log_lines.py        the text of log lines
"""
