"""The dashboards for Grafana: what they show, and how much of the journal they read for it."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import promql_parser as promql
import psycopg2
import pytest
import yaml
from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor  # noqa: N812  a class

from fleetsyncd.database import vehicles
from fleetsyncd.demo import embedded
from tests.acceptance import grafana
from tests.acceptance.command_lines import ROOT
from tests.acceptance.conftest import Installation
from tests.acceptance.grafana import Panel, TimeRange
from tests.integration.test_minutes import keep_all, rows, set_watermark, store_rows
from tests.prometheus import PROMTOOL, needs_prometheus

VIEWER = "grafana_viewer"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SHOWN = (2 * HOUR, 6 * HOUR, 2 * DAY, 30 * DAY)
VEHICLES, CYCLE_SEC = 30, 300
ENTRIES = VEHICLES * 30 * 86_400 // CYCLE_SEC
MOST_ENTRIES = 100_000
# Every vehicle has a cycle each CYCLE_SEC; each tenth one's cycles time out.
SEED = f"""
SET session_replication_role = replica;
INSERT INTO vehicles (name, vpn_ip, sync_status, last_sync_at)
SELECT 'Truck-' || n, '10.8.0.0'::inet + n, 'ok', now() FROM generate_series(1, {VEHICLES}) n;
INSERT INTO fleetsync.replica (id, host, pid, version, interval_sec)
VALUES (gen_random_uuid(), 'here', 1, '1', {CYCLE_SEC});
INSERT INTO sync_journal (vehicle_id, started_at, finished_at, status, rows_written)
SELECT id, at + n * interval '0.1 s', at + n * interval '0.1 s' + interval '2 s',
    CASE WHEN n % 10 = 0 THEN 'timeout' ELSE 'ok' END, 600
FROM generate_series(now() - interval '{{days}} days', now(), interval '{CYCLE_SEC} s') at,
    (SELECT id, row_number() OVER (ORDER BY name) AS n FROM vehicles) numbered;
INSERT INTO alarms_log (vehicle_id, alarm_id, channel_id, message, triggered_at, resolved_at)
SELECT id, n, 1, 'hot', now(), CASE WHEN n > 1 THEN now() END
FROM vehicles, generate_series(1, 1000) n;
"""  # noqa: S608  made of numbers of this file


@contextmanager
def viewer(server: embedded.Server, database: str) -> Iterator[Cursor]:
    """Yield a cursor of Grafana's role, made as the documents say."""
    pages = [(ROOT / "docs" / name).read_text() for name in ("dashboard.md", "operations.md")]
    blocks = re.findall(r"```sql\n(.*?)```", "".join(pages), re.DOTALL)
    made = "".join(block for block in blocks if "fleet_viewer" in block)
    server.execute(sql.SQL(made.replace("fleet_viewer", VIEWER)), database=database)
    connection = psycopg2.connect(host=server.host, user=VIEWER, dbname=database)
    try:
        with closing(connection), connection.cursor() as cursor:
            yield cursor
    finally:
        role = sql.Identifier(VIEWER)
        for statement in ("DROP OWNED BY {}", "DROP ROLE {}"):
            server.execute(sql.SQL(statement).format(role), database=database)


def answers(cursor: Cursor, shown: TimeRange) -> dict[str, list[tuple[Any, ...]]]:
    """Return what each panel of PostgreSQL shows."""
    shows = {}
    for panel in grafana.panels("postgresql"):
        cursor.execute(grafana.sql(panel, shown))
        shows[panel["title"]] = cursor.fetchall()
    return shows


@contextmanager
def seeded(installation: Installation, days: int) -> Iterator[Cursor]:
    """Yield Grafana's cursor in a database with so many days of journal."""
    for statements in (SEED.format(days=days), "ANALYZE"):
        installation.server.execute(sql.SQL(statements), database=installation.database_name)
    with viewer(installation.server, installation.database_name) as cursor:
        yield cursor


@pytest.fixture
def month(installation: Installation) -> Iterator[Cursor]:
    with seeded(installation, 30) as cursor:
        yield cursor


