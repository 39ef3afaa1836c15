"""The terminal dashboard for the people who run the fleet."""
