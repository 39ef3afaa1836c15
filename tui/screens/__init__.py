"""Pages: full screens.

actions.py  who did what to which vehicle
alarm_plot.py  from an alarm to the plot of its channel
alarms.py   the open alarms of the whole fleet
fleet.py    the table of vehicles, with its filter; on wide screens the newest journal entries
journal.py  the journal of the whole fleet
notices.py  what was told, to whom, what waits, and what is muted
page.py     the base class of all pages
tags.py     groups of vehicles by tag
plot.py     a vehicle's channels over time
vehicle.py  one vehicle, with a pane for each tab
backfills.py   the backfills and audits of all vehicles
findings.py    what doctor's checks of the database say
quarantine.py  refused rows by vehicle, call and reason, and row by row
room.py        the base class of pages with one table
paged_room.py  the base class of those that are read page by page
"""
