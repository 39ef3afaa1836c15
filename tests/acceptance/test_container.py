"""Dockerfile and compose file, without an engine: parsed, and each service's command run."""

import json
import os
import pty
import re
import subprocess
import sys
import time
from contextlib import ExitStack
from fnmatch import fnmatch
from importlib import metadata
from typing import Any

import psycopg2
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name as canonical

import fleetsyncd
from fleetsyncd import settings
from fleetsyncd.demo import embedded
from fleetsyncd.demo.processes import running
from tests.acceptance.command_lines import ROOT, fault_of
from tests.acceptance.conftest import PATIENCE_SEC

TERMINAL = {"TERM", "COLORTERM"}
"""Told by the operator's terminal."""
OURS = ("distribute", "migrate", "simulator", "sync", "tui")
_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
# Of the database, which compose brings along, only the passwords are set from outside.
_FIXED = {"DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DATABASE_URL", "DB_APP_ROLE"}


def instructions(stage: int) -> list[tuple[str, str]]:
    """Return a stage's instructions in the Dockerfile; -1 is the last, which is what is run."""
    text = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
    lines = [line.strip() for line in text.splitlines() if line.strip() and line[0] != "#"]
    stages: list[list[tuple[str, str]]] = []
    for line in lines:
        name, _, rest = line.partition(" ")
        if name == "FROM":
            stages.append([])
        stages[-1].append((name, rest.strip()))
    return stages[stage]


def value(name: str) -> str:
    (found,) = [rest for instruction, rest in instructions(-1) if instruction == name]
    return found


def compose() -> dict[str, Any]:
    compose_file = yaml.safe_load((ROOT / "compose.yaml").read_text())
    assert isinstance(compose_file, dict)
    return compose_file


def resolved(text: str, given: dict[str, str]) -> str:
    """Fill in variables as compose does; raise KeyError if one that is required is not given."""

    def fill(found: re.Match[str]) -> str:
        name, kind, default = found.groups()
        if given.get(name):
            return given[name]
        if kind != "-":
            raise KeyError(f"{name}: {default}")
        return str(default)

    return _VARIABLE.sub(fill, text)


def test_the_image_is_of_the_version_of_python_that_the_project_names() -> None:
    version = (ROOT / ".python-version").read_text().strip()
    for stage in (0, -1):
        assert instructions(stage)[0][1].split(" ")[0] == f"python:{version}-slim"


def test_everything_that_is_copied_exists_and_is_not_ignored() -> None:
    patterns = (ROOT / ".dockerignore").read_text().splitlines()
    admitted = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    sources = [
        source
        for name, rest in instructions(0)
        if name == "COPY"
        for source in rest.split(" ")[:-1]
    ]
    assert len(sources) >= 5
    for source in sources:
        assert (ROOT / source).exists()
        assert source in admitted
    assert not any(fnmatch(".env", pattern) for pattern in admitted)


def test_the_image_runs_as_an_unprivileged_user_and_takes_only_what_was_installed() -> None:
    names = [name for name, _ in instructions(-1)]
    assert [rest for name, rest in instructions(-1) if name == "COPY"] == [
        "--from=build /opt/fleetsyncd /opt/fleetsyncd"
    ]
    assert int(value("USER")) > 0
    assert value("STOPSIGNAL") == "SIGTERM"
    assert "EXPOSE" not in names
    everything = (ROOT / "Dockerfile").read_text()
    assert "requirements-dev" not in everything
    assert not re.search(r"apt|gcc|build-essential", everything)
    assert "compileall" in everything


def test_the_image_has_no_second_copy_of_the_version() -> None:
    assert fleetsyncd.__version__ not in (ROOT / "Dockerfile").read_text()


def test_the_image_installs_with_the_pinned_build_tool() -> None:
    pinned = re.findall(r"^setuptools==\S+$", (ROOT / "requirements-dev.txt").read_text(), re.M)
    assert len(pinned) == 1
    assert any(pinned[0] in rest for name, rest in instructions(0) if name == "RUN")


def test_entry_command_and_health_check_are_in_exec_form_and_can_be_run() -> None:
    entry, command = json.loads(value("ENTRYPOINT")), json.loads(value("CMD"))
    assert entry == ["fleetsyncd"]
    assert fault_of(command) is None
    program, *arguments = json.loads(value("HEALTHCHECK").partition("CMD ")[2])
    assert program == "fleetsyncd"
    assert fault_of(arguments) is None


def test_every_service_waits_for_what_it_needs() -> None:
    needs = {
        name: {other: how["condition"] for other, how in service.get("depends_on", {}).items()}
        for name, service in compose()["services"].items()
    }
    assert needs == {
        "postgres": {},
        "migrate": {"postgres": "service_healthy"},
        "sync": {"postgres": "service_healthy", "migrate": "service_completed_successfully"},
        "tui": {"postgres": "service_healthy"},
        "simulator": {"sync": "service_started"},
        "worker-1": {},
        "worker-2": {},
        "cluster": dict.fromkeys(("postgres", "worker-1", "worker-2"), "service_healthy"),
        "distribute": dict.fromkeys(("migrate", "cluster"), "service_completed_successfully"),
    }


