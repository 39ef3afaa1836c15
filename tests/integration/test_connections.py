"""What is told when no connection can be made, by servers that speak another language, too."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg2
import pytest
from psycopg2 import extensions, sql

from fleetsyncd.database.connect_errors import CHECK_CONNECTION, CHECK_LOGIN, CHECK_NAME
from fleetsyncd.database.connections import Connector
from fleetsyncd.demo.embedded import Server
from fleetsyncd.errors import DatabaseLost
from fleetsyncd.settings import DatabaseSettings

WRONG_PASSWORD = "Passwort-Authentifizierung für Benutzer »fleet_app« fehlgeschlagen"
SSL_REQUEST = 80_877_103


def error_response(message: str, sqlstate: str) -> bytes:
    fields = b"".join(
        kind + text.encode() + b"\0"
        for kind, text in ((b"S", "FATAL"), (b"V", "FATAL"), (b"C", sqlstate), (b"M", message))
    )
    return b"E" + struct.pack("!i", len(fields) + 5) + fields + b"\0"


def serve_one(connection: socket.socket, ssl_answer: bytes, answer: bytes) -> None:
    with connection:
        while request := connection.recv(1 << 16):
            if struct.unpack("!i", request[4:8])[0] == SSL_REQUEST:
                connection.sendall(ssl_answer)
            else:
                connection.sendall(answer)
                return


@contextmanager
def speaking(answer: bytes, ssl_answer: bytes = b"N", host: str = "127.0.0.1") -> Iterator[int]:
    """Serve a PostgreSQL that answers everybody so; yield its port."""
    with socket.create_server((host, 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                serve_one(connection, ssl_answer, answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def complaint(host: str, port: str, **parameters: str) -> DatabaseLost:
    given = {"host": host, "port": port, "dbname": "fleet", "user": "fleet_app", **parameters}
    with pytest.raises(DatabaseLost) as lost:
        Connector(DatabaseSettings(given)).connect()
    return lost.value


def test_a_refusal_in_another_language_is_told_as_a_refusal_and_not_as_silence() -> None:
    with speaking(error_response(WRONG_PASSWORD, "28P01")) as port:
        told = complaint("127.0.0.1", str(port))
    assert WRONG_PASSWORD in told.reason
    assert told.hint == CHECK_LOGIN


def test_what_each_host_said_is_shown_and_the_one_that_answered_decides() -> None:
    with (
        speaking(error_response(WRONG_PASSWORD, "28P01"), host="127.0.0.2") as port,
        socket.create_server(("127.0.0.1", 0)) as closed,
    ):
        refused = closed.getsockname()[1]
        closed.close()
        told = complaint("127.0.0.1,no-such-host.invalid,127.0.0.2", f"{refused},5432,{port}")
    assert f"127.0.0.1 port {refused}: Connection refused" in told.reason
    assert f"127.0.0.2 port {port}: FATAL:  {WRONG_PASSWORD}" in told.reason
    assert "no-such-host.invalid port 5432: Name or service not known" in told.reason
    assert told.hint == CHECK_LOGIN


def test_silence_of_all_hosts_is_told_as_silence() -> None:
    told = complaint("127.0.0.1,127.0.0.2", "1,1")
    assert told.reason.count("Connection refused") == 2
    assert told.hint == CHECK_CONNECTION


def test_a_name_that_nobody_knows_is_told_as_that() -> None:
    assert complaint("no-such-host.invalid", "5432").hint == CHECK_NAME


@pytest.mark.parametrize(
    ("sslmode", "advice"),
    [("verify-full", "sslrootcert=FILE"), ("require", "check sslmode in DATABASE_URL")],
)
def test_what_is_wrong_with_encryption_is_not_blamed_on_the_login_or_the_firewall(
    sslmode: str, advice: str
) -> None:
    with speaking(b"", ssl_answer=b"S" if sslmode == "verify-full" else b"N") as port:
        told = complaint("127.0.0.1", str(port), sslmode=sslmode, sslrootcert="/nowhere/root.crt")
    assert advice in str(told.hint)


def test_a_client_key_that_cannot_be_used_is_named(tmp_path: Any) -> None:
    for name in ("client.crt", "client.key"):
        (tmp_path / name).write_text("no certificate")
    (tmp_path / "client.key").chmod(0o600)
    files = {"sslcert": str(tmp_path / "client.crt"), "sslkey": str(tmp_path / "client.key")}
    with speaking(b"", ssl_answer=b"S") as port:
        told = complaint("127.0.0.1", str(port), sslmode="require", **files)
    assert "sslcert and sslkey" in str(told.hint)


def test_a_server_that_is_no_postgresql_is_told_as_one() -> None:
    with speaking(b"HTTP/1.0 400 Bad Request\r\n\r\n") as port:
        assert "may be no PostgreSQL" in str(complaint("127.0.0.1", str(port)).hint)


@pytest.mark.parametrize(
    ("message", "advice"),
    [
        ("sorry, too many clients already", "max_connections"),
        ("no pg_hba.conf entry for host", "pg_hba.conf"),
        ("the database system is starting up", "wait until"),
        ("unsupported startup parameter: options", "take `options` out"),
    ],
)
def test_a_refusal_in_english_gets_more_precise_advice(message: str, advice: str) -> None:
    with speaking(error_response(message, "53300")) as port:
        assert advice in str(complaint("127.0.0.1", str(port)).hint)


@pytest.mark.parametrize(
    ("parameters", "variable", "wanted"),
    [
        ({"host": "127.0.0.1,127.0.0.2"}, "", "read-write"),
        ({"host": "127.0.0.1,127.0.0.2", "target_session_attrs": "any"}, "", "any"),
        ({"host": "127.0.0.1,127.0.0.2"}, "prefer-standby", None),
        ({"host": "127.0.0.1"}, "", None),
    ],
)
def test_of_several_hosts_the_one_that_can_be_written_is_wanted_unless_another_is_asked_for(
    parameters: dict[str, str], variable: str, wanted: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[dict[str, str]] = []

    def connect(dsn: str, **_options: Any) -> None:
        given.append(extensions.parse_dsn(dsn))
        raise psycopg2.OperationalError("not this time")

    monkeypatch.setattr(psycopg2, "connect", connect)
    monkeypatch.setenv("PGTARGETSESSIONATTRS", variable)
    with pytest.raises(DatabaseLost):
        Connector(DatabaseSettings(parameters)).connect()
    assert given[0].get("target_session_attrs") == wanted


def test_several_hosts_that_can_only_be_read_are_told_as_that(
    server: Server, database_name: str
) -> None:
    server.execute(
        sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(
            sql.Identifier(database_name)
        )
    )
    parameters = server.parameters(database_name)
    told = complaint(
        f"{server.host},{server.host}",
        "5432,5432",
        dbname=database_name,
        user=parameters["user"],
        target_session_attrs="read-write",
    )
    assert "session is read-only" in told.reason
    assert "must name the primary" in str(told.hint)


def test_every_host_is_looked_up_before_libpq_does(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    real = socket.getaddrinfo

    def look_up(host: str, port: str, **options: Any) -> Any:
        asked.append(host)
        return real("127.0.0.1", port, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    told = complaint("one.example,two.example", "1")
    assert asked == ["one.example", "two.example"]
    assert told.reason.count("Connection refused") == 1, "both are the same address"


def test_connections_are_made_with_utf8_whatever_the_environment_says(
    server: Server, database_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    settings = DatabaseSettings(server.parameters(database_name))
    with closing(Connector(settings).connect()) as connection:
        assert connection.encoding == "UTF8"
