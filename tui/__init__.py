"""The terminal dashboard for the operators of a fleet.

__main__.py    the command that starts the dashboard
app.py         the app: reads the fleet and carries out the keys' actions
app.tcss       the style sheet
backfills.py   requests of backfills, and how they end
background.py  blocking work in threads
containment.py keeps the error of one page or widget from ending the dashboard
context.py     what every screen needs: the gateway, the state, the clocks
export.py      writes tables as CSV files
fault_log.py   files that tell what went wrong inside the dashboard
formatting.py  glyphs, colours and number formats
frame.py       what the terminal shows, so that only what differs is sent
gateway.py     access to the database
keymap.py      the keys of the app, and the operator's own keys
operating.py   what operations share
operations.py  what an operator can do to vehicles
poller.py      reads the fleet repeatedly
presence.py    ends the dashboard when nobody is at the terminal
terminal_input.py  keys of a terminal that does not send UTF-8
toolkit_caches.py  keeps Textual from keeping the pages that were left
ui.py          the part of the app that operations use
dialogs/       boxes above a page, which ask for something or show details
model/         the data that the dashboard shows, without Textual
screens/       pages: full screens
widgets/       widgets that pages and dialogs are made of; panes of the vehicle page
"""
