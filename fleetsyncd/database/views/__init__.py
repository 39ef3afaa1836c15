"""Read-only queries: what operators look at."""
