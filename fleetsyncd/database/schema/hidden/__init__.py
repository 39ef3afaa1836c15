"""Measurements in a hidden table behind a view, which can be a hypertable: `migrate --timescale`.

layout.py      the hidden table, the view with the policies, rights
hypertable.py  what makes the hidden table one of TimescaleDB
mirror.py      triggers that write to both tables while rows are copied
copying.py     rows copied part by part, vehicle by vehicle
obstacles.py   what stands in the way, each by name
dependents.py  what goes with a table itself, not with its name
reading.py     functions that read only the chunks of their time
returning.py   the table that measurements come back to
conversion.py  there, and back
"""
