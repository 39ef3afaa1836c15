"""Widgets that pages and dialogs are made of.

checkbox.py       a check box that is legible without colours
fixed_text.py     text in a place of fixed size
fleet_line.py     one line of the fleet table
fleet_table.py    the table of vehicles
journal_table.py  the table of journal entries, page by page
keyed_table.py    a table whose cursor and marks stay on their rows
row_table.py      the base class of tables of rows, and functions that fill them
status_bar.py     the line of totals
warning_bar.py    the warnings, in as many words as there is room for
panes/            the panes of the vehicle page
"""
