"""Which conditions of the fleet operators are told of.

model.py    the facts at one moment, what is the case, what is remembered
present.py  what is the case: vehicles that are down, an outage, clocks, losses, daemons, the disk
judging.py  what is told of it
found.py    what audits found
"""
