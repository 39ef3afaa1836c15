"""What operators are told to do about a statement's error."""

import pytest

from fleetsyncd.database.pool import Database
from fleetsyncd.errors import DatabaseError
from tests.integration.test_retention import query

LOCK = "SELECT count(pg_advisory_xact_lock(n)) FROM generate_series(1, 10000000) n"
ALLOCATE = """
DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '53200', MESSAGE = 'out of memory',
    DETAIL = 'Failed on request of size 8192.'; END $$
"""


def test_a_full_table_of_locks_names_the_setting_and_that_it_needs_a_restart(
    database: Database,
) -> None:
    with pytest.raises(DatabaseError) as told:
        query(database, LOCK)
    assert "raise max_locks_per_transaction in its configuration and restart it" in str(told.value)
    assert "short of memory" not in str(told.value)


def test_a_host_without_memory_is_told_as_such(database: Database) -> None:
    with pytest.raises(DatabaseError, match="the database's host is short of memory"):
        database.run(lambda cursor: cursor.execute(ALLOCATE))
