"""The data that the dashboard shows, without Textual.

columns.py       the columns of the fleet table, and which of them fit into a width
export_table.py  a table of text, as pages and panes offer it for export
filters.py       the filter that an operator types
fleet_view.py    which vehicles are shown, in which order, and which are marked
palette.py       what the palette offers, and which of it a text names
refused.py       refused rows that an operator has chosen
span.py          a span of time up to now, as curves and plots show it
state.py         the last snapshot, its freshness, and the warnings that follow from it
"""
