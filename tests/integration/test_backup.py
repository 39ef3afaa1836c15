"""A backup as docs/operations.md describes it: everything is in it, and a restored one goes on."""

import os
import re
import shlex
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fleetsyncd.database import quarantine
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Database
from fleetsyncd.database.schema import checks, migrate
from fleetsyncd.database.schema.backups import HOW, check_backups
from fleetsyncd.demo.embedded import APP, OWNER, Server
from fleetsyncd.findings import Level
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.times import utc_now
from tests.integration.rig import rig

DOCUMENT = Path(__file__).parents[2] / "docs/operations.md"
_CONTENTS = """
SELECT c.oid::regclass::text FROM pg_class c
WHERE relkind IN ('r', 'p') AND NOT relispartition
  AND relnamespace IN ('public'::regnamespace, 'fleetsync'::regnamespace)
"""


def documented(tool: str) -> str:
    """Return the command line of the document that begins with this tool, or sets a variable."""
    lines = re.findall(rf"^((?:PGOPTIONS=\S+ \S+ )?{tool} .*)$", DOCUMENT.read_text(), re.MULTILINE)
    assert len(lines) == 1, lines
    return str(lines[0])


def run(
    server: Server, command: str, database: str, folder: Path
) -> "subprocess.CompletedProcess[str]":
    """Run a documented command against this database, with the server's own tools."""
    words = shlex.split(command.replace("-d fleet ", f"-d {database} "))
    variables = dict(word.split("=", 1) for word in words if re.match(r"[A-Z]+=", word))
    tool, *arguments = [word for word in words if not re.match(r"[A-Z]+=", word)]
    arguments = [server.host if word == "db.example" else word for word in arguments]
    return subprocess.run(
        [server.cluster.binaries / tool, *arguments],
        env={**os.environ, **variables},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def contents(server: Server, name: str) -> dict[str, set[Any]]:
    """Return every row of every table."""
    with closing(server.connect(name)) as connection, connection.cursor() as cursor:
        cursor.execute(_CONTENTS)
        tables = {}
        for (table,) in cursor.fetchall():
            cursor.execute(f"SELECT t::text FROM {table} t")  # noqa: S608  names from the catalog
            tables[table] = {row[0] for row in cursor.fetchall()}
        return tables


def test_the_documented_dump_holds_everything_and_the_restored_database_goes_on(
    server: Server, database_name: str, empty_database: str, tmp_path: Path
) -> None:
    settings = DatabaseSettings(server.parameters(database_name))
    with closing(Database(settings)) as database, rig(database) as it:
        it.cycle()
        it.run(
            "INSERT INTO fleetsync.quarantine (vehicle_id, digest, call, raw, reason)"
            " VALUES (%s, gen_random_uuid(), '/data', '{}', 'bad')",
            str(it.vehicle_id),
        )
        dumped = run(server, documented("pg_dump"), database_name, tmp_path)
        assert (dumped.returncode, dumped.stderr) == (0, "")
        restored = run(server, documented("pg_restore"), empty_database, tmp_path)
        assert (restored.returncode, restored.stderr) == (0, "")
        before = contents(server, database_name)
        assert contents(server, empty_database) == before
        assert all(before[table] for table in ("vehicles", "measurements", "sync_journal"))

        owner = DatabaseSettings(server.parameters(empty_database, OWNER))
        assert migrate.migrate(owner, APP) == migrate.Migrated([], [])
        it.database = Database(DatabaseSettings(server.parameters(empty_database)))
        with closing(it.database):
            assert it.cycle(after=30).outcome == "ok"
            assert it.compare().clean
            Partitions(it.database).ensure_ahead(utc_now())
            found = [*checks.run_checks(it.database, 4, utc_now)]
            assert [each for each in found if each.level is not Level.OK] == []
            assert len(it.database.run(lambda c: quarantine.list_rows(c, None, 10))) == 1


def test_a_dump_without_the_context_fails_as_the_document_warns(
    server: Server, database_name: str, tmp_path: Path
) -> None:
    plain = documented("pg_dump").replace(" --enable-row-security", "")
    failed = run(server, plain, database_name, tmp_path)
    assert failed.returncode != 0
    assert "row-level security" in failed.stderr


@pytest.mark.parametrize(("user", "can"), [(OWNER, True), (APP, False)])
def test_doctor_says_whether_a_role_can_make_the_dump(
    server: Server, database_name: str, user: str, can: bool
) -> None:
    with closing(Database(DatabaseSettings(server.parameters(database_name, user)))) as database:
        Partitions(database).ensure_ahead(utc_now())
        told = database.run(check_backups)
    assert told.level is Level.OK
    assert (HOW in told.text) is can
    assert ("run `fleetsyncd doctor` as the role that makes the dumps" in told.text) is not can


def test_doctor_warns_of_other_tables_whose_rows_may_be_hidden_from_the_dump(
    server: Server, database_name: str
) -> None:
    settings = DatabaseSettings(server.parameters(database_name, OWNER))
    with closing(Database(settings)) as database:
        database.run(
            lambda cursor: cursor.execute(
                "CREATE SCHEMA other; CREATE TABLE other.users (id integer);"
                " ALTER TABLE other.users ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"
            )
        )
        told = database.run(check_backups)
    assert told.level is Level.WARNING
    assert "other.users" in told.text
    assert "BYPASSRLS" in str(told.remedy)
