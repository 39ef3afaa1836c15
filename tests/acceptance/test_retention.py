"""`fleetsyncd retention`, and what doctor says of it."""

import json
from typing import Any

import pytest

from tests.acceptance.conftest import Installation
from tests.acceptance.test_doctor import findings
from tests.acceptance.test_housekeeping import MONTHS, YEAR

MISTAKE = {"MEASUREMENTS_KEEP_MONTHS": "1", "JOURNAL_KEEP_DAYS": "10"}
ANNOUNCED = (
    "INSERT INTO fleetsync.retention (kind, keep, announced_at, due_at, months, row_count, bytes,"
    " oldest_at, before_at) VALUES ('measurements', %s, now(), now() + interval '1 day', 3,"
    " 5000000, 3100000000, '2025-10-01Z', '2026-01-01Z')"
)


@pytest.fixture
def year(installation: Installation) -> Installation:
    """Return an installation with 13 past months and 30 days of journal."""
    installation.rows(
        "INSERT INTO vehicles (name, vpn_ip, api_port) VALUES ('Truck-01', '127.0.0.1', 1)"
    )
    installation.rows(YEAR)
    installation.rows(
        "INSERT INTO sync_journal (vehicle_id, started_at, finished_at, status)"
        " SELECT id, at, at, 'ok' FROM vehicles,"
        " generate_series(now() - interval '29 days', now(), interval '1 day') at"
    )
    return installation


def shown(installation: Installation, **settings: str) -> dict[str, dict[str, Any]]:
    code, output, errors = installation.command("retention", "--json", **settings)
    assert (code, errors) == (0, "")
    return {each["kind"]: each for each in json.loads(output)}


def retention_findings(installation: Installation, **settings: str) -> list[dict[str, Any]]:
    _, found = findings(installation, **settings)
    return [each for each in found if each["check"] == "retention"]


def journal_rows(installation: Installation) -> int:
    number: int = installation.rows("SELECT count(*) FROM sync_journal")[0][0]
    return number


def test_what_would_go_is_shown_with_how_much_and_when_and_nothing_goes(
    year: Installation,
) -> None:
    code, output, errors = year.command("retention", **MISTAKE)
    assert (code, errors) == (0, "")
    lines = {line.split()[0]: line for line in output.splitlines()}
    assert "12 months of measurements (about 0 rows)" in lines["MEASUREMENTS_KEEP_MONTHS=1"]
    assert "a day after a daemon has announced it" in lines["MEASUREMENTS_KEEP_MONTHS=1"]
    assert "20 journal entries" in lines["JOURNAL_KEEP_DAYS=10"]
    assert "nothing has expired" in lines["QUARANTINE_KEEP_DAYS=30"]
    assert "kept for ever" in lines["ALARMS_KEEP_DAYS=0"]
    kinds = shown(year, **MISTAKE)
    assert [each["state"] for each in kinds.values()] == [
        "unannounced",
        "unannounced",
        "nothing",
        "kept",
    ]
    assert (kinds["measurements"]["months"], kinds["measurements"]["keep"]) == (12, 1)
    assert kinds["journal"]["rows"] == 20
    assert not kinds["journal"]["rows_are_estimated"]
    assert kinds["journal"]["from"] < kinds["journal"]["to"]
    assert year.rows("SELECT count(*) FROM fleetsync.retention") == [(0,)]
    assert (year.rows(MONTHS), journal_rows(year)) == ([(14,)], 30)


def test_apply_deletes_it_at_once_and_only_what_has_expired(year: Installation) -> None:
    code, output, errors = year.command("retention", "--apply", "--yes", **MISTAKE)
    assert (code, errors) == (0, "")
    assert output.count("retention: dropped partition measurements_") == 12
    assert "retention: removed expired journal entries: 20" in output
    assert output.splitlines()[-1] == "all that had expired is deleted"
    assert (year.rows(MONTHS), journal_rows(year)) == ([(2,)], 10)
    assert {each["state"] for each in shown(year, **MISTAKE).values()} == {"nothing", "kept"}


def test_apply_says_what_is_left_while_a_reader_holds_a_month(year: Installation) -> None:
    with year.database.transaction() as reader:
        reader.execute("SELECT count(*) FROM measurements")
        pid = reader.connection.info.backend_pid
        code, output, errors = year.command("retention", "--apply", "--yes", **MISTAKE)
    assert (code, errors.count("\n")) == (1, 1)
    assert "months of measurements could not be removed" in output
    assert f"(pid {pid}, role" in output
    assert "run it again" in errors
    assert (year.rows(MONTHS), journal_rows(year)) == ([(14,)], 10)
    assert shown(year, **MISTAKE)["measurements"]["state"] == "unannounced"


