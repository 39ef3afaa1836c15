"""The data that the dashboard shows, without Textual.

alarm_filter.py  the filter of the page of open alarms
alarm_totals.py  open alarms in few cells
columns.py       the columns of the fleet table, and which of them fit into a width
export_table.py  a table of text, as pages and panes offer it for export
filters.py       the filter that an operator types
fleet_view.py    which vehicles are shown, in which order, and which are marked
span.py          a span of time up to now, as curves and plots show it
state.py         the last snapshot, its freshness, and the warnings that follow from it
"""
