"""Every command in the documents: run, or checked by the parser of what would run it."""

import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterable
from contextlib import closing
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import yaml
from psycopg2 import sql

import fleetsyncd
import tests.bench.__main__
import tests.chaos.__main__
import tests.mutants.__main__
import tests.mutants.planted
from fleetsyncd import settings
from fleetsyncd.demo import embedded
from fleetsyncd.demo.processes import simulator
from tests.acceptance.command_lines import ROOT, fault_of
from tests.acceptance.conftest import Installation

PATHS = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
TEXTS = {str(path.relative_to(ROOT)): path.read_text() for path in PATHS}
README = TEXTS["README.md"]
Words = list[str]
_COMPOSE = {"up", "run", "exec", "logs", "build", "ps", "stop", "down", "pull"}
_UNIT = "fleetsyncd"
OWN_FILES = (".env", "/etc/fleetsyncd/")
VARIABLES = (*settings.VARIABLES, "DB_OWNER_PASSWORD", "POSTGRES_IMAGE")
# Options of compose and its commands that take a value.
_VALUED = {"--profile", "--scale", "-f", "--tail", "-v", "-w", "--user"}


def blocks(language: str, texts: Iterable[str] = TEXTS.values()) -> list[str]:
    pattern = re.compile(rf"^```{language}\n(.*?)^```$", re.DOTALL | re.MULTILINE)
    return [block for text in texts for block in pattern.findall(text)]


def fenced() -> list[str]:
    """Return every command line of the shell blocks."""
    lines = [
        line.partition(" #")[0].strip()
        for block in blocks("sh")
        for line in block.replace("\\\n", " ").splitlines()
    ]
    return [line for line in lines if line]


def named() -> list[str]:
    """Return every command that the running text names, some without their arguments."""
    texts = "\n".join(TEXTS.values())
    text = re.sub(r"^```.*?^```$", "", texts, flags=re.DOTALL | re.MULTILINE)
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", text)]
    return [
        span
        for span in dict.fromkeys(spans)
        if re.sub(r"^([A-Z_]+=\S* )+", "", span).startswith(_STARTS)
    ]


def program(words: Words) -> str | None:
    return fault_of(words)


def module(words: Words) -> str | None:
    if words[:2] == ["-m", "tui"]:
        return dashboard(words[2:])
    if words[:1] == ["-m"] and words[1].startswith("tests."):
        spec = find_spec(words[1]) or find_spec(f"{words[1]}.__main__")
        return None if spec else f"no module {words[1]}"
    return (
        fault_of(words[2:]) if words[:2] == ["-m", "fleetsyncd"] else "not a module of the program"
    )


def dashboard(words: Words) -> str | None:
    from tui.__main__ import main  # noqa: PLC0415  the dashboard's libraries, for one check

    known = {option for parameter in main.params for option in parameter.opts}
    unknown = {word for word in words if word.startswith("-")} - known
    return f"no option {unknown}" if unknown else None


PARSERS = {
    "bench": tests.bench.__main__.parser,
    "chaos": tests.chaos.__main__.parser,
    "mutants": tests.mutants.__main__.parser,
}


def make(words: Words) -> str | None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    target, *rest = words or ["help"]
    if target not in targets:
        return f"no target {target}"
    arguments = next((word[5:] for word in rest if word.startswith("ARGS=")), "")
    if target == "demo":
        return fault_of(["demo", *shlex.split(arguments)])
    if target == "test":
        return pytest_fault(shlex.split(arguments))
    reads = PARSERS.get(target)
    try:
        known = reads is None or reads().parse_args(shlex.split(arguments))
    except SystemExit:
        return f"make {target} takes no {arguments}"
    return None if known else "nothing to run"


def pytest_fault(words: Words) -> str | None:
    # Before tests/conftest.py is read, pytest takes the value of its option for a path to tests.
    for before, word in pairwise(["", *words]):
        is_path = not word.startswith("-") and before not in ("-k", "-m", "-n")
        if is_path and not (ROOT / "tests" / word.removeprefix("tests/")).exists():
            return f"no tests in {word}"
        if is_path and Path(word).is_absolute():
            return f"{word} is no path to tests"
    return None


