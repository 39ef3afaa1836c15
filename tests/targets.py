"""Local services that take messages by apprise's json:// and mailto://, and may misbehave."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseServer, StreamRequestHandler, ThreadingTCPServer
from threading import Thread
from typing import Any

Answer = Callable[[BaseHTTPRequestHandler], None]


def takes(handler: BaseHTTPRequestHandler) -> None:
    """Take a message."""
    respond(handler, 200)


def respond(handler: BaseHTTPRequestHandler, code: int, **headers: str) -> None:
    """Answer with a code and nothing else."""
    handler.send_response(code)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


class Service(ThreadingHTTPServer):
    """Keeps what it was sent; `answer` decides what it says."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.messages: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.answer: Answer = takes

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that was killed."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        """Its address as a target of apprise, with a secret in its path."""
        return f"json://127.0.0.1:{self.server_port}/s3cret-token"

    @property
    def titles(self) -> list[str]:
        return [each["title"] for each in self.messages]

    def wait(self, count: int, seconds: float = 20.0) -> None:
        """Wait until it has so many messages."""
        ends = time.monotonic() + seconds
        while len(self.messages) < count:
            assert time.monotonic() < ends, self.messages
            time.sleep(0.02)


class Handler(BaseHTTPRequestHandler):
    server: Service
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.paths.append(self.path)
        self.server.messages.append(json.loads(body))
        self.server.answer(self)

    def log_message(self, *_arguments: object) -> None:
        pass


@contextmanager
def _serving(server: BaseServer) -> Iterator[None]:
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


@contextmanager
def service() -> Iterator[Service]:
    """Run one."""
    with Service() as made, _serving(made):
        yield made


class MailServer(ThreadingTCPServer):
    """Answers each command of SMTP; `answers` has what is not taken, by the command."""

    daemon_threads = True

    def __init__(self, answers: dict[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), MailHandler)
        self.answers = {"": "250 fine", "DATA": "354 go on", "QUIT": "221 bye"} | answers

    @property
    def url(self) -> str:
        """Its address as a target of apprise."""
        port = self.server_address[1]
        return f"mailto://127.0.0.1:{port}?from=us@example.com&to=night@example.com&mode=insecure"


class MailHandler(StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        self._say("220 hello")
        while line := self.rfile.readline().decode().strip():
            command = line.split(maxsplit=1)[0].upper()
            answers = self.server.answers
            self._say(answers.get(command, answers[""]))
            if command == "DATA":
                while self.rfile.readline().strip() != b".":
                    pass
                self._say(answers.get(".", answers[""]))

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@contextmanager
def mail_server(**answers: str) -> Iterator[MailServer]:
    """Run a mail server; `text` is what it answers to a whole message."""
    text = answers.pop("text", "250 fine")
    with MailServer({**answers, ".": text}) as made, _serving(made):
        yield made
