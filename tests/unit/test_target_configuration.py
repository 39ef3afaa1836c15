"""Which targets a configuration names, what they are called, and what is wrong with it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from apprise import NotifyBase

from fleetsyncd.errors import SettingsError
from fleetsyncd.notify.targets import load_targets
from fleetsyncd.validation import parse_tag
from tests.targets import Service, service


@pytest.fixture
def chat() -> Iterator[Service]:
    with service() as made:
        yield made


def test_the_name_of_a_target_tells_no_secret_and_tells_targets_apart(chat: Service) -> None:
    urls = [
        chat.url,
        chat.url + "2",
        "tgram://123456789:abcdefg_hijklmnop/12315544/",
        "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js",
        "mailto://user:pa55word@example.com",
    ]
    names = [each.name for each in load_targets(urls, None)]
    assert len(set(names)) == len(urls)
    for secret in ("s3cret", "123456789:abc", "abcdefg_hijklmnop", "4174216298", "JHMHI", "pa55"):
        assert not any(secret in name for name in names), names
    assert names[0].startswith("json://127.0.0.1#")


NAMES = """
import sys
from fleetsyncd.notify.targets import load_targets
urls, config = sys.argv[1].split(), sys.argv[2]
print([each.name for each in load_targets(urls, None) + load_targets([], config)])
"""
MANY = "mailto://us:pw@example.com?to=a@x.org&cc=b@x.org,c@x.org,d@x.org,e@x.org"


def test_the_name_of_a_target_is_the_same_in_every_process(tmp_path: Path) -> None:
    config = tmp_path / "apprise.conf"
    config.write_text(f"{MANY}\ntwist://us:pw@example.com/a/b/c/d/e\n")
    config.chmod(0o600)
    names = {
        subprocess.run(
            [sys.executable, "-c", NAMES, MANY, str(config)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
        ).stdout
        for seed in range(1, 5)
    }
    assert len(names) == 1


def test_in_a_file_a_target_keeps_its_name_whichever_defaults_are_written(tmp_path: Path) -> None:
    def named(url: str) -> str:
        config = tmp_path / "apprise.conf"
        config.write_text(f"{url}\n")
        config.chmod(0o600)
        (target,) = load_targets([], str(config))
        return target.name

    plain = named(MANY)
    defaults = "&overflow=upstream&retry=0&wait=0.5&optional=no&cto=15.0"
    assert named(MANY + defaults) == plain
    assert named(MANY.replace("b@x.org,c@x.org", "c@x.org,b@x.org")) == plain
    assert named(MANY.replace("e@x.org", "f@x.org")) != plain
    assert named("json://localhost/a/b") != named("json://localhost/b/a")
    assert named("json://localhost/a?method=PUT") != named("json://localhost/a")


def test_in_a_file_a_target_keeps_its_name_with_another_version_of_the_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "apprise.conf"
    config.write_text(f"{MANY}\n")
    config.chmod(0o600)
    (before,) = load_targets([], str(config))
    parameters = NotifyBase.url_parameters

    def with_more(self: NotifyBase, *arguments: Any, **options: Any) -> dict[str, Any]:
        return {**parameters(self, *arguments, **options), "another": "default"}

    monkeypatch.setattr(NotifyBase, "url_parameters", with_more)
    (after,) = load_targets([], str(config))
    assert "another=default" in after.service.url(privacy=False)
    assert after.name == before.name


def test_a_target_that_is_configured_twice_is_there_once(chat: Service, tmp_path: Path) -> None:
    config = tmp_path / "apprise.conf"
    config.write_text(f"night={chat.url}?retry=0\nnight={chat.url}/other\n")
    config.chmod(0o600)
    both = load_targets([chat.url], str(config))
    assert [sorted(each.tags) for each in both] == [[], ["night"]]
    assert both[0].name == load_targets([chat.url], None)[0].name


def test_a_file_routes_by_tags_and_a_target_without_any_wants_all(
    chat: Service, tmp_path: Path
) -> None:
    config = tmp_path / "apprise.yaml"
    config.write_text(
        f"urls:\n  - {chat.url}/night:\n    - tag: critical, outage\n  - {chat.url}/all\n"
    )
    config.chmod(0o640)
    night, everything = load_targets([], str(config))
    assert night.wants({"down", "critical"})
    assert not night.wants({"down", "info", "site-a"})
    assert everything.wants({"down", "info"})


@pytest.mark.parametrize("mode", [0o400, 0o440, 0o600, 0o640])
def test_a_file_that_not_everybody_can_read_is_accepted(
    chat: Service, tmp_path: Path, mode: int
) -> None:
    config = tmp_path / "notify.yml"
    config.write_text(f"urls:\n  - {chat.url}\n")
    config.chmod(mode)
    assert len(load_targets([], str(config))) == 1


NOBODY = """
import os, sys
from fleetsyncd.errors import SettingsError
from fleetsyncd.notify.targets import load_targets
load_targets(["json://localhost"], None)
if os.geteuid() == 0:
    os.setuid(65534)
