"""The daemon tells of a vehicle that is down; the commands try targets and show what was told."""

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.conftest import Installation
from tests.targets import Service, respond, service


@pytest.fixture
def chat() -> Iterator[Service]:
    with service() as made:
        yield made


@pytest.mark.long
def test_a_vehicle_that_is_down_is_told_and_a_target_that_hangs_delays_no_cycle(
    installation: Installation, chat: Service
) -> None:
    installation.fleet(1)
    dead = ("vehicle", "add", "Dead-01", "127.0.0.1", "--port", "1", "--tag", "site-a")
    assert installation.command(*dead)[0] == 0
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        hanging = f"json://127.0.0.1:{silent.getsockname()[1]}/s3cret-token"
        daemon = installation.daemon(
            NOTIFY_URLS=f"{chat.url} {hanging}",
            NOTIFY_AFTER_SEC="1",
            # The simulated vehicle may have an alarm of its own.
            NOTIFY_ALARM_SEVERITY="none",
        )
        chat.wait(1, seconds=150)
        for _ in range(5):
            daemon.wait_for(r"Cycle done in [01]\.\ds")
        daemon.process.terminate()
        daemon.wait_for("Sync service stopped")
        assert daemon.process.wait() == 0
    (message,) = chat.messages
    assert message["title"].startswith("Dead-01 has not been pulled for ")
    assert message["type"] == "failure"
    assert not any("s3cret" in line for line in daemon.lines)
    code, output, _ = installation.command("notify", "list", "--json")
    (told,) = json.loads(output)
    assert (code, told["kind"], told["severity"]) == (0, "down", "critical")
    assert told["vehicle_name"] == "Dead-01"
    assert set(told["targets"].values()) == {"sent"}
    assert "s3cret" not in output


def test_every_target_is_tried_and_each_is_told_by_a_name_without_secrets(
    installation: Installation, chat: Service
) -> None:
    code, output, errors = installation.command("notify", "test", NOTIFY_URLS=chat.url)
    assert (code, errors) == (0, "")
    assert output.endswith(": sent\n")
    assert "s3cret" not in output
    assert "Nothing has happened." in chat.messages[0]["message"]
    chat.answer = lambda handler: respond(handler, 403)
    code, output, _ = installation.command("notify", "test", NOTIFY_URLS=chat.url)
    assert code == 1
    assert "FAILED" in output
    assert "403" in output
    assert "s3cret" not in output


def test_only_targets_that_want_a_tag_are_tried_with_it(
    installation: Installation, chat: Service, tmp_path: Path
) -> None:
    file = tmp_path / "apprise.yaml"
    file.write_text(f"urls:\n  - {chat.url}/night:\n    - tag: critical, mine-3\n")
    file.chmod(0o600)
    config = str(file)
    words = ("notify", "test", "--tag")
    code, output, _ = installation.command(*words, "site-a", NOTIFY_CONFIG=config)
    assert (code, "not for it" in output, chat.messages) == (0, True, [])
    code, output, _ = installation.command(*words, "critical", NOTIFY_CONFIG=config)
    assert (code, "sent" in output, len(chat.messages)) == (0, True, 1)
    code, output, _ = installation.command(*words, "Mine-3", NOTIFY_CONFIG=config)
    assert (code, "sent" in output, len(chat.messages)) == (0, True, 2), "as a vehicle's tag"


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({}, "no target is configured: set NOTIFY_URLS or NOTIFY_CONFIG"),
        ({"NOTIFY_URLS": "nonsense://s3cret"}, "NOTIFY_URLS: number 1 is no URL that apprise"),
        ({"NOTIFY_CONFIG": "/nowhere/s"}, "NOTIFY_CONFIG: /nowhere/s cannot be read: No such"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_told_in_a_line(
    installation: Installation, variables: dict[str, str], told: str
) -> None:
    code, _, errors = installation.command("notify", "test", **variables)
    assert code == 2
    assert told in errors
    assert "s3cret" not in errors
    if variables:
        code, output, _ = installation.command("doctor", "--no-vehicles", **variables)
        assert code == 1
        assert told in output
