"""The profile `citus` of the compose file, without an engine: its nodes as servers from here."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from psycopg2 import sql

from fleetsyncd.demo import citus_cluster, embedded
from fleetsyncd.demo.citus_cluster import CitusCluster, CitusMissing
from fleetsyncd.demo.embedded import APP, OWNER
from tests.acceptance.test_container import compose, resolved, run_roles_script

PASSWORDS = {"DB_PASSWORD": "of the daemon's", "DB_OWNER_PASSWORD": "of the \\owner's"}
ROLES = (OWNER, APP)


def _environment(service: str) -> dict[str, str]:
    given = compose()["services"][service]["environment"]
    return {name: resolved(value, PASSWORDS) for name, value in given.items()}


@pytest.mark.long
@pytest.mark.citus
def test_the_nodes_of_the_profile_citus_become_a_cluster_by_their_passwords(
    server_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        started = citus_cluster.start(server_folder / "citus", durable=False)
    except CitusMissing as missing:
        pytest.skip(str(missing))
    superuser = PASSWORDS["DB_OWNER_PASSWORD"]
    monkeypatch.setenv("PGPASSWORD", superuser)  # which is asked for from the first script on
    try:
        for each in started.nodes:
            each.execute(*(sql.SQL("DROP ROLE {}").format(sql.Identifier(r)) for r in ROLES))
            each.query(
                "postgres", "ALTER ROLE postgres PASSWORD %s", PASSWORDS["DB_OWNER_PASSWORD"]
            )
            run_roles_script(each, {**os.environ, **_environment("worker-1")})
            _require_passwords(each)
        _run_cluster_service(started)
        distribute = _environment("distribute") | {"DB_HOST": started.host}
        done = subprocess.run(
            [sys.executable, "-m", "fleetsyncd", *compose()["services"]["distribute"]["command"]],
            env={**os.environ, **distribute},
            check=False,
        )
        assert done.returncode == 0
        placed = "SELECT DISTINCT nodename FROM pg_dist_placement JOIN pg_dist_node USING (groupid)"
        assert started.query("fleet", placed)
    finally:
        started.stop()


def _require_passwords(server: embedded.Server) -> None:
    (Path(server.host) / "pg_hba.conf").write_text("local all all scram-sha-256\n")
    server.cluster.halt("fast")
    server.cluster.start()


def _run_cluster_service(cluster: CitusCluster) -> None:
    """Run the service that introduces the nodes, twice: every `up` does."""
    service = compose()["services"]["cluster"]
    here = dict(zip(("postgres", "worker-1", "worker-2"), cluster.nodes, strict=True))
    arguments = [*service["entrypoint"], *service["command"]]
    for name, node in here.items():
        arguments = [argument.replace(f"'{name}'", f"'{node.host}'") for argument in arguments]
    path = f"{cluster.cluster.binaries}:{os.environ['PATH']}"
    environment = {**os.environ, **_environment("cluster"), "PATH": path, "PGHOST": cluster.host}
    for _ in range(2):
        subprocess.run(arguments, env=environment, check=True, stdout=subprocess.DEVNULL)
