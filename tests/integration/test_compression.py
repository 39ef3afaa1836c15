"""What the daemon tells of compression; what the owner's function does is in test_timescale."""

import pytest

from fleetsyncd.database.compression import Compression
from fleetsyncd.database.pool import Database
from fleetsyncd.demo.embedded import Server
from tests.integration.test_adoption import as_owner
from tests.integration.test_retention import query

MADE_UP = """
CREATE OR REPLACE FUNCTION fleetsync.compress_chunk(
    after_days integer, OUT chunk text, OUT bytes_before bigint, OUT bytes_after bigint,
    OUT locked text, OUT failed text)
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    DELETE FROM fleetsync.made_up m WHERE ctid = (SELECT min(ctid) FROM fleetsync.made_up)
    RETURNING m.chunk, 183000000, 11000000, m.locked INTO chunk, bytes_before, bytes_after, locked;
    IF locked LIKE '%: %' THEN failed := locked; locked := NULL; END IF;
    IF chunk = 'broken' THEN RAISE EXCEPTION 'no space left'; END IF;
END $$
"""
AGAIN = "it is tried again in an hour"


def compress(
    server: Server, name: str, database: Database, *chunks: tuple[str | None, str | None]
) -> tuple[list[str], list[str]]:
    """Let the owner's function return these chunks, and return what is told and warned of."""
    as_owner(server, name, "CREATE TABLE fleetsync.made_up (chunk text, locked text)", MADE_UP)
    as_owner(server, name, "GRANT ALL ON fleetsync.made_up TO PUBLIC")
    for chunk in chunks:
        query(database, "INSERT INTO fleetsync.made_up VALUES (%s, %s)", *chunk)
    told: list[str] = []
    warned: list[str] = []
    compression = Compression(database, 7, tell=told.append, warn=warned.append)
    assert len(list(compression.steps())) == len(told)
    return told, warned


def test_each_chunk_is_told_with_what_it_saves(
    server: Server, database_name: str, database: Database
) -> None:
    told, warned = compress(
        server, database_name, database, ("first", None), ("second", None), (None, None)
    )
    assert told == [f"compressed {name}: 183 MB became 11 MB" for name in ("first", "second")]
    assert warned == []


def test_a_chunk_that_somebody_holds_is_named_and_left_for_later(
    server: Server, database_name: str, database: Database
) -> None:
    told, warned = compress(server, database_name, database, ("second", "first"), (None, "first"))
    assert len(told) == 1
    assert warned == [
        "not compressed: first, which another session reads or writes for long: " + AGAIN
    ]


def test_a_chunk_that_cannot_be_compressed_is_told_with_the_reason(
    server: Server, database_name: str, database: Database
) -> None:
    told, warned = compress(
        server, database_name, database, ("second", "first: no space"), (None, "first: no space")
    )
    assert len(told) == 1
    assert warned == [f"not compressed, {AGAIN}: first: no space"]


def test_an_error_ends_the_round_and_not_the_daemon(
    server: Server, database_name: str, database: Database
) -> None:
    told, warned = compress(server, database_name, database, ("broken", None), ("second", None))
    assert told == []
    assert warned == [f"no chunk could be compressed, {AGAIN}: no space left"]


def test_without_a_hypertable_nothing_is_compressed(database: Database) -> None:
    told: list[str] = []
    assert list(Compression(database, 7, tell=told.append, warn=told.append).steps()) == []
    assert told == []


@pytest.mark.parametrize("days", ["0", "-1", "NULL", "36501"])
def test_the_owners_function_takes_no_absurd_age(database: Database, days: str) -> None:
    with pytest.raises(Exception, match="days before compression must be 1 to 36500"):
        database.run(lambda c: c.execute(f"SELECT fleetsync.compress_chunk({days})"))