try:
    load_targets([], sys.argv[1])
except SettingsError as error:
    print(error)
"""


def test_a_file_of_another_user_is_told_with_what_to_do(tmp_path: Path) -> None:
    config = tmp_path / "notify.yml"
    config.write_text("urls:\n  - json://localhost\n")
    config.chmod(0)
    command = [sys.executable, "-c", NOBODY, str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "cannot be read: Permission denied; the unit's LoadCredential=" in done.stdout


@pytest.mark.parametrize("tags", ["always", "Always, site-a"])
def test_the_librarys_tag_for_everything_means_everything(
    chat: Service, tmp_path: Path, tags: str
) -> None:
    config = tmp_path / "apprise.yaml"
    config.write_text(f"urls:\n  - {chat.url}:\n    - tag: {tags}\n")
    config.chmod(0o640)
    (target,) = load_targets([], str(config))
    assert target.wants({"down", "info"})
    assert not target.tags, "the database chooses by them"


def test_a_tag_is_the_same_in_every_spelling(chat: Service, tmp_path: Path) -> None:
    config = tmp_path / "apprise.yaml"
    config.write_text(f"urls:\n  - {chat.url}:\n    - tag: Hauptstra\u00dfe\n")
    config.chmod(0o640)
    (target,) = load_targets([], str(config))
    assert target.wants({"down", parse_tag("Hauptstra\u00dfe")})


@pytest.mark.parametrize(
    ("content", "mode", "told"),
    [
        ("night=discord://s3cret\n", 0o600, "An invalid Discord Webhook Token"),
        ("# hi\ndiscord://s3cret\n", 0o600, "Could not load URL *** on line 2"),
        ("json://localhost\ns3cret: x\n", 0o600, "configuration format found *** on line 2"),
        ("json://localhost\ns3cret\ninclude other.conf\n", 0o600, "NOTIFY_CONFIG"),
        ("json://localhost\n", 0o644, "everybody can read"),
        ("", 0o600, "it names no target"),
        ("nonsense://s3cret\njson://localhost\n", 0o600, "a part of it is nothing that apprise"),
        ("discord://s3cret\njson://localhost\n", 0o600, "a part of it is nothing that apprise"),
        ("urls: [\n", 0o600, "NOTIFY_CONFIG"),
        ("\0\x1b[31m\xff" * 99, 0o600, "NOTIFY_CONFIG"),
        (None, 0, "cannot be read: No such file"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_without_its_content(
    tmp_path: Path, content: str | None, mode: int, told: str
) -> None:
    config = tmp_path / "apprise.conf"
    if content is not None:
        config.write_text(content)
        config.chmod(mode)
    with pytest.raises(SettingsError) as raised:
        load_targets([], str(config))
    assert told in str(raised.value)
    assert "s3cret" not in str(raised.value)


def test_every_url_that_is_none_is_told_by_its_number() -> None:
    with pytest.raises(SettingsError) as raised:
        load_targets(["nonsense://s3cret", "json://localhost", "s3cret"], None)
    assert str(raised.value).splitlines()[1:] == [
        "  NOTIFY_URLS: number 1 is no URL that apprise knows",
        "  NOTIFY_URLS: number 3 is no URL that apprise knows",
    ]
