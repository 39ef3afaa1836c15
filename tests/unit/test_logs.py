import json
import logging
import re
import sys
import time
from collections.abc import Iterator

import pytest

from fleetsyncd import bootstrap, logs
from tests.hostile import HostileServer, client_of


@pytest.fixture(autouse=True)
def _loggers_as_before() -> Iterator[None]:
    """Put every logger back as it was."""
    loggers = [logging.getLogger(name) for name in (None, "urllib3", "yoyo")]
    before = [(logger, logger.level, list(logger.handlers)) for logger in loggers]
    yield
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers


def test_a_text_line_is_time_level_logger_and_message(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("INFO", "text", sys.stdout)
    logging.getLogger("sync").info("Cycle done in %.1fs — sleeping %.1fs", 2.3, 27.7)
    out, err = capsys.readouterr()
    line = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \[INFO\] sync: Cycle done in 2\.3s — sleeping 27\.7s\n"
    assert re.fullmatch(line, out)
    assert err == ""


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/New_York", "UTC"])
def test_the_time_of_a_line_is_utc_whatever_the_zone_of_the_host(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", zone)
        time.tzset()
        logs.set_up("INFO", "text", sys.stdout)
        record = logging.makeLogRecord({"name": "sync", "levelname": "INFO", "msg": "done"})
        record.created = 1771840800.9
        logging.getLogger().handlers[0].handle(record)
    time.tzset()
    assert capsys.readouterr().out == "2026-02-23 10:00:00 [INFO] sync: done\n"


def test_a_json_line_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("INFO", "json", sys.stdout)
    before = time.time()
    logging.getLogger("sync").warning("[%s] °C\nnext", "Truck-01", extra={"vehicle": "Truck-01"})
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    line = json.loads(out)
    moment = line.pop("time")
    assert line == {
        "level": "WARNING",
        "logger": "sync",
        "message": "[Truck-01] °C\nnext",
        "vehicle": "Truck-01",
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", moment)
    assert moment[:10] == time.strftime("%Y-%m-%d", time.gmtime(before))


def test_a_json_line_of_a_fault_holds_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("INFO", "json", sys.stdout)
    try:
        int("broken")
    except ValueError:
        logging.getLogger("sync").exception("a fault")
    line = json.loads(capsys.readouterr().out)
    assert line["error"].startswith("Traceback")
    assert line["error"].endswith("ValueError: invalid literal for int() with base 10: 'broken'")
    assert "vehicle" not in line


@pytest.mark.parametrize("style", ["text", "json"])
def test_only_the_configured_level_and_above_is_logged(
    capsys: pytest.CaptureFixture[str], style: str
) -> None:
    logs.set_up("WARNING", style, sys.stdout)
    logging.getLogger("sync").info("unheard")
    logging.getLogger("sync").warning("heard")
    out = capsys.readouterr().out
    assert "heard" in out
    assert "unheard" not in out


def test_verbose_libraries_are_logged_from_warnings_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.set_up("DEBUG", "text", sys.stdout)
    for name in ("urllib3.connectionpool", "yoyo"):
        logging.getLogger(name).info("chatter")
    logging.getLogger("sync").debug("wanted")
    assert [line.split("] ")[1] for line in capsys.readouterr().out.splitlines()] == [
        "sync: wanted"
    ]


def test_setting_up_twice_logs_everything_once(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("INFO", "text", sys.stdout)
    logs.set_up("INFO", "text", sys.stdout)
    logging.getLogger("sync").info("once")
    assert capsys.readouterr().out.count("once") == 1


def test_what_a_command_logs_is_not_among_its_results(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOG_FORMAT", "json")
    bootstrap.load_settings()
    logging.getLogger("sync").warning("of a command")
    bootstrap.load_settings(log_to=sys.stdout)
    logging.getLogger("sync").warning("of the daemon")
    out, err = capsys.readouterr()
    assert json.loads(err)["message"] == "of a command"
    assert json.loads(out)["message"] == "of the daemon"


def test_a_librarys_warnings_which_name_no_vehicle_are_not_logged(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.set_up("DEBUG", "text", sys.stdout)
    both = ["Transfer-Encoding: chunked", "Content-Length: 7"]
    head = "\r\n".join(["HTTP/1.1 200 OK", *both, "", ""]).encode()
    with (
        HostileServer([[head + b"2\r\n[]\r\n0\r\n\r\n"]]) as server,
        client_of(server) as client,
    ):
        assert client.channels().body == b"[]"
    assert "urllib3" not in capsys.readouterr().out


def test_the_lines_of_a_daemon_with_a_name_have_it(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("INFO", "text", sys.stdout, "centre@100%s")
    logging.getLogger("sync").info("a line")
    logs.set_up("INFO", "json", sys.stdout, "centre@2")
    logging.getLogger("sync").info("another")
    text, line = capsys.readouterr().out.splitlines()
    assert text.endswith("[INFO] centre@100%s sync: a line")
    assert json.loads(line)["daemon"] == "centre@2"
