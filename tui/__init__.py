"""The terminal dashboard for the operators of a fleet.

__main__.py    the command that starts the dashboard
app.py         the app: reads the fleet and carries out the keys' actions
app.tcss       the style sheet
audits.py      requests of audits, and what they find
backfills.py   requests of backfills, and how they end
building.py    puts the dashboard together
background.py  blocking work in threads
containment.py  keeps the error of one page or widget from ending the dashboard
choices.py     what the palette offers in the app
context.py     what every screen needs: the gateway, the state, the clocks
day_reader.py  reads the last day of vehicles in the background
export.py      writes tables as CSV files
fault_log.py   files that tell what went wrong inside the dashboard
formatting.py  glyphs, colours and number formats
frame.py       what the terminal shows, so that only what differs is sent
gateway.py     access to the database
job_gateway.py  access to the database for backfills and audits
jobs.py        what requests of backfills and audits have in common
key_collisions.py  actions that share a key because of the operator's own keys
keymap.py      the keys of the app, and the operator's own keys
notifying.py   the base class of the app: it shows messages, and keeps them
open_alarms.py  counts of open alarms
operating.py   what operations share
operations.py  what an operator can do to vehicles
pauses.py      pausing and resuming vehicles, and the way back
poller.py      reads the fleet repeatedly
presence.py    ends the dashboard when nobody is at the terminal
remembered.py  the file that remembers the view between two runs
syncs.py       requests of syncs, and how they end
own_program.py  runs `fleetsyncd` as a process of its own
page_keys.py   which pages open by keys, and by what pages ask for
page_stack.py  limits how many pages lie on one another
writing_gateway.py  writes on vehicles
room_gateway.py  access to the database for quarantine, jobs, findings, actions, notices
rooms.py       what the pages of quarantine, of jobs, findings, actions and notices ask for
screenshot.py  writes pictures of the screen
terminal.py    what the terminal shows, and whether somebody is there
terminal_input.py  keys of a terminal that does not send UTF-8
typing_order.py  hands keys on one at a time, each after what the one before it opens
schema_watch.py    whether a newer program has migrated the database
themes.py      which themes are offered
toolkit_caches.py  keeps Textual and Rich from keeping what was shown once
ui.py          the part of the app that operations use
vehicle_actions.py  what the keys of vehicles do
view_keeper.py  restores the view and the theme, and saves what is changed
dialogs/       boxes above a page, which ask for something or show details
model/         the data that the dashboard shows, without Textual
screens/       pages: full screens
widgets/       widgets that pages and dialogs are made of; panes of the vehicle page
"""
