"""Dialogs: boxes above a page, which ask for something or show details.

audit.py      asks for a past interval to be compared with what vehicles have
backfill.py   asks for a past interval to be pulled again
columns.py    chooses the columns of the fleet table
confirm.py    asks for a confirmation
daemons.py    shows the daemons that pull the fleet
deletion.py   confirms a deletion, and asks whether measurements go too
details.py    shows one row of a table in full
dialog.py     the base class of the dialogs that ask
export.py     asks for the path of a CSV file
help.py       shows keys, states, ages and the filter
interval.py   the base class of audit.py and backfill.py: an interval, or to cancel what runs
maintenance.py  asks until when and why vehicles are paused or muted
messages.py   shows the last messages again
palette.py    finds an action, a vehicle or a theme by typing
probe.py      tests vehicles' four calls and shows the results
too_small.py  shown while the terminal is too small
vehicle.py    asks for a vehicle's registration
"""
