"""A simulated fleet and an embedded PostgreSQL; production never imports it."""
