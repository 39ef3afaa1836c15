import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fleetsyncd.audit_results import AuditCounts, AuditResult
from fleetsyncd.lateness import Lateness
from fleetsyncd.models import Vehicle
from fleetsyncd.monitoring import events, exporter
from fleetsyncd.monitoring.metrics import Metrics
from fleetsyncd.reports import AttemptReport, CycleReport, Failure, JournalEntry, Outcome

NOW = datetime(2026, 2, 23, 10, tzinfo=UTC)
ID = UUID(int=1)


def vehicle(key: UUID = ID, name: str = "Truck-01", **changes: Any) -> Vehicle:
    known = {"watermark": NOW - timedelta(seconds=40), "status": "ok", "software_version": None}
    return Vehicle(key, name, "10.8.0.1", 8001, None, **{**known, **changes})


def report(outcome: Outcome = Outcome.OK, **changes: Any) -> events.VehicleCycleEnded:
    return events.VehicleCycleEnded(CycleReport(vehicle(), NOW, NOW, outcome, **changes))


def scraped(metrics: Metrics) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Return every sample of a scrape, by name and labels without those of the vehicle."""
    text = b"".join(exporter.render(metrics, NOW.timestamp())).decode()
    samples: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            assert sample.name.startswith(("fleetsync_", "process_"))
            labels = tuple(sorted((k, v) for k, v in sample.labels.items() if k != "vehicle_id"))
            samples.setdefault(sample.name, {})[labels] = sample.value
    return samples


TRUCK = (("vehicle", "Truck-01"),)


def of_truck(metrics: Metrics, name: str) -> float:
    return scraped(metrics)[f"fleetsync_vehicle_{name}"][TRUCK]


def test_a_vehicle_is_exported_before_its_first_cycle_has_ended() -> None:
    metrics = Metrics()
    metrics.listen(events.CycleStarted([vehicle(status="unknown")]))
    assert of_truck(metrics, "lag_seconds") == 40
    assert of_truck(metrics, "cycles_total") == 0
    assert "fleetsync_vehicle_up" not in scraped(metrics)


@pytest.mark.parametrize(("status", "up"), [("ok", 1), ("timeout", 0), ("error", 0), ("odd", 0)])
def test_a_vehicle_that_is_taken_over_is_as_another_daemon_left_it(status: str, up: int) -> None:
    metrics = Metrics()
    metrics.listen(events.CycleStarted([vehicle(status=status)]))
    assert of_truck(metrics, "up") == up


def test_what_this_daemon_found_out_is_newer_than_what_was_read() -> None:
    metrics = Metrics()
    metrics.listen(events.CycleStarted([vehicle(status="timeout")]))
    metrics.listen(report())
    metrics.listen(events.CycleStarted([vehicle(status="timeout")]))
    assert of_truck(metrics, "up") == 1


@pytest.mark.parametrize(("before", "status", "up"), [("ok", "error", 0), ("error", "ok", 1)])
def test_after_a_lost_database_a_vehicle_is_as_others_have_found_it(
    before: str, status: str, up: int
) -> None:
    metrics = Metrics()
    metrics.listen(events.CycleStarted([vehicle()]))
    failure = None if before == "ok" else Failure.TIMEOUT
    metrics.listen(report(Outcome(before), failure=failure))
    metrics.listen(events.DatabaseDown())
    metrics.listen(events.CycleStarted([vehicle(status=status)]))
    metrics.listen(events.DatabaseUp())
    assert of_truck(metrics, "up") == up
    assert "fleetsync_vehicle_failing" not in scraped(metrics)
    metrics.listen(report())
    metrics.listen(events.CycleStarted([vehicle(status=status)]))
    assert of_truck(metrics, "up") == 1


def test_a_long_gap_that_comes_nearer_to_the_present_is_no_failure() -> None:
    metrics = Metrics()
    metrics.listen(events.CycleStarted([vehicle(status="timeout")]))
    metrics.listen(report(Outcome.ERROR, stopped=True, goes_on=True))
    assert of_truck(metrics, "up") == 1


def test_why_a_vehicle_fails_is_exported_until_it_is_well() -> None:
    metrics = Metrics()
    metrics.listen(events.CycleStarted([vehicle()]))
    assert "fleetsync_vehicle_failing" not in scraped(metrics)
    for kind in (Failure.TIMEOUT, Failure.OVER_BUDGET):
        metrics.listen(report(Outcome.ERROR, failure=kind))
        expected = {(("kind", kind.value), *TRUCK): 1}
        assert scraped(metrics)["fleetsync_vehicle_failing"] == expected
    metrics.listen(report(Outcome.ERROR, stopped=True))
    assert scraped(metrics)["fleetsync_vehicle_failing"] == expected
    metrics.listen(report())
    assert "fleetsync_vehicle_failing" not in scraped(metrics)


def test_cycles_add_up() -> None:
    metrics = Metrics()
    metrics.listen(events.CycleStarted([vehicle()]))
    metrics.listen(report(rows_written=540, bad_rows=2, watermark=NOW))
    metrics.listen(report(rows_written=18, watermark=NOW - timedelta(seconds=5)))
    assert of_truck(metrics, "up") == 1
    assert of_truck(metrics, "cycles_total") == 2
    assert of_truck(metrics, "rows_written_total") == 558
    assert of_truck(metrics, "bad_rows_total") == 2
    assert of_truck(metrics, "lag_seconds") == 5


def test_failures_are_counted_by_kind() -> None:
    metrics = Metrics()
    metrics.listen(events.CycleStarted([vehicle()]))
    for kind in (Failure.TIMEOUT, Failure.REFUSED, Failure.TIMEOUT):
        metrics.listen(report(Outcome.ERROR, failure=kind))
    assert scraped(metrics)["fleetsync_vehicle_failures_total"] == {
        (("kind", "timeout"), *TRUCK): 2,
        (("kind", "refused"), *TRUCK): 1,
        (("kind", "internal"), *TRUCK): 0,
    }
    assert of_truck(metrics, "up") == 0


def test_rows_of_a_backfill_count_and_its_end_does_not_change_the_vehicles_state() -> None:
    metrics = Metrics()
    metrics.listen(events.CycleStarted([vehicle()]))
    for key in (ID, uuid4()):
        entry = JournalEntry(key, NOW, NOW, Outcome.ERROR, 700, "backfill of ...")
        metrics.listen(events.AttemptEnded(AttemptReport(entry, 3)))
    assert of_truck(metrics, "rows_written_total") == 700
    assert of_truck(metrics, "bad_rows_total") == 3
    assert of_truck(metrics, "cycles_total") == 0
    assert of_truck(metrics, "up") == 1


def test_a_cycle_ended_on_purpose_does_not_change_the_vehicles_state() -> None:
    metrics = Metrics()
    metrics.listen(events.CycleStarted([vehicle()]))
    metrics.listen(report())
    metrics.listen(report(Outcome.ERROR, stopped=True))
    assert of_truck(metrics, "up") == 1


def test_calls_are_timed_by_vehicle_and_by_path() -> None:
    metrics = Metrics()
    metrics.listen(events.CycleStarted([vehicle()]))
    metrics.count_call(ID, "/data", 0.3, 5_000)
    metrics.count_call(ID, "/data", 0.1, 3_000)
    metrics.count_call(ID, "/status", 0.2, 400)
    samples = scraped(metrics)
    assert samples["fleetsync_vehicle_call_seconds_sum"][(("call", "/data"), *TRUCK)] == 0.4
    assert samples["fleetsync_vehicle_call_seconds_count"][(("call", "/data"), *TRUCK)] == 2
    assert samples["fleetsync_call_seconds_count"][(("call", "/data"),)] == 2
    assert of_truck(metrics, "received_bytes_total") == 8_400


def test_late_rows_are_counted_and_lateness_is_known_before_the_first_cycle() -> None:
    metrics = Metrics()
    metrics.listen(events.CycleStarted([vehicle()]))
    assert "fleetsync_vehicle_lateness_seconds" not in scraped(metrics)
    known = Lateness(timedelta(seconds=8))
    metrics.listen(events.CycleStarted([vehicle(lateness=known)]))
    assert of_truck(metrics, "lateness_seconds") == 8
    later = Lateness(timedelta(seconds=9.5))
    metrics.listen(report(late_rows=12, lateness=later))
    metrics.listen(report(late_rows=3, lateness=later))
    assert of_truck(metrics, "lateness_seconds") == 9.5
    assert of_truck(metrics, "late_rows_total") == 15


def test_a_removed_vehicle_is_not_exported_and_a_renamed_one_keeps_its_counts() -> None:
    metrics = Metrics()
    metrics.listen(events.CycleStarted([vehicle(), vehicle(uuid4(), "Truck-02")]))
    metrics.listen(report(rows_written=7))
    metrics.listen(events.CycleStarted([vehicle(name="Truck-1a", paused=True)]))
    metrics.count_call(uuid4(), "/data", 1, 1)
    samples = scraped(metrics)["fleetsync_vehicle_rows_written_total"]
    assert samples == {(("vehicle", "Truck-1a"),): 7}
    assert scraped(metrics)["fleetsync_vehicle_paused"] == {(("vehicle", "Truck-1a"),): 1}


@pytest.mark.parametrize("name", ['a"b', "a\\b", "°C ⏎", "{x}"])
def test_a_name_is_shown_unchanged(name: str) -> None:
    metrics = Metrics()
    metrics.listen(events.CycleStarted([vehicle(name=name)]))
    assert list(scraped(metrics)["fleetsync_vehicle_cycles_total"]) == [(("vehicle", name),)]


def test_the_daemon_itself_is_exported() -> None:
    metrics = Metrics(lambda: 3)
    metrics.listen(events.CycleEnded(ok=5, failed=2, unfinished=1, seconds=2.5, resting=4))
    metrics.pool_wait(0.002)
    metrics.stall(0.03)
    samples = scraped(metrics)
    assert samples["fleetsync_cycles_total"][()] == 1
    assert samples["fleetsync_cycle_seconds"][()] == 2.5
    assert samples["fleetsync_cycle_vehicles"] == {
        (("result", "ok"),): 5,
        (("result", "failed"),): 2,
        (("result", "unfinished"),): 1,
        (("result", "resting"),): 4,
    }
    assert samples["fleetsync_quarantine_rows"][()] == 3
    assert samples["fleetsync_pool_wait_seconds_count"][()] == 1
    assert samples["fleetsync_hub_stall_seconds_bucket"][(("le", "0.05"),)] == 1
    assert samples["process_open_fds"][()] > 0


def test_an_outage_of_the_database_is_no_cycle_that_does_not_end() -> None:
    clock = iter([100.0, 130.0, 4000.0])
    metrics = Metrics(now=lambda: next(clock))
    metrics.listen(events.CycleEnded(ok=1, failed=0, unfinished=0, seconds=1))
    metrics.listen(events.DatabaseDown())
    assert scraped(metrics)["fleetsync_cycle_ended_timestamp_seconds"][()] == 130
    metrics.listen(events.DatabaseUp())
    assert scraped(metrics)["fleetsync_cycle_ended_timestamp_seconds"][()] == 4000


def test_waits_are_told_apart_by_what_an_interval_allows() -> None:
    metrics = Metrics(sync_interval_sec=6)
    assert scraped(metrics)["fleetsync_interval_seconds"][()] == 6
    for seconds in (0.7, 2.0, 4.0, 7.0):
        metrics.pool_wait(seconds)
    waits = scraped(metrics)["fleetsync_pool_wait_seconds_bucket"]
    assert [waits[(("le", edge),)] for edge in ("1.0", "2.5", "5.0", "10.0")] == [1, 2, 3, 4]


def test_a_lost_database_is_reported_until_it_is_back() -> None:
    metrics = Metrics()
    assert scraped(metrics)["fleetsync_database_up"][()] == 1
    metrics.listen(events.DatabaseDown())
    assert scraped(metrics)["fleetsync_database_up"][()] == 0
    metrics.listen(events.DatabaseUp())
    assert scraped(metrics)["fleetsync_database_up"][()] == 1


def test_every_metric_is_written_in_one_group_however_large_the_fleet() -> None:
    metrics = Metrics()
    fleet = [vehicle(UUID(int=n), f"Truck-{n}") for n in range(1, 2 * exporter.CHUNK_VEHICLES + 2)]
    metrics.listen(events.CycleStarted(fleet))
    pages = list(exporter.render(metrics, NOW.timestamp()))
    assert max(page.count(b"\n") for page in pages[1:]) <= exporter.CHUNK_VEHICLES
    names = [
        line.split(b"{")[0]
        for line in b"".join(pages).splitlines()
        if line.startswith(b"fleetsync_vehicle")
    ]
    changes = sum(before != after for before, after in pairwise(names))
    assert changes == len(set(names)) - 1
    assert len(scraped(metrics)["fleetsync_vehicle_lag_seconds"]) == len(fleet)


@contextmanager
def answer_to(path: str, host: str = "127.0.0.1") -> Iterator[http.client.HTTPResponse]:
    server = exporter.serve(Metrics(), host, 0)
    connection = http.client.HTTPConnection(host, server.port, timeout=10)
    try:
        connection.request("GET", path)
        yield connection.getresponse()
    finally:
        connection.close()
        server.shutdown()
        server.server_close()


def test_a_scrape_is_answered_in_the_format_that_prometheus_reads() -> None:
    with answer_to("/metrics") as answer:
        assert answer.status == 200
        assert answer.getheader("Content-Type", "").startswith("text/plain; version=0.0.4")
        assert b"fleetsync_build_info" in answer.read()


def test_a_scrape_over_ipv6_is_answered() -> None:
    with answer_to("/metrics", "::1") as answer:
        assert answer.status == 200


def test_any_other_path_names_the_right_one() -> None:
    with answer_to("/") as answer:
        assert (answer.status, answer.read()) == (404, b"metrics are at /metrics\n")


def audited(
    counts: AuditCounts, age_sec: int | None, at: datetime | None, also: tuple[int, ...] = ()
) -> events.AttemptEnded:
    entry = JournalEntry(ID, NOW, NOW, Outcome.OK, 0, None)
    found = AuditResult(counts, age_sec, at, also=also)
    return events.AttemptEnded(AttemptReport(entry, 0, audit=found))


def test_what_audits_find_and_prove_is_exported() -> None:
    before = {(ID, 60): NOW - timedelta(hours=2), (ID, 600): NOW - timedelta(hours=3)}
    metrics = Metrics(read_verified=lambda _vehicles: before)
    metrics.listen(events.CycleStarted([vehicle()]))
    name = ("vehicle", "Truck-01")
    assert scraped(metrics)["fleetsync_vehicle_audit_missing_total"] == {(name,): 0}
    metrics.listen(events.CycleEnded(1, 0, 0, 1.0))
    metrics.listen(audited(AuditCounts(90, 3, 2, 1), None, None))
    metrics.listen(audited(AuditCounts(10, 0, 0, 1), 60, NOW - timedelta(seconds=65)))
    samples = scraped(metrics)
    totals = [samples[f"fleetsync_vehicle_audit_{what}_total"] for what in ("missing", "different")]
    assert totals == [{(name,): 3}, {(name,): 2}]
    assert samples["fleetsync_vehicle_audit_gone_total"] == {(name,): 2}
    assert samples["fleetsync_vehicle_verified_age_seconds"] == {
        (("age", "60"), name): 65,
        (("age", "600"), name): 3 * 3600,
    }
    metrics.listen(audited(AuditCounts(10), 600, NOW - timedelta(seconds=30), (60,)))
    ages = scraped(metrics)["fleetsync_vehicle_verified_age_seconds"]
    assert ages == {(("age", "60"), name): 30, (("age", "600"), name): 30}


def test_how_far_minutes_are_is_told_after_each_round() -> None:
    metrics = Metrics()
    metrics.listen(events.MinutesKept(720.0, 3))
    samples = scraped(metrics)
    assert samples["fleetsync_minutes_behind_seconds"] == {(): 720}
    assert samples["fleetsync_minutes_due_vehicles"] == {(): 3}
