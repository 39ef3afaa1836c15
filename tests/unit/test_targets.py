"""Targets: which there are, what is wrong with a configuration, and what becomes of a message."""

import logging
import os
import shlex
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from fleetsyncd.errors import SettingsError
from fleetsyncd.notices import Weight
from fleetsyncd.notify import targets
from fleetsyncd.notify.bounded import MOST_BYTES
from fleetsyncd.notify.digest import Message
from fleetsyncd.notify.refusals import RATE_LIMIT_PAUSE, NotSent
from fleetsyncd.notify.targets import load_targets
from fleetsyncd.time_limits import no_deadline
from fleetsyncd.validation import parse_tag
from tests.targets import Answer, Service, mail_server, respond, service

HELLO = Message("hello", "world", Weight.WARNING)


@pytest.fixture
def chat() -> Iterator[Service]:
    with service() as made:
        yield made


def test_a_message_is_sent_as_it_is(chat: Service) -> None:
    (target,) = load_targets([chat.url], None)
    target.send(HELLO, no_deadline)
    assert chat.paths == ["/s3cret-token"]
    (message,) = chat.messages
    assert (message["title"], message["message"], message["type"]) == ("hello", "world", "warning")


@pytest.mark.parametrize(
    ("options", "title", "line"),
    [
        ("", "Truck-01 &lt;b&gt;", "level &lt;low&gt; at *inlet* &amp; _x_"),
        ("?format=markdown", "Truck-01 <b>", "level <low> at \\*inlet\\* & \\_x\\_"),
    ],
)
def test_a_text_that_looks_like_markup_arrives_as_text(
    chat: Service, monkeypatch: pytest.MonkeyPatch, options: str, title: str, line: str
) -> None:
    address = f"http://127.0.0.1:{chat.server_port}/bot"
    monkeypatch.setattr("apprise.plugins.telegram.NotifyTelegram.notify_url", address)
    url = f"tgram://123456789:abcdefg_hijklmnop/12315544/{options}"
    (target,) = load_targets([url], None)
    text = Message("Truck-01 <b>", "level <low> at *inlet* & _x_", Weight.WARNING)
    target.send(text, no_deadline)
    (message,) = chat.messages
    assert title in message["text"]
    assert line in message["text"]


def test_a_failure_of_a_target_that_may_fail_is_a_failure(chat: Service) -> None:
    chat.answer = lambda handler: respond(handler, 500)
    (target,) = load_targets([f"{chat.url}?optional=yes&retry=3"], None)
    with pytest.raises(NotSent, match="error=500"):
        target.send(HELLO, no_deadline)
    assert len(chat.messages) == 1


def test_a_message_is_sent_where_its_deadline_can_end_it(
    chat: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []
    (target,) = load_targets([chat.url], None)
    send = type(target.service).send

    def note(*arguments: object, **options: object) -> object:
        threads.append(threading.get_ident())
        return send(*arguments, **options)

    monkeypatch.setattr(type(target.service), "send", note)
    target.send(HELLO, no_deadline)
    assert threads == [threading.get_ident()]


def test_a_service_that_breaks_is_told_without_its_secrets(
    chat: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: object, **_options: object) -> bool:
        raise KeyError("s3cret-token")

    (target,) = load_targets([chat.url], None)
    monkeypatch.setattr(type(target.service), "send", broken)
    with pytest.raises(NotSent, match="raised an exception") as raised:
        target.send(HELLO, no_deadline)
    assert "s3cret" not in str(raised.value)


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


def test_a_target_that_is_configured_twice_is_there_once(chat: Service, tmp_path: Path) -> None:
    config = tmp_path / "apprise.conf"
    config.write_text(f"night={chat.url}?retry=0\nnight={chat.url}/other\n")
    config.chmod(0o600)
    both = load_targets([chat.url], str(config))
    assert [sorted(each.tags) for each in both] == [[], ["night"]]
    assert both[0].name == load_targets([chat.url], None)[0].name


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (lambda handler: respond(handler, 500), "error=500"),
        (lambda handler: respond(handler, 429, Retry_After="9"), "error=429"),
        (lambda handler: respond(handler, 302, Location="/elsewhere"), "error=302"),
        (lambda handler: handler.connection.close(), "A Connection error occurred"),
    ],
)
def test_a_target_that_refuses_is_told_with_the_reason_and_without_its_secrets(
    chat: Service, caplog: pytest.LogCaptureFixture, answer: Answer, told: str
) -> None:
    caplog.set_level(logging.DEBUG, "apprise")
    chat.answer = answer
    (target,) = load_targets([chat.url], None)
    with pytest.raises(NotSent) as raised:
        target.send(HELLO, no_deadline)
    assert told in str(raised.value)
    assert len(chat.messages) == 1
    assert "s3cret" not in str(raised.value) + caplog.text