@pytest.mark.parametrize("name", OURS)
def test_our_services_are_confined_and_their_logs_are_rotated(name: str) -> None:
    service = compose()["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert service["logging"]["options"]["max-size"]
    assert "ports" not in service
    assert "container_name" not in service


def test_a_file_of_targets_can_be_handed_to_the_daemon_by_uncommenting_a_line() -> None:
    text = (ROOT / "compose.yaml").read_text()
    changed = re.sub(r"^( +)#(?=volumes:)", r"\1", text, flags=re.MULTILINE)
    volumes = yaml.safe_load(changed)["services"]["sync"]["volumes"]
    assert volumes == ["./notify.yml:/run/notify.yml:ro,z"]
    assert "NOTIFY_CONFIG=/run/notify.yml" in text
    assert f"-o {value('USER')} -m 400" in text


def test_only_dashboard_simulator_and_cluster_stay_behind_their_profiles() -> None:
    services = compose()["services"]
    assert {name: each["profiles"] for name, each in services.items() if "profiles" in each} == {
        "tui": ["tui"],
        "simulator": ["demo"],
        **{name: ["citus"] for name in ("worker-1", "worker-2", "cluster", "distribute")},
    }
    assert services["sync"]["restart"] == "unless-stopped"
    image = resolved(services["postgres"]["image"], {})
    assert int(image.removeprefix("postgres:")) >= 16


def test_all_nodes_of_a_cluster_are_alike_but_for_their_data() -> None:
    services = compose()["services"]
    nodes = [dict(services[name]) for name in ("postgres", "worker-1", "worker-2")]
    data = [node.pop("volumes")[0].partition(":")[0] for node in nodes]
    assert data == ["data", "worker-1", "worker-2"]
    assert sorted(data) == sorted(compose()["volumes"])
    assert nodes[1].pop("profiles") == nodes[2].pop("profiles")
    assert nodes[0] == nodes[1] == nodes[2]
    assert services["cluster"]["image"] == nodes[0]["image"]


@pytest.mark.parametrize("name", [name for name in OURS if name != "tui"])
def test_every_service_runs_a_command_that_exists(name: str) -> None:
    assert fault_of(compose()["services"][name]["command"]) is None


def test_one_service_builds_the_image_and_the_others_only_use_it() -> None:
    services = compose()["services"]
    assert [name for name in OURS if "build" in services[name]] == ["migrate"]
    assert {services[name]["image"] for name in OURS} == {"fleetsyncd"}
    # The one that builds is needed by every other one that starts by itself, so it is never left
    # out; what only uses the image must not look for it in a registry.
    assert {name: services[name]["pull_policy"] for name in OURS} == {
        "distribute": "never",
        "migrate": "missing",
        "simulator": "never",
        "sync": "never",
        "tui": "never",
    }


def test_no_service_needs_a_file_of_the_host_or_more_than_the_hosts_limits() -> None:
    """Neither umask, SELinux, rootless mode nor an engine on another host is then in the way."""
    volumes = set(compose()["volumes"])
    for service in compose()["services"].values():
        assert {each.partition(":")[0] for each in service.get("volumes", ())} <= volumes
        assert "ulimits" not in service


def test_the_services_say_that_their_network_is_their_own() -> None:
    services = compose()["services"]
    assert {services[name]["environment"]["PGSSLMODE"] for name in OURS} == {"disable"}


def test_the_first_health_probe_comes_soon() -> None:
    options = dict(re.findall(r"--([\w-]+)=(\d+)s", value("HEALTHCHECK")))
    assert int(options["start-interval"]) <= 5
    assert int(options["start-period"]) > int(options["start-interval"])
    assert compose()["services"]["postgres"]["healthcheck"]["start_interval"] == "1s"


def test_every_variable_of_the_compose_file_is_documented() -> None:
    text = (ROOT / "compose.yaml").read_text()
    used = {found[0] for found in _VARIABLE.findall(text)} - TERMINAL
    example = set(re.findall(r"^#?(\w+)=", (ROOT / ".env.example").read_text(), re.M))
    assert used <= example
    readme = (ROOT / "README.md").read_text()
    assert [name for name in sorted(used) if f"`{name}`" not in readme] == []


def test_the_daemon_can_be_configured_in_full_and_has_no_secret_by_default() -> None:
    given = compose()["services"]["sync"]["environment"]
    assert set(settings.VARIABLES) - _FIXED <= set(given)
    with pytest.raises(KeyError, match="DB_PASSWORD: set DB_PASSWORD"):
        resolved(given["DB_PASSWORD"], {})
    assert resolved(given["VEHICLE_DEFAULT_API_KEY"], {}) == ""
    with pytest.raises(KeyError, match="DB_OWNER_PASSWORD: set DB_OWNER_PASSWORD"):
        resolved(compose()["services"]["migrate"]["environment"]["DB_PASSWORD"], {})


def test_only_the_one_shot_migrations_know_the_owners_password() -> None:
    services = compose()["services"]
    knowing = {
        name for name in OURS if "DB_OWNER_PASSWORD" in json.dumps(services[name]["environment"])
    }
    assert knowing == {"distribute", "migrate"}


def test_the_services_commands_make_an_installation_that_pulls(
    bare_server: embedded.Server,
) -> None:
    given = {"DB_PASSWORD": "of the daemon's", "DB_OWNER_PASSWORD": "of the owner's"}
    services = compose()["services"]

    def environment(name: str) -> dict[str, str]:
        own = {k: resolved(v, given) for k, v in services[name]["environment"].items()}
        here = {"DB_HOST": bare_server.host, "SYNC_INTERVAL_SEC": "1", "TERM": "xterm"}
        return {**os.environ, **own, **here}

    def command(name: str) -> list[str]:
        return ["fleetsyncd", *services[name]["command"]]

    _make_roles(bare_server, environment("postgres"))
    done = subprocess.run(
        [sys.executable, "-m", *command("migrate")], env=environment("migrate"), check=False
    )
    assert done.returncode == 0
    with ExitStack() as stack:
        stack.enter_context(running(command("sync"), environment("sync")))
        stack.enter_context(running(command("simulator"), environment("simulator")))
        _until(bare_server, "SELECT count(DISTINCT vehicle_id) >= 8 FROM measurements")
        _until(bare_server, "SELECT count(*) = 12 FROM vehicles")
        assert services["tui"]["entrypoint"] == ["fleetsync-tui"]
        _look(environment("tui"))
    assert _asked(
        bare_server, "SELECT tableowner::text FROM pg_tables WHERE tablename = 'vehicles'"
    ) == ("fleet_owner",)


def roles_script() -> str:
    """Return the script that the postgres image runs, as compose hands it over."""
    (given,) = compose()["services"]["postgres"]["configs"]
    assert given["target"] == "/docker-entrypoint-initdb.d/roles.sh"
    script = compose()["configs"][given["source"]]["content"]
    assert "$" not in script.replace("$$", "")
    return str(script.replace("$$", "$"))


def _make_roles(server: embedded.Server, environment: dict[str, str]) -> None:
    run_roles_script(server, environment)
    assert _asked(
        server,
        "SELECT array_agg(rolname::text ORDER BY rolname), bool_or(rolsuper OR rolbypassrls)"
        " FROM pg_authid WHERE rolname LIKE 'fleet%' AND rolpassword LIKE 'SCRAM%'",
        "postgres",
    ) == (["fleet_app", "fleet_owner"], False)


def run_roles_script(server: embedded.Server, environment: dict[str, str]) -> None:
    """Run the script as the postgres image does: as its superuser, on the server's own socket."""
    path = f"{server.cluster.binaries}:{os.environ['PATH']}"
    subprocess.run(
        ["/bin/sh", "-c", roles_script()],
        env={**environment, "PATH": path, "PGHOST": server.host},
        check=True,
    )


def _asked(server: embedded.Server, query: str, database: str = "fleet") -> tuple[Any, ...]:
    connection = psycopg2.connect(host=server.host, user="postgres", dbname=database)
    try:
        with connection.cursor() as cursor:
            cursor.execute(query)
            row: tuple[Any, ...] | None = cursor.fetchone()
            assert row is not None
            return row
    finally:
        connection.close()


def _until(server: embedded.Server, query: str) -> None:
    ends = time.monotonic() + PATIENCE_SEC
    while not _asked(server, query)[0]:
        assert time.monotonic() < ends, query
        time.sleep(0.2)


def _look(environment: dict[str, str]) -> None:
    """Open the dashboard in a terminal until it shows a vehicle, then quit it."""
    terminal, theirs = pty.openpty()
    dashboard = subprocess.Popen(
        [sys.executable, "-m", "tui"],
        env={**environment, "COLUMNS": "80", "LINES": "24"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    while b"Truck-01" not in shown:
        shown += os.read(terminal, 65_536)
    os.write(terminal, b"q")
    try:
        while os.read(terminal, 65_536):
            pass
    except OSError:
        pass  # the terminal was left
    assert dashboard.wait(PATIENCE_SEC) == 0
    os.close(terminal)


def test_the_scripts_of_the_compose_file_are_sound_shell() -> None:
    subprocess.run(["/bin/sh", "-n", "-c", roles_script()], check=True)
    probe = compose()["services"]["postgres"]["healthcheck"]["test"]
    assert probe[0] == "CMD-SHELL"
    subprocess.run(["/bin/sh", "-n", "-c", probe[1].replace("$$", "$")], check=True)


def test_everything_that_production_installs_is_pinned() -> None:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pinned = {canonical(line.split("==")[0]) for line in lines if "==" in line}
    wanted = set(pinned)
    for name in pinned:
        for text in metadata.requires(name) or []:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                wanted.add(canonical(requirement.name))
    assert wanted == pinned