def docker(words: Words) -> str | None:
    if words.pop(0) != "compose":
        return "not compose"
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    profiles = {name for each in services.values() for name in each.get("profiles", ())}
    while words[:1] in (["--profile"], ["-f"]):
        if words[0] == "--profile" and words[1] not in profiles:
            return f"no profile {words[1]}"
        words = words[2:]
    verb, *rest = words
    rest = rest[: rest.index("<")] if "<" in rest else rest
    if verb not in _COMPOSE:
        return f"no command {verb}"
    error = fault_of_options(rest, services)
    if error is None and rest and rest[0] not in services:
        error = f"no service {rest[0]}"
    if error is not None or not rest[1:] or verb not in ("exec", "run"):
        return error
    # What is run in a container of its own is handed to the image's program.
    own = verb == "run" and services[rest[0]]["image"] == "fleetsyncd"
    return fault_of(rest[1:]) if own else fault_of_program(rest[1:])


def fault_of_options(words: Words, services: dict[str, Any]) -> str | None:
    """Take the options of a command of compose off its words; return what is wrong with them."""
    given: dict[str, str] = {}
    while words and words[0].startswith("-"):
        option = words.pop(0)
        given[option] = words.pop(0) if option in _VALUED and words else ""
    scaled, mount = given.get("--scale", "").partition("=")[0], given.get("-v", "")
    if scaled and scaled not in services:
        return f"no service {scaled}"
    if mount and not mount.startswith(("$PWD/", "/")):
        return f"{mount} is relative, which some versions take for a volume's name"
    if mount and "--user" not in given:
        return f"the image's user cannot write to {mount}"
    return None


def pip(words: Words) -> str | None:
    files = [word for before, word in pairwise(words) if before == "-r"]
    return next((f"no file {name}" for name in files if not (ROOT / name).exists()), None)


def install(words: Words) -> str | None:
    *sources, _target = [w for w in words if not w.startswith("-") and w not in ("600", "644")]
    return next((f"no file {name}" for name in sources if not (ROOT / name).exists()), None)


def copy(words: Words) -> str | None:
    return None if (ROOT / words[0]).exists() else f"no file {words[0]}"


def of_unit(words: Words) -> str | None:
    units = [word for word in words if word == _UNIT or word.startswith((f"{_UNIT}@", f"{_UNIT}."))]
    return None if "daemon-reload" in words or units else f"not about {_UNIT}"


def anything(_words: Words) -> str | None:
    """Accept what belongs to the operating system, and means the same everywhere."""
    return None


def sudo(words: Words) -> str | None:
    return fault_of_program(words)


def systemd_run(words: Words) -> str | None:
    """Look at what the manager is to run: the first absolute path that is no option's."""
    at = next((n for n, word in enumerate(words) if word.startswith("/")), None)
    return "nothing to run" if at is None else fault_of_program(words[at:])


def ssh(words: Words) -> str | None:
    rest = [word for word in words if word != "-t"]
    return fault_of_program(rest[1:]) if rest[1:] else None


PROGRAMS: dict[str, Callable[[Words], str | None]] = {
    "fleetsyncd": program,
    "fleetsync-tui": dashboard,
    "python": module,
    "python3": lambda words: None if words[:2] == ["-m", "venv"] else module(words),
    "make": make,
    "docker": docker,
    "/opt/fleetsyncd/bin/fleetsyncd": program,
    "/opt/fleetsyncd/bin/pip": pip,
    "pip": pip,
    "install": install,
    "cp": copy,
    "chmod": lambda words: (
        None if words[1].startswith((".env", "/etc/fleetsyncd/")) else "not .env"
    ),
    "touch": lambda words: None if words[0].startswith(OWN_FILES) else "not ours",
    "systemctl": of_unit,
    "journalctl": of_unit,
    "sudo": sudo,
    "sudoedit": anything,
    "systemd-run": systemd_run,
    "ssh": ssh,
    "pg_dump": anything,  # run by tests/integration/test_backup.py
    "pg_restore": anything,
    "wg": anything,
    "mkdir": anything,
    "nano": lambda words: None if words == [".env"] else "not .env",
    "psql": anything,
    "ping": anything,
    "git": anything,
    ".venv/bin/python": module,
    ".venv/bin/pre-commit": lambda words: None if words == ["install"] else "not install",
}


_STARTS = tuple(f"{name} " for name in PROGRAMS)


