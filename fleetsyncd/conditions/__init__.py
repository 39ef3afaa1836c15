"""Which conditions of the fleet operators are told of.

model.py    the facts at one moment, what is the case, what is remembered
silence.py  vehicles that are down, and an outage
present.py  all that is the case: silence, clocks, losses, daemons, the disk
judging.py  what is told of it
alarms.py   what is told of a vehicle's alarms
chatter.py  alarms that come and go
found.py    what audits found
"""
