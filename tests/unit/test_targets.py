"""Targets: what becomes of a message, whatever they answer."""

import logging
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

from fleetsyncd.notices import Weight
from fleetsyncd.notify import targets
from fleetsyncd.notify.bounded import MOST_BYTES
from fleetsyncd.notify.digest import Message
from fleetsyncd.notify.refusals import RATE_LIMIT_PAUSE, NotSent
from fleetsyncd.notify.targets import load_targets
from fleetsyncd.time_limits import no_deadline
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


def test_a_text_that_is_too_long_for_a_target_is_cut(chat: Service) -> None:
    (target,) = load_targets([chat.url], None)
    most = target.service.body_maxlen
    target.send(Message("t" * 10_000, "b" * (most + 9_999), Weight.INFO), no_deadline)
    (message,) = chat.messages
    assert most - 100 < len(message["message"]) <= most
    assert len(message["title"]) <= target.service.title_maxlen


def test_the_librarys_log_is_as_it_was_afterwards(chat: Service) -> None:
    log = logging.getLogger("apprise")
    before = log.handlers, log.propagate, log.level
    (target,) = load_targets([chat.url], None)
    target.send(HELLO, no_deadline)
    assert (log.handlers, log.propagate, log.level) == before
    assert targets.SEND_SEC > 0
