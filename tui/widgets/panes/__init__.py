"""The panes of the vehicle screen."""