@pytest.fixture
def two_days(installation: Installation) -> Iterator[Cursor]:
    with seeded(installation, 2) as cursor:
        yield cursor


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every node of a plan."""
    yield plan
    for part in plan.get("Plans", []):
        yield from nodes(part)


def rows_read(node: dict[str, Any]) -> float:
    removed = ("Rows Removed by Filter", "Rows Removed by Index Recheck")
    rows = node["Actual Rows"] + sum(node.get(name, 0) for name in removed)
    return float(rows * node["Actual Loops"])


def scans(cursor: Cursor, panel: Panel, shown: TimeRange) -> dict[str, list[dict[str, Any]]]:
    """Run a panel's query; return the nodes of its plan that read tables, by table."""
    cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + grafana.sql(panel, shown))
    row = cursor.fetchone()
    assert row is not None
    found: dict[str, list[dict[str, Any]]] = {}
    for node in nodes(row[0][0]["Plan"]):
        found.setdefault(node.get("Relation Name", ""), []).append(node)
    return found


@pytest.mark.long
def test_no_panel_reads_a_large_table_in_one_sweep_or_more_of_it_than_it_can_show(
    month: Cursor,
) -> None:
    month.execute("SELECT count(*) FROM sync_journal")
    assert month.fetchall()[0][0] > ENTRIES > 2 * MOST_ENTRIES
    of_journal = set()
    for panel in grafana.panels("postgresql"):
        for length in SHOWN:
            by_table = scans(month, panel, TimeRange.last(length))
            # Without a vehicle, the panel of its channels reads nothing.
            of_rows = [name for name in by_table if name.startswith("measurements")]
            assert not of_rows or panel["title"] == "Channel of a vehicle"
            for table in ("sync_journal", "alarms_log"):
                kinds = {node["Node Type"] for node in by_table.get(table, [])}
                assert "Seq Scan" not in kinds, (panel["title"], length)
            journal = by_table.get("sync_journal", [])
            assert sum(map(rows_read, journal)) <= MOST_ENTRIES, (panel["title"], length)
            of_journal |= {panel["title"]} if journal else set()
    assert len(of_journal) == 4


@pytest.mark.long
def test_series_are_even_for_an_even_fleet_and_do_not_change_with_the_zoom(month: Cursor) -> None:
    for length in SHOWN:
        shown = TimeRange.last(length)
        shows = answers(month, shown)
        cycles = shows["Cycles a minute, by status"]
        rows = shows["Rows written a second"]
        seconds = shows["Seconds per cycle, 95th percentile"]
        assert {row[1:] for row in cycles} == {(5.4, 0.6, 0)}
        assert {row[1] for row in rows} == {VEHICLES * 600 / CYCLE_SEC}
        assert {row[1] for row in seconds} == {2}
        times = [row[0] for row in cycles]
        assert len(times) <= 200
        assert times[0] >= shown.start
        step = timedelta(seconds=max(shown.step_sec(panel_of("Rows written a second")), 600))
        assert times == [times[0] + n * step for n in range(len(times))]
        # The last bucket is left out until all its cycles have been written.
        assert times[-1] > shown.end - 2 * step - timedelta(seconds=4 * CYCLE_SEC)


def panel_of(title: str) -> Panel:
    return next(panel for panel in grafana.panels("postgresql") if panel["title"] == title)


def test_cycles_are_counted_exactly_where_all_of_them_can_be_read(two_days: Cursor) -> None:
    shown = TimeRange.last(2 * DAY)
    rows = answers(two_days, shown)["Rows written a second"]
    step = rows[1][0] - rows[0][0]
    two_days.execute(
        "SELECT sum(rows_written) FROM sync_journal WHERE started_at >= %s AND started_at < %s",
        (rows[0][0], rows[-1][0] + step),
    )
    assert sum(row[1] for row in rows) * step.total_seconds() == two_days.fetchall()[0][0]


def test_failures_are_the_newest_ones_first(two_days: Cursor) -> None:
    failures = answers(two_days, TimeRange.last(2 * DAY))["Failures"]
    times = [row[0] for row in failures]
    assert times == sorted(times, reverse=True)
    assert len(times) == 200
    assert times[0] > datetime.now(UTC) - timedelta(seconds=2 * CYCLE_SEC)
    assert {row[1:3] for row in failures} == {
        (name, "timeout") for name in ("Truck-18", "Truck-27", "Truck-9")
    }


