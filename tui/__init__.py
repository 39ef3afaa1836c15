"""The terminal dashboard for the operators of a fleet.

__main__.py    the command that starts the dashboard
app.py         the app: reads the fleet and carries out the keys' actions
app.tcss       the style sheet
backfills.py   requests of backfills, and how they end
background.py  blocking work in threads
choices.py     what the palette offers in the app
compositor.py  partial updates of the terminal, without unchanged cells
context.py     what every screen needs: the gateway, the state, the clocks
export.py      writes tables as CSV files
formatting.py  glyphs, colours and number formats
gateway.py     access to the database
key_collisions.py  actions that share a key because of the operator's own keys
keymap.py      the keys of the app, and the operator's own keys
operating.py   what operations share
operations.py  what an operator can do to vehicles
own_program.py  runs `fleetsyncd` as a process of its own
poller.py      reads the fleet repeatedly
presence.py    ends the dashboard when nobody is at the terminal
room_gateway.py  access to the database for quarantine, backfills, findings
rooms.py       what the pages of quarantine, backfills and findings ask for
screenshot.py  writes pictures of the screen
terminal_input.py  keys of a terminal that does not send UTF-8
ui.py          the part of the app that operations use
dialogs/       boxes above a page, which ask for something or show details
model/         the data that the dashboard shows, without Textual
screens/       pages: full screens
widgets/       widgets that pages and dialogs are made of; panes of the vehicle page
"""