GREEN = """
from fleetsyncd import green
green.patch()
import sys
from fleetsyncd.notices import Weight
from fleetsyncd.notify import targets
from fleetsyncd.notify.digest import Message
from fleetsyncd.notify.refusals import NotSent
targets.SEND_SEC = 0.5
(target,) = targets.load_targets([sys.argv[1]], None)
try:
    target.send(Message("a", "b", Weight.INFO), green.deadline)
except NotSent as error:
    print(error)
"""


def drip(handler: BaseHTTPRequestHandler) -> None:
    """Begin an answer, and go on with a line of its head every now and then, for ever."""
    gone = threading.Event()
    with suppress(OSError):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not gone.wait(0.05):
            handler.wfile.write(b"X-More: a\r\n")
            handler.wfile.flush()


def pour(handler: BaseHTTPRequestHandler) -> None:
    """Answer without an end, slowly."""
    gone = threading.Event()
    with suppress(OSError):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not gone.wait(0.05):
            handler.wfile.write(b"a" * 1000)
            handler.wfile.flush()


@pytest.mark.parametrize("answer", [drip, pour])
def test_a_target_that_never_ends_its_answer_is_left_after_its_time(
    chat: Service, answer: Answer
) -> None:
    chat.answer = answer
    done = subprocess.run(
        [sys.executable, "-c", GREEN, chat.url],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout == "no answer within 0.5 s\n"


def test_a_target_whose_certificate_is_refused_gets_nothing(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = (
        f"openssl req -x509 -newkey rsa:2048 -nodes -keyout {key} -out {certificate} -days 1"
        " -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run(shlex.split(made), capture_output=True, check=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with service() as chat:
        chat.socket = context.wrap_socket(chat.socket, server_side=True)
        (target,) = load_targets([chat.url.replace("json://", "jsons://")], None)
        with pytest.raises(NotSent, match="onnection error") as raised:
            target.send(HELLO, no_deadline)
        assert "s3cret" not in str(raised.value)
        assert chat.messages == []


@pytest.mark.parametrize(
    ("code", "asked", "pause"),
    [
        (429, "90", timedelta(seconds=90)),
        (503, "7", timedelta(seconds=7)),
        (429, None, RATE_LIMIT_PAUSE),
        (429, "soon", RATE_LIMIT_PAUSE),
        (503, None, timedelta(0)),
        (500, "90", timedelta(0)),
        (429, "9" * 5_000, timedelta(hours=1)),
        (429, "Wed, 01 Jan 2500 00:00:00 GMT", timedelta(hours=1)),
        (429, "Wed, 01 Jan 1999 00:00:00 GMT", timedelta(0)),
    ],
)
def test_a_target_is_left_alone_for_as_long_as_it_says(
    chat: Service, code: int, asked: str | None, pause: timedelta
) -> None:
    headers = {} if asked is None else {"Retry_After": asked}
    chat.answer = lambda handler: respond(handler, code, **headers)
    (target,) = load_targets([chat.url], None)
    with pytest.raises(NotSent) as raised:
        target.send(HELLO, no_deadline)
    assert raised.value.least_pause == pause


@pytest.mark.parametrize("part", ["error", "413", "error=413", "429"])
def test_what_a_target_answers_is_known_whatever_its_url_is_like(chat: Service, part: str) -> None:
    (target,) = load_targets([f"{chat.url}/{part}"], None)
    chat.answer = lambda handler: respond(handler, 413)
    with pytest.raises(NotSent) as too_long:
        target.send(HELLO, no_deadline)
    assert too_long.value.is_for_content
    chat.answer = lambda handler: respond(handler, 429)
    with pytest.raises(NotSent) as too_many:
        target.send(HELLO, no_deadline)
    assert too_many.value.least_pause == RATE_LIMIT_PAUSE
    assert not too_many.value.is_for_content


@pytest.mark.parametrize(
    ("command", "answer", "is_for_content"),
    [
        ("text", "552 5.3.4 message too big", True),
        ("text", "554 5.7.1 looks like spam", True),
        ("MAIL", "552 5.3.4 message too big", True),
        ("text", "451 4.3.0 try again later", False),
        ("MAIL", "530 5.7.0 who are you", False),
    ],
)
def test_a_mail_server_that_refuses_a_text_is_told_from_one_that_refuses_all(
    command: str, answer: str, is_for_content: bool
) -> None:
    with mail_server(**{command: answer}) as server:
        (target,) = load_targets([server.url], None)
        with pytest.raises(NotSent) as raised:
            target.send(HELLO, no_deadline)
    assert raised.value.is_for_content is is_for_content
    assert answer[:3] in str(raised.value)


def test_a_service_that_refuses_a_text_in_a_good_answer_may_take_another_one(
    chat: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(handler: BaseHTTPRequestHandler) -> None:
        body = b'{"code": 19024, "msg": "key words not found"}'
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    address = f"http://127.0.0.1:{chat.server_port}/{{token}}/"
    monkeypatch.setattr("apprise.plugins.feishu.NotifyFeishu.notify_url", address)
    chat.answer = refuse
    (target,) = load_targets(["feishu://0123456789abcdef"], None)
    with pytest.raises(NotSent) as raised:
        target.send(HELLO, no_deadline)
    assert raised.value.is_for_content
    assert len(chat.messages) == 1


def test_of_an_answer_without_end_only_the_beginning_is_read(chat: Service) -> None:
    written = []

    def flood(handler: BaseHTTPRequestHandler) -> None:
        with suppress(OSError):
            handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            for _ in range(2_000):
                written.append(handler.wfile.write(b"a" * 100_000))

    chat.answer = flood
    (target,) = load_targets([chat.url], None)
    target.send(HELLO, no_deadline)
    assert len(chat.messages) == 1
    assert sum(written) < 100 * MOST_BYTES


def test_a_redirect_is_followed_nowhere(chat: Service) -> None:
    with service() as elsewhere:
        address = f"http://127.0.0.1:{elsewhere.server_port}/"
        chat.answer = lambda handler: respond(handler, 307, Location=address)
        (target,) = load_targets([chat.url], None)
        with pytest.raises(NotSent, match="error=307"):
            target.send(HELLO, no_deadline)
        assert elsewhere.messages == []


def test_a_text_that_is_for_content_for_a_target_is_cut(chat: Service) -> None:
    (target,) = load_targets([chat.url], None)
    most = target.service.body_maxlen
    target.send(Message("t" * 10_000, "b" * (most + 9_999), Weight.INFO), no_deadline)
    (message,) = chat.messages
    assert most - 100 < len(message["message"]) <= most
    assert len(message["title"]) <= target.service.title_maxlen


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


def test_the_librarys_log_is_as_it_was_afterwards(chat: Service) -> None:
    log = logging.getLogger("apprise")
    before = log.handlers, log.propagate, log.level
    (target,) = load_targets([chat.url], None)
    target.send(HELLO, no_deadline)
    assert (log.handlers, log.propagate, log.level) == before
    assert targets.SEND_SEC > 0