def test_the_dashboard_without_prometheus_queries_postgresql_as_a_role_that_only_reads(
    installation: Installation,
) -> None:
    installation.fleet(1)
    installation.rows(
        "INSERT INTO vehicles (name, vpn_ip, api_port) VALUES ('Gone-01', '127.0.0.1', 1)"
    )
    assert installation.command("once")[0] == 1
    # Of paused vehicles only the table tells: they neither fail nor lag.
    installation.rows(
        "INSERT INTO vehicles (name, vpn_ip, sync_status, last_sync_at) VALUES"
        " ('Off-01', '10.8.0.1', 'ok', '2020-01-01'), ('Off-02', '10.8.0.2', 'error', NULL)"
    )
    installation.rows(
        "INSERT INTO fleetsync.vehicle_state (vehicle_id, paused)"
        " SELECT id, true FROM vehicles WHERE name LIKE 'Off%%'"
    )
    with viewer(installation.server, installation.database_name) as cursor:
        shows = answers(cursor, TimeRange.last(6 * HOUR))
        assert shows["Vehicles ok"] == shows["Vehicles failing"] == [(1,)]
        assert shows["Worst lag"][0][0] < 3_600
        fleet = [row[:2] for row in shows["Fleet"]]
        assert fleet[:2] == [("Gone-01", "error"), ("Truck-01", "ok")]
        assert set(fleet[2:]) == {("Off-01", "paused"), ("Off-02", "paused")}
        assert [row[1] for row in shows["Failures"]] == ["Gone-01"]
        ((carrier, today, month, _last_month),) = shows[
            "Traffic of the hundred links that carried most this month"
        ]
        assert (carrier, today > 1000, month >= today) == ("Truck-01", True, True)
        # Compiling takes ten times as long as these queries.
        cursor.execute("SHOW jit")
        assert cursor.fetchone() == ("off",)
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute("SELECT api_key FROM vehicles")


def channel_shown(cursor: Cursor, shown: TimeRange, vehicle: object) -> list[tuple[Any, ...]]:
    panel = panel_of("Channel of a vehicle")
    cursor.execute(grafana.sql(panel, shown, str(vehicle), "7"))
    return cursor.fetchall()