def test_apply_shows_what_goes_and_deletes_nothing_unless_the_answer_is_yes(
    year: Installation,
) -> None:
    apply, question = ("retention", "--apply"), "Delete this for good, now?"
    code, output, _ = year.command(*apply, stdin="n\n", **MISTAKE)
    assert (code, question in output) == (130, True)
    assert "12 months of measurements (about 0 rows)" in output.partition(question)[0]
    assert "20 journal entries" in output.partition(question)[0]
    code, _, errors = year.command(*apply, **MISTAKE)
    assert (code, "give --yes" in errors, errors.count("\n")) == (2, True, 1)
    assert (year.rows(MONTHS), journal_rows(year)) == ([(14,)], 30)
    assert year.rows("SELECT count(*) FROM fleetsync.retention") == [(0,)]
    code, output, errors = year.command(*apply, stdin="y\n", **MISTAKE)
    assert (code, errors) == (0, "")
    assert output.splitlines()[-1] == "all that had expired is deleted"
    assert (year.rows(MONTHS), journal_rows(year)) == ([(2,)], 10)


def test_apply_asks_nothing_if_nothing_has_expired(installation: Installation) -> None:
    code, output, errors = installation.command("retention", "--apply")
    assert (code, errors) == (0, "")
    assert output.splitlines()[-1] == "all that had expired is deleted"


def test_apply_and_json_exclude_each_other_and_yes_needs_apply(installation: Installation) -> None:
    for options in (["--apply", "--json"], ["--yes"], ["--yes", "--json"]):
        code, _, errors = installation.command("retention", *options)
        assert (code, errors.count("\n")) == (2, 1)


def test_doctor_warns_of_what_a_setting_deletes_before_any_daemon_has_seen_it(
    year: Installation,
) -> None:
    months, journal = retention_findings(year, **MISTAKE)
    assert months["level"] == journal["level"] == "WARNING"
    assert months["text"].startswith(
        "MEASUREMENTS_KEEP_MONTHS=1 deletes 12 months of measurements (about 0 rows), "
    )
    assert " of 2" in months["text"]
    assert "a day after a daemon has announced it" in months["text"]
    assert "raise MEASUREMENTS_KEEP_MONTHS to keep them" in months["remedy"]
    assert "fleetsyncd retention --apply" in months["remedy"]
    assert journal["text"].startswith("JOURNAL_KEEP_DAYS=10 deletes 20 journal entries, ")
    assert year.rows("SELECT count(*) FROM fleetsync.retention") == [(0,)]


def test_what_expires_in_its_turn_is_no_warning(year: Installation) -> None:
    (finding,) = retention_findings(year, MEASUREMENTS_KEEP_MONTHS="13")
    assert finding["level"] == "ok"


def test_what_is_announced_is_told_with_its_time(year: Installation) -> None:
    year.rows(ANNOUNCED, 1)
    ((due,),) = year.rows(
        "SELECT to_char(due_at, 'YYYY-MM-DD HH24:MI:SS') FROM fleetsync.retention"
    )
    (finding,) = retention_findings(year, MEASUREMENTS_KEEP_MONTHS="1")
    assert f"after {due} UTC" in finding["text"]
    assert f"after {due} UTC" in year.command("retention", MEASUREMENTS_KEEP_MONTHS="1")[1]
    assert shown(year, MEASUREMENTS_KEEP_MONTHS="1")["measurements"]["state"] == "waiting"


def test_what_a_daemon_with_another_setting_has_announced_is_told(year: Installation) -> None:
    year.rows(ANNOUNCED, 9)
    told = (
        "a daemon with MEASUREMENTS_KEEP_MONTHS=9 deletes 3 months of measurements"
        " (about 5,000,000 rows), 3.1 GB, of 2025-10-01 to 2026-01-01 UTC, after "
    )
    (finding,) = retention_findings(year)
    assert finding["level"] == "WARNING"
    assert finding["text"].startswith(told)
    assert "here it is 0" in finding["text"]
    assert told in year.command("retention")[1]
    other = shown(year)["measurements"]["announced_elsewhere"]
    assert other["keep"] == 9
