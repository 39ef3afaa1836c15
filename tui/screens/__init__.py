"""Pages: full screens.

fleet.py    the table of vehicles, with its filter; on wide screens the newest journal entries
journal.py  the journal of the whole fleet
page.py     the base class of all pages
plot.py     a vehicle's channels over time
vehicle.py  one vehicle, with a pane for each tab
"""
