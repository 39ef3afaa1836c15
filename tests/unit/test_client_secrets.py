import traceback
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fleetsyncd.errors import BadAnswer, VehicleError, VehicleRefused
from fleetsyncd.models import Window
from tests.hostile import KEY, Answer, HostileServer, client_of, http, zipped

OK = http(b"{}")
HIDDEN = "••••"
NOW = datetime(2026, 2, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_refused_and_the_other_host_sees_no_request(status: int) -> None:
    with HostileServer([OK]) as canary:
        answer = http(
            b"", f"Location: http://127.0.0.1:{canary.port}/status", status=f"{status} Elsewhere"
        )
        with HostileServer([answer]) as server, client_of(server) as client:
            with pytest.raises(VehicleRefused, match=f"HTTP {status}: a redirect") as caught:
                client.status()
            assert caught.value.status == status
        assert (canary.connections, canary.requests) == (0, [])


def test_proxies_and_a_netrc_of_the_environment_are_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password something\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with HostileServer([OK]) as canary, HostileServer([OK]) as server:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{canary.port}")
        with client_of(server) as client:
            client.status()
        assert server.header("Authorization") is None
        assert canary.connections == 0


@pytest.mark.parametrize(
    "key", ["ключ-из-кириллицы", "a\r\nX-Other: b", "a\nb", "a\0b", " blank ", "", "tab\tbed"]
)
def test_a_key_that_no_header_can_carry_is_refused_and_nothing_is_sent(key: str) -> None:
    with HostileServer([OK]) as server, client_of(server, key=key) as client:
        with pytest.raises(VehicleError) as caught:
            client.status()
        assert str(caught.value) == (
            "/status: the API key is not printable ASCII: set the vehicle's key"
        )
        assert server.connections == 0


def echoing(key: str) -> list[Answer]:
    echo = key.encode()
    return [
        http(b'{"error":"invalid_params","detail":"key ' + echo + b'"}', status="400 No"),
        http(b"x" * 190 + echo, status="400 No"),
        http(echo * 3, "Content-Encoding: identity", status="400 No"),
        http(b"", status=f"500 {key}"),
        http(b"", f"Location: http://elsewhere/{key}", status="302 Found"),
        http(b"", f"Content-Encoding: {key}"),
        http(b"", f"Content-Encoding: {'x' * 50}{key}"),
        http(b"", f"Transfer-Encoding: {key}", f"Content-Length: {key}", length=False),
        [echo + b"\r\n\r\n"],
        [b"HTTP/1.1 " + echo + b"\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + echo + b"\r\n"],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: " + echo + b"\r\n\r\n{}"],
    ]


@pytest.mark.parametrize("place", range(len(echoing(KEY))))
@pytest.mark.parametrize("key", [KEY, KEY.upper()])
def test_a_key_that_a_vehicle_echoes_is_in_no_error(key: str, place: int) -> None:
    with HostileServer([echoing(key)[place]]) as server, client_of(server, key=key) as client:
        try:
            client.status()
        except VehicleError as error:
            text = "".join(traceback.format_exception(error)) + repr(error)
            assert key[:8].lower() not in text.lower()


def test_a_key_in_an_answer_is_replaced_before_anybody_reads_it() -> None:
    body = b'{"software_version":"' + KEY.encode() + b'","db_ok":true}'
    with HostileServer([zipped(body)]) as server, client_of(server) as client:
        text = client.status().body.decode()
    assert text == f'{{"software_version":"{HIDDEN}","db_ok":true}}'


@pytest.mark.parametrize(
    ("key", "written"),
    [
        ('quote"and\\backslash', r'"quote\"and\\backslash"'),
        ("base64/with/slashes==", r'"base64\/with\/slashes=="'),
        ("base64/with/slashes==", '"base64/with/slashes=="'),
        ("less<than>and&more", r'"less\u003cthan\u003eand\u0026more"'),
    ],
)
def test_a_key_is_recognised_as_json_writes_it(key: str, written: str) -> None:
    with (
        HostileServer(
            [http(written.encode())], [http(written.encode(), status="400 No")]
        ) as server,
        client_of(server, key=key) as client,
    ):
        assert client.status().body.decode() == f'"{HIDDEN}"'
        with pytest.raises(VehicleRefused, match=HIDDEN):
            client.status()


def test_a_key_too_short_to_be_a_secret_does_not_spoil_honest_data() -> None:
    body = b'{"software_version":"1.1.0"}'
    with HostileServer([http(body)]) as server, client_of(server, key="1") as client:
        assert client.status().body == body


def test_a_key_of_digits_is_hidden_in_strings_and_alters_no_number() -> None:
    body = b'[{"value":20260222120000,"note":"id 20260222120000"}]'
    with HostileServer([http(body)]) as server, client_of(server, key="20260222") as client:
        text = client.data(Window(NOW, NOW + timedelta(seconds=1))).body.decode()
    assert text == f'[{{"value":20260222120000,"note":"id {HIDDEN}120000"}}]'


def test_an_error_of_the_wire_names_its_kind_and_not_what_was_sent() -> None:
    with HostileServer([[b"secret stuff\r\n\r\n"]]) as server, client_of(server) as client:
        with pytest.raises(BadAnswer) as caught:
            client.status()
        assert str(caught.value) == "/status: not an HTTP answer: BadStatusLine"
