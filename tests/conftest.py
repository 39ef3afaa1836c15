"""A real PostgreSQL for every test that asks for one; each test gets a database of its own."""

import os
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from psycopg2 import sql

from fleetsyncd import settings
from fleetsyncd.database.pool import Database
from fleetsyncd.database.schema import migrate
from fleetsyncd.demo import citus_cluster, embedded
from fleetsyncd.demo.citus_cluster import CitusCluster, CitusMissing
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.vehicle import cpu_slices
from tests import clustered, distribution, hidden
from tests.targets import Service, service

TEMPLATE = "fleet_template"
_numbers = count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option to test with another PostgreSQL than the wheel's."""
    help_ = "a PostgreSQL's binaries: --postgres-bin=/usr/lib/postgresql/15/bin, with the `=`"
    parser.addoption("--postgres-bin", metavar="FOLDER", help=help_)
    help_ = "keep measurements in a hidden table behind a view"
    parser.addoption("--hidden-table", action="store_true", help=help_)
    help_ = "distribute measurements over a Citus cluster"
    parser.addoption("--citus", action="store_true", help=help_)


def pytest_configure(config: pytest.Config) -> None:
    """Hand the binaries to every server, also to those of the demo's processes."""
    binaries = config.getoption("--postgres-bin")
    if binaries is None:
        return
    folder = Path(binaries).resolve()
    if not (folder / "postgres").exists():
        raise pytest.UsageError(f"--postgres-bin: there is no postgres in {folder}")
    os.environ[embedded.BINARIES] = str(folder)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the longest tests first; mark those that need a cluster."""
    items.sort(key=distribution.sort_key)
    for item in items:
        if "cluster" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.citus)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return the number of workers for `-n auto`."""
    return distribution.workers()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Return the scheduler of the workers."""
    return distribution.scheduler(config, log)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's own configuration out of the tests."""
    for name in settings.VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def ample_cpu_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let answers be read however slow this machine is just now.

    The bound itself is tested in processes of their own, which this does not reach.
    """
    monkeypatch.setattr(cpu_slices, "LONGEST_SEC", 60.0)


@pytest.fixture(scope="session")
def server(pytestconfig: pytest.Config) -> Iterator[embedded.Server]:
    """Return a PostgreSQL server that holds a migrated template database."""
    with TemporaryDirectory(prefix="fleetsync-tests-") as folder:
        if pytestconfig.getoption("--citus"):
            with clustered.serving_template(Path(folder), TEMPLATE) as nodes:
                yield nodes
            return
        data = Path(folder) / "postgres"
        started = embedded.start(data, durable=False)
        started.create_database(TEMPLATE)
        started = hidden.extend(started, TEMPLATE, data)
        owner = DatabaseSettings(started.parameters(TEMPLATE, embedded.OWNER))
        migrate.migrate(owner, embedded.APP)
        if pytestconfig.getoption("--hidden-table"):
            hidden.hide(started, TEMPLATE)
        yield started
        started.stop()


@pytest.fixture(scope="session")
def copied_fast(server: embedded.Server) -> sql.SQL:
    """Return the option that copies a template fast; before PostgreSQL 15 it is implied."""
    with closing(server.connect("postgres")) as connection:
        before_15 = connection.server_version < 150000
    return sql.SQL("" if before_15 else "STRATEGY FILE_COPY")


@pytest.fixture
def server_folder() -> Iterator[Path]:
    """Return a folder for a server of one's own.

    A server that root starts runs under another account, which must reach it through every folder
    above its data. pytest's own folder does not do: the next run of pytest locks it again.
    """
    with TemporaryDirectory(prefix="fleetsync-tests-") as folder:
        yield Path(folder)


@pytest.fixture
def empty_database(server: embedded.Server) -> Iterator[str]:
    """Return the name of an empty database that the tables' owner owns."""
    name = f"empty_{os.getpid()}_{next(_numbers)}"
    server.create_database(name)
    yield name
    server.drop_database(name)


@pytest.fixture
def database_name(server: embedded.Server, copied_fast: sql.SQL) -> Iterator[str]:
    """Return the name of a migrated, empty database."""
    name = f"fleet_{os.getpid()}_{next(_numbers)}"
    names = map(sql.Identifier, (name, TEMPLATE, embedded.OWNER))
    copying = sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {} {}").format(*names, copied_fast)
    for node in server.nodes:
        node.execute(copying)
    yield name
    server.drop_database(name)


@pytest.fixture
def database(server: embedded.Server, database_name: str) -> Iterator[Database]:
    """Return a migrated database as the daemon sees it: through an ordinary role."""
    opened = Database(DatabaseSettings(server.parameters(database_name), pool_size=4))
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def cluster() -> Iterator[CitusCluster]:
    """Return a running Citus cluster; skip where the server has no Citus."""
    with TemporaryDirectory(prefix="fleetsync-tests-") as folder:
        try:
            started = citus_cluster.start(Path(folder) / "citus", durable=False)
        except CitusMissing as missing:
            pytest.skip(str(missing))
        yield started
        started.stop()


@pytest.fixture
def cluster_database_name(cluster: CitusCluster) -> Iterator[str]:
    """Return the name of an empty database on every node, whose owner is the tables'."""
    name = f"cluster_{os.getpid()}_{next(_numbers)}"
    cluster.create_database(name)
    yield name
    cluster.drop_database(name)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes by their argument: as text they are unreadable, and gzip puts the time in them."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture
def chat() -> Iterator[Service]:
    """Return a running service that takes messages."""
    with service() as made:
        yield made
