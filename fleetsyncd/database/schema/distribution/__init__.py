"""Measurements distributed over a Citus cluster by vehicle: `migrate --distribute`.

Only they are; all else stays on the coordinator, the one node that daemons speak to.

nodes.py      the nodes of the cluster, and what each of them says
functions.py  where rows are written, and what a worker knows of rights
policies.py   who may read, by role
members.py    roles that read as members of others
access.py     the copy of vehicle_access that each node has
columns.py    columns that take their numbers from a sequence
views.py      views over the table, which Citus makes on workers, and anew on the way back
foreign.py    what others have made of the table, each by name
room.py       whether the disks have room for the rows
obstacles.py  what stands in the way
remarks.py    what else `--check` tells
kept.py       what Citus does not bring back with the rows
steps.py      there, and back
health.py     doctor's check of the cluster
"""