def fault_of_program(words: Words) -> str | None:
    """Return what is wrong with a command line; None if it can be run as it stands."""
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        name = words.pop(0).partition("=")[0]
        known = (*VARIABLES, "PGOPTIONS", "UPDATE_GOLDEN")
        if name not in known and not name.startswith("TEXTUAL"):
            return f"no variable {name}"
    if not words or words[0] not in PROGRAMS:
        return f"cannot tell what {words[:1]} is: say so in this test"
    return PROGRAMS[words[0]](words[1:])


def test_files_with_secrets_are_closed_to_others_before_they_are_edited(tmp_path: Path) -> None:
    etc = tmp_path / "etc"
    etc.mkdir()
    (tmp_path / "sudo").write_text('#!/bin/sh\nexec "$@"\n')
    # As the real one does, it makes a file that is missing readable by all.
    edit = '#!/bin/sh\numask 022\nfor file; do echo "SECRET=1" >> "$file"; done\n'
    (tmp_path / "sudoedit").write_text(edit)
    for program in ("sudo", "sudoedit"):
        (tmp_path / program).chmod(0o755)
    made = ("sudoedit ", "sudo touch /etc/fleetsyncd/", "sudo chmod ", "sudo install -D -m 600 ")
    lines = [line for line in fenced() if line.startswith(made)]
    script = "\n".join(lines).replace("/etc/fleetsyncd", str(etc))
    path = f"{tmp_path}:{os.defpath}"
    subprocess.run(["/bin/sh", "-ec", script], cwd=ROOT, env={"PATH": path}, check=True)
    modes = {file.name: file.stat().st_mode & 0o777 for file in etc.iterdir()}
    assert modes == dict.fromkeys(("env", "1.env", "2.env", "3.env", "4.env"), 0o600)


@pytest.mark.parametrize("line", fenced())
def test_a_command_of_the_documents_can_be_run(line: str) -> None:
    assert fault_of_program(shlex.split(line)) is None


@pytest.mark.parametrize("line", named())
def test_a_command_that_the_documents_name_exists(line: str) -> None:
    error = fault_of_program(shlex.split(line))
    assert error is None or error.startswith("Missing argument")


def test_there_are_commands_and_wrong_ones_are_found() -> None:
    assert len(fenced()) > 25
    assert len(named()) > 15
    for wrong in (
        "fleetsyncd fly",
        "fleetsyncd run --fast",
        "make tea",
        "docker compose run --rm teapot",
        "docker compose --profile tea up",
        "docker compose exec sync fleetsyncd vehicle fly",
        "docker compose run --rm sync fly",
        "docker compose run --rm -v ./csv:/csv --user 1000 tui",
        'docker compose run --rm -v "$PWD/csv:/csv" tui',
        "ssh -t host docker compose exec teapot fleetsyncd doctor",
        "python -m fleetsyncd vehicle sync",
        "NO_SUCH=1 fleetsyncd run",
        "fleetsync-tui --fast",
        "rm -rf .",
    ):
        assert fault_of_program(shlex.split(wrong)) is not None


def test_every_block_names_its_language() -> None:
    for text in TEXTS.values():
        languages = re.findall(r"^```(\S*)$", text, re.MULTILINE)[::2]
        assert set(languages) <= {"sh", "sql", "yaml", "text", "json", "toml"}
    for block in blocks("yaml"):
        assert yaml.safe_load(block)


def test_the_services_for_another_compose_file_are_sound() -> None:
    (text,) = [block for block in blocks("yaml") if "services:" in block]
    services = yaml.safe_load(text)["services"]
    assert "migrate" in services["fleetsync-migrate"]["command"]
    for name, service in services.items():
        assert service["image"] == "fleetsyncd"
        assert fault_of(service.get("command", [])) is None
        assert set(service["environment"]) <= {*settings.VARIABLES, "PGSSLMODE"}
        assert set(service.get("depends_on", ())) <= {*services, "your-postgres"}, name
    ours = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["sync"]
    for key in ("read_only", "cap_drop", "security_opt", "stop_grace_period"):
        assert services["fleetsync"][key] == ours[key]


def anchors(text: str) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", TEXTS)
def test_every_link_and_picture_leads_somewhere(document: str) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", TEXTS[document]):
        path, _, anchor = target.partition("#")
        if path.startswith("https://"):
            continue
        file = (ROOT / document).parent / path if path else ROOT / document
        assert file.exists(), target
        assert not anchor or anchor in anchors(file.read_text()), target


def test_the_readme_stays_short_and_names_every_document() -> None:
    assert len(README.splitlines()) <= 220
    assert [name for name in TEXTS if name != "README.md" and f"({name})" not in README] == []


