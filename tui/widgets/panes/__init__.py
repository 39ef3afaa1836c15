"""Panes: each is the content of one tab of the vehicle page.

alarms.py    the vehicle's alarms
channels.py  the vehicle's channels with their newest values
config.py    the vehicle's registration and sync state
history.py   lag, rows and outcomes over time
journal.py   the vehicle's journal
pane.py      the base class of all panes
requests.py  what operators have asked for of the past, and what looks have proved
"""
