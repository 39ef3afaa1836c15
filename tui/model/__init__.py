"""The data that the dashboard shows, without Textual.

columns.py       the columns of the fleet table, and which of them fit into a width
curve.py         between which values of a channel a line may be drawn
export_table.py  a table of text, as pages and panes offer it for export
filters.py       the filter that an operator types
fleet_view.py    which vehicles are shown, in which order, and which are marked
plot_view.py     what a plot shows: its span, its cursor, its scale
scale.py         the scale of a picture
span.py          a span of time up to now, as curves and plots show it
sparks.py        curves of one line of block characters
state.py         the last snapshot, its freshness, and the warnings that follow from it
time_axis.py     which cell of a picture a time belongs to, and its labels
"""
