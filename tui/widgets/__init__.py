"""Widgets that pages and dialogs are made of.

alarm_cells.py    an open alarm in words
alarm_table.py    the table of open alarms, page by page
canvas.py         a canvas of braille dots and characters
changes.py        which cells differ between two texts
checkbox.py       a check box that is legible without colours
fixed_text.py     text in a place of fixed size
fleet_line.py     one line of the fleet table
fleet_table.py    the table of vehicles
in_full.py        the line under a table's cursor in full
journal_table.py  the table of journal entries, page by page
journal_tail.py   the newest journal entries below the fleet
plot_area.py      the place of a plot, which takes clicks
plot_headline.py  what a plot shows, in a line
plot_panel.py     the curves of the channels that have one unit
plot_picture.py   the picture of a plot: its panels, alarms, time axis
key_footer.py     the line of keys
keyed_table.py    a table whose cursor and marks stay on their rows
row_table.py      the base class of tables of rows, and functions that fill them
status_bar.py     the line of totals
vehicle_wanted.py  the message that asks for a vehicle's page
warning_bar.py    the warnings, in as many words as there is room for
panes/            the panes of the vehicle page
"""