def test_a_vehicles_channel_is_read_from_minutes_and_its_newest_rows(
    installation: Installation,
) -> None:
    database = installation.database
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    start = now - 10 * HOUR
    truck = database.run(lambda c: vehicles.add_vehicle(c, "Truck-01", "10.8.0.1", 8001, None))
    store_rows(database, truck, rows(start, 3600, step=timedelta(seconds=10)))
    set_watermark(database, truck, now)
    installation.rows(
        "INSERT INTO fleetsync.vehicle_state (vehicle_id, newest_measurement_at) VALUES (%s, %s)",
        str(truck), now - timedelta(seconds=10),
    )  # fmt: skip
    shown = TimeRange(start, now)
    with viewer(installation.server, installation.database_name) as cursor:
        # Nobody wants a long span to be read from the rows.
        times = [row[0] for row in channel_shown(cursor, shown, truck)]
        assert now - 6 * HOUR - timedelta(minutes=2) <= times[0] <= now - 6 * HOUR
        keep_all(database)
        store_rows(database, truck, rows(now - 5 * HOUR, 30, (7,), timedelta(seconds=1.5)))
        seen = channel_shown(cursor, shown, truck)
        step = timedelta(seconds=shown.step_sec(panel_of("Channel of a vehicle")))
        assert [row[0] for row in seen] == [start + n * step for n in range(10 * HOUR // step)]
        cursor.execute(
            "SELECT date_bin(%s, time, %s) AS at, min(value), avg(value), max(value)"
            " FROM measurements WHERE channel_id = 7 GROUP BY at ORDER BY at",
            (step, start),
        )
        assert seen == [pytest.approx(row) for row in cursor.fetchall()]


@pytest.mark.parametrize("name", ["prometheus", "postgresql"])
def test_a_dashboards_panels_lie_side_by_side_and_name_their_source(name: str) -> None:
    panels = grafana.panels(name)
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        assert panel["datasource"]["uid"] == "${datasource}"
        taken |= cells


def selectors(expression: promql.Expr) -> list[promql.VectorSelector]:
    found: list[promql.VectorSelector] = []

    def look(node: promql.Expr) -> bool:
        if isinstance(node, promql.VectorSelector):
            found.append(node)
        return True

    promql.walk(expression, look)
    return found


def test_a_rate_fits_the_scrapes_whatever_the_zoom() -> None:
    for panel in grafana.panels("prometheus"):
        ranges = re.findall(r"\[([^\]]*)\]", panel["targets"][0]["expr"])
        assert set(ranges) <= {"$__rate_interval"}, panel["title"]
        # A counter changes once a cycle: over less than some cycles a rate would zigzag.
        assert not ranges or panel["interval"] == "1m"


def test_the_top_of_the_fleet_is_ranked_once_and_not_at_every_moment() -> None:
    ranked = 0

    def look(node: promql.Expr) -> bool:
        nonlocal ranked
        if isinstance(node, promql.AggregateExpr) and str(node.op) == "topk":
            ranked += 1
            assert all(str(selector.at) == "@ end()" for selector in selectors(node.expr))
        return True

    for panel in grafana.panels("prometheus"):
        promql.walk(promql.parse(grafana.promql(panel, TimeRange.last(6 * HOUR))), look)
    assert ranked == 2


AT_A, AT_B = ', instance="a"', ', instance="b"'
OF_DATA = ', call="/data"'


@needs_prometheus
def test_panels_of_prometheus_leave_paused_vehicles_out_and_count_each_other_one_once(
    tmp_path: Path,
) -> None:
    def series(metric: str, number: int, values: object, more: str = "") -> dict[str, str]:
        labels = f'vehicle="T{number}", vehicle_id="{number}"{more or AT_A}'
        return {"series": f"fleetsync_vehicle_{metric}{{{labels}}}", "values": f"{values}x60"}

    # The first two are paused. Two daemons export the third, which one is taking over.
    seen = [series("up", n, int(n % 4 != 0)) for n in range(16)]
    seen += [series("paused", n, int(n < 2)) for n in range(16)]
    # The last one has an interval of its own, which explains nearly all of its lag.
    seen += [series("lag_seconds", n, 1_000 - n if n < 15 else 5_000) for n in range(16)]
    seen += [series("interval_seconds", n, 30 if n < 15 else 4_630) for n in range(16)]
    seen += [series("up", 2, 1, AT_B), series("lag_seconds", 2, 998, AT_B)]
    seen += [series("interval_seconds", 2, 30, AT_B)]
    seen += [
        {"series": f'fleetsync_interval_seconds{{instance="{each}"}}', "values": "30x60"}
        for each in "ab"
    ]
    # Powers of two: their rates divide without rest.
    seen += [series("call_seconds_sum", n, f"0+{2**n}", AT_A + OF_DATA) for n in range(16)]
    seen += [series("call_seconds_count", n, "0+1", AT_A + OF_DATA) for n in range(16)]
    seen += [
        {"series": f'fleetsync_{metric}instance="{instance}"}}', "values": f"{count}x60"}
        for instance, count in (("a", 2), ("b", 3))
        for metric in ('cycle_vehicles{result="resting", ', "unstored_vehicles{")
    ]
    by_title = {panel["title"]: panel for panel in grafana.panels("prometheus")}
    worst = "Lag of the ten that lag most at the end"
    slowest = "Mean seconds per /data of the ten slowest at the end"
    expected = {
        "Vehicles up": [{"labels": "{}", "value": 11}],
        "Vehicles failing": [{"labels": "{}", "value": 3}],
        "Worst lag": [{"labels": "{}", "value": 998}],
        "Vehicles of the last cycle, by result": [{"labels": '{result="resting"}', "value": 5}],
        "Vehicles whose last cycle could not be stored": [{"labels": "{}", "value": 5}],
        worst: [
            {"labels": f'{{vehicle="T{n}", vehicle_id="{n}"}}', "value": 1_000 - n}
            for n in range(2, 12)
        ],
        slowest: [
            {"labels": f'{{vehicle="T{n}", vehicle_id="{n}"}}', "value": 2**n} for n in range(6, 16)
        ],
    }
    shown = TimeRange.last(6 * HOUR)
    tests = [
        {"expr": grafana.promql(by_title[title], shown), "eval_time": "30m", "exp_samples": samples}
        for title, samples in expected.items()
    ]
    case = {"interval": "1m", "input_series": seen, "promql_expr_test": tests}
    file = tmp_path / "panels.yaml"
    file.write_text(yaml.safe_dump({"tests": [case]}))
    done = subprocess.run(
        [str(PROMTOOL), "test", "rules", str(file)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
