"""The data that the dashboard shows, without Textual.

alarm_filter.py  the filter of the page of open alarms
alarm_totals.py  open alarms in few cells
columns.py       the columns of the fleet table, and which of them fit into a width
coverage_strip.py  what of a vehicle's last week is stored
day_strips.py    the last day of vehicles, hour by hour
daemons.py       which daemons run, which are late, and which have died
meaning.py       what a plotted channel meant when
curve.py         between which values of a channel a line may be drawn
export_table.py  a table of text, as pages and panes offer it for export
filter_words.py  the words of a filter
filters.py       the filter that an operator types
fleet_export.py  the fleet as a table of text
fleet_view.py    which vehicles are shown, in which order, and which are marked
job_text.py      what is said of backfills and audits
messages.py      what the dashboard has told the operator
notice_text.py   what is said of notices, of their targets and of mutes
outage.py        whether this host's network is to blame for silent vehicles
palette.py       what the palette offers, and which of it a text names
refused.py       refused rows that an operator has chosen
span.py          a span of time up to now, as curves and plots show it
tag_groups.py    groups of vehicles by tag
tag_text.py      which vehicles are shown, in the words of an empty list
sorting.py       in which order the vehicles are shown
state.py         the last snapshot, its freshness, and the warnings that follow from it
typed_filter.py  the filter while it is typed
view_text.py     what the lines below the fleet table say
targets.py       the vehicles that an action applies to, and which of them are out of sight
plot_export.py   a plot as a table of text
plot_view.py     what a plot shows: its span, its cursor, its scale
scale.py         the scale of a picture
sparks.py        curves of one line of block characters
time_axis.py     which cell of a picture a time belongs to, and its labels
"""