def test_every_package_lists_its_files() -> None:
    for package in [path.parent for path in ROOT.glob("*/**/__init__.py")]:
        if package.relative_to(ROOT).parts[0] not in ("fleetsyncd", "tui"):
            continue
        listed = set(re.findall(r"^(\w+\.py)  ", (package / "__init__.py").read_text(), re.M))
        assert listed == {path.name for path in package.glob("*.py")} - {"__init__.py"}, package


def test_the_number_of_planted_bugs_is_that_of_the_list() -> None:
    told = re.findall(r"(\d+) planted bugs", (ROOT / "docs" / "proof.md").read_text())
    assert told == [str(len(tests.mutants.planted.MUTANTS))]


WITHOUT_DEFAULT = {
    "DAEMON_NAME",
    "DATABASE_URL",
    "HEARTBEAT_URL",
    "METRICS_PORT",
    "MINUTES_KEEP_MONTHS",
    "NOTIFY_URLS",
    "NOTIFY_CONFIG",
}
"""Variables that are off, or built from others, unless they are set."""


def test_every_variable_is_documented_with_its_default() -> None:
    documented = set(re.findall(r"`([A-Z][A-Z_]+)`", README))
    assert set(settings.VARIABLES) <= documented
    example = (ROOT / ".env.example").read_text()
    named = set(re.findall(r"^#?([A-Z_]+)=", example, re.MULTILINE))
    assert set(settings.VARIABLES) <= named
    shown = re.findall(r"^#([A-Z_]+)=(.*)$", example, re.MULTILINE)
    told = README + (ROOT / "docs" / "operations.md").read_text()
    for name, default in shown:
        if name not in WITHOUT_DEFAULT:
            assert f"| `{name}` | {default} |" in told or f"| `{name}` | `{default}` |" in told


def test_the_changelog_has_this_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    versions = re.findall(r"^## (\S+)", changelog, re.MULTILINE)
    assert len(re.findall(r"^## \S+ \(\d{4}-\d\d-\d\d\)$", changelog, re.M)) >= len(versions) - 1
    released = [version for version in versions if version != "Unreleased"]
    assert released[0] == fleetsyncd.__version__


def test_the_way_to_a_real_fleet_can_be_walked_step_by_step(
    bare_server: embedded.Server, installation: Installation, tmp_path: Path
) -> None:
    (roles,) = [block for block in blocks("sql") if "CREATE DATABASE" in block]
    bare_server.execute(*(sql.SQL(step) for step in roles.split(";") if step.strip()))
    readme = blocks("sh", [README])
    (schema,) = [block for block in readme if "fleetsyncd migrate --check" in block]
    (vehicles,) = [block for block in readme if "vehicle add --from-file" in block]
    here = {**bare_server.environment("fleet"), "DB_APP_ROLE": ""}
    with simulator(2, healthy=True, channels=2) as (truck, other):
        (tmp_path / "truck-01.key").write_text(truck["key"])
        (tmp_path / "fleet.csv").write_text(
            f"name,address,port,api_key\n{other['name']},{other['host']},{other['port']},"
            f"{other['key']}\n"
        )
        installation.folder = tmp_path
        for line in [*schema.splitlines(), *vehicles.splitlines()]:
            _walk(
                installation, line.replace("10.8.0.17", f"127.0.0.1 --port {truck['port']}"), here
            )
    assert _counted(bare_server) == (2, 2)


def _walk(installation: Installation, line: str, here: dict[str, Any]) -> None:
    words = shlex.split(line)
    given = dict(here)
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        given[name] = value
    if words[1] == "run":
        words += ["--cycles", "1"]
    code, output, errors = installation.command(*words[1:], **given)
    assert code == 0, f"{line}\n{output}{errors}"


def _counted(server: embedded.Server) -> tuple[Any, ...] | None:
    opened = psycopg2.connect(host=server.host, user="postgres", dbname="fleet")
    with closing(opened), opened.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), count(m.vehicle_id) FROM vehicles v LEFT JOIN"
            " (SELECT DISTINCT vehicle_id FROM measurements) m ON m.vehicle_id = v.id"
        )
        return cursor.fetchone()


def test_the_makefile_offers_what_the_documents_name() -> None:
    done = subprocess.run(
        ["/usr/bin/env", "make", "--dry-run", "demo", "test", "lint", "bench"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
