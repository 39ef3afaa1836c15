"""All that speaks to PostgreSQL: pool, statements, partitions, migrations."""
