"""Pages: full screens.

backfills.py   the backfills of all vehicles
findings.py    what doctor's checks of the database say
fleet.py       the table of vehicles, with its filter; on wide screens the newest journal entries
journal.py     the journal of the whole fleet
page.py        the base class of all pages
plot.py        one channel's values over time
quarantine.py  refused rows by vehicle, call and reason, and row by row
room.py        the base class of pages with one table
vehicle.py     one vehicle, with a pane for each tab
"""
