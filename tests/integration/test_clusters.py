from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from psycopg2.extensions import make_dsn

from fleetsyncd.demo.clusters import SystemCluster
from fleetsyncd.demo.embedded import BINARIES, Server, start
from fleetsyncd.errors import CommandError


@pytest.fixture
def system_binaries(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Name the binaries of the tests' server as the system's."""
    monkeypatch.setenv(BINARIES, str(server.cluster.binaries))


def stored(server: Server) -> object:
    with closing(server.connect("fleet")) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('data_directory'), tableowner FROM pg_tables"
                       " WHERE tablename = 'kept'")  # fmt: skip
        return cursor.fetchone()


@pytest.mark.usefixtures("system_binaries")
def test_a_server_from_the_systems_binaries_stops_starts_and_keeps_its_data(
    server_folder: Path,
) -> None:
    server = start(server_folder / "postgres")
    assert isinstance(server.cluster, SystemCluster)
    server.create_database("fleet")
    with closing(psycopg2.connect(make_dsn(**server.parameters("fleet", "fleet_owner")))) as owner:
        owner.cursor().execute("CREATE TABLE kept ()")
        owner.commit()
    before = server.cluster.pid
    server.cluster.halt("immediate")
    server.cluster.start()
    server.cluster.start()
    assert server.cluster.pid != before
    assert stored(server) == (str(server_folder / "postgres"), "fleet_owner")
    server.stop()
    server.stop()
    again = start(server_folder / "postgres")
    assert again.host == server.host
    assert stored(again) == (str(server_folder / "postgres"), "fleet_owner")
    again.stop()
    with pytest.raises(psycopg2.OperationalError):
        server.connect("postgres")


@pytest.mark.usefixtures("system_binaries")
def test_a_server_that_cannot_be_made_is_reported_with_the_tools_output(
    server_folder: Path,
) -> None:
    (server_folder / "postgres").mkdir()
    (server_folder / "postgres" / "else").touch()
    with pytest.raises(CommandError, match=r"(?s)initdb failed: .*exists but is not empty"):
        start(server_folder / "postgres")
