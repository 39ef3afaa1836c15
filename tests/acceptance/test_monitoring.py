"""Metrics of a running daemon, and the rules and dashboards that are made of them."""

import json
import re
import socket
import struct
import subprocess
import urllib.request
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.acceptance import grafana
from tests.acceptance.command_lines import ROOT, fault_of
from tests.acceptance.conftest import Installation
from tests.acceptance.grafana import OPS
from tests.prometheus import PROMTOOL, needs_prometheus

Labels = dict[str, set[str]]
# What Prometheus itself adds to every sample.
_ADDED = {"instance", "job"}
_ADDED_METRICS: Labels = {"up": set()}


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port: int = listener.getsockname()[1]
        return port


def scrape(port: int) -> tuple[Labels, dict[str, list[float]]]:
    """Return the labels that each sample's name carries, and its values."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    labels: Labels = {}
    values: dict[str, list[float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
            values.setdefault(sample.name, []).append(sample.value)
    return labels, values


@pytest.fixture
def known(installation: Installation) -> Labels:
    """Return what a daemon with a good and a bad vehicle exposes."""
    installation.fleet(1)
    installation.rows(
        "INSERT INTO vehicles (name, vpn_ip, api_port) VALUES ('Gone-01', '127.0.0.1', 1)"
    )
    installation.rows(
        "UPDATE vehicles SET last_sync_at = now() - interval '2 h' WHERE name = 'Gone-01'"
    )
    # A gap of which a part is lost.
    installation.rows(
        "INSERT INTO fleetsync.vehicle_state (vehicle_id, islands, history_from, history_at,"
        " history_watermark) SELECT id, tstzmultirange(tstzrange(now() - interval '1 min', now())),"
        " now() - interval '1 h', now(), last_sync_at FROM vehicles WHERE name = 'Gone-01'"
    )
    installation.rows(
        "INSERT INTO fleetsync.verified (vehicle_id, age_sec, verified_to, looked_to, looked_at)"
        " SELECT id, 60, now(), now(), now() FROM vehicles"
    )
    port = free_port()
    daemon = installation.daemon(METRICS_PORT=str(port))
    daemon.wait_for("Cycle done", times=2)
    labels, values = scrape(port)
    assert sorted(values["fleetsync_vehicle_up"]) == [0, 1]
    assert values["fleetsync_shards"] == [64]
    assert sum(values["fleetsync_vehicle_rows_written_total"]) >= 18
    assert sum(values["fleetsync_vehicle_received_bytes_total"]) > 1_000
    assert values["fleetsync_pool_wait_seconds_count"][0] > 5
    assert values["fleetsync_hub_stall_seconds_count"][0] > 5
    return labels


def test_clients_that_go_away_leave_no_line_that_is_not_json(
    installation: Installation, capfd: pytest.CaptureFixture[str]
) -> None:
    installation.fleet(1)
    port = free_port()
    daemon = installation.daemon(METRICS_PORT=str(port), LOG_FORMAT="json", LOG_LEVEL="DEBUG")
    daemon.wait_for("Cycle done")
    for request in (b"GET /met", b"GET /metrics HTTP/1.1\r\n\r\n" * 3, b"PUT / HTTP/1.1\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", port), 10) as client:
            client.sendall(request)
            # Closed with a reset.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    daemon.wait_for("a scrape by 127.0.0.1 ended")
    daemon.wait_for("Cycle done")
    daemon.process.terminate()
    assert daemon.end() == 0
    assert all(json.loads(line)["level"] for line in daemon.lines)
    assert capfd.readouterr().err == ""


def all_rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((OPS / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def rules() -> list[dict[str, Any]]:
    return [rule for rule in all_rules() if "alert" in rule]


def recorded() -> Labels:
    """Return the metrics that the rules record, with the labels by which they are aggregated."""
    labels = {
        rule["record"]: re.findall(r"by \(([^)]*)\)", rule["expr"])[0]
        for rule in all_rules()
        if "record" in rule
    }
    return {name: set(by.split(", ")) - _ADDED for name, by in labels.items()}


CASES = sorted(Path(__file__).parent.glob("alerts*_test.yaml"))


@pytest.mark.long
@needs_prometheus
@pytest.mark.parametrize("cases", CASES, ids=lambda path: path.stem)
def test_each_alert_fires_when_it_should_and_not_else(cases: Path) -> None:
    subprocess.run([str(PROMTOOL), "test", "rules", str(cases)], check=True)


def test_each_alert_has_a_case_of_its_own() -> None:
    fired = {
        expected["alertname"]
        for path in CASES
        for case in yaml.safe_load(path.read_text())["tests"]
        for expected in case["alert_rule_test"]
        if expected["exp_alerts"]
    }
    assert fired == {rule["alert"] for rule in rules()}


def fault(expression: str, known: Labels) -> str | None:
    """Return what a query asks for that no daemon exposes; None if all is there."""
    faults: list[str] = []

    def look(node: promql.Expr) -> bool:
        if isinstance(node, promql.VectorSelector):
            name = str(node.name)
            asked = {matcher.name for matcher in node.matchers.matchers}
            if name not in known:
                faults.append(f"no metric {name}")
            elif asked - known[name] - _ADDED:
                faults.append(f"{name} has no labels {asked - known[name]}")
        return True

    promql.walk(promql.parse(expression), look)
    grouped = re.findall(r"(?:by|on) \(([^)]*)\)", expression)
    labels = {label.strip() for group in grouped for label in group.split(",")}
    strange = labels - set().union(*known.values()) - _ADDED
    faults += [f"nothing has a label {label}" for label in sorted(strange)]
    return "; ".join(faults) or None


def test_rules_dashboards_and_documents_fit_what_a_daemon_exposes(known: Labels) -> None:
    for rule in all_rules():
        assert fault(rule["expr"], known | recorded() | _ADDED_METRICS) is None, rule
    for panel in grafana.panels("prometheus"):
        expression = grafana.promql(panel, grafana.TimeRange.last(timedelta(hours=6)))
        assert fault(expression, known) is None
    assert fault("fleetsync_vehicle_upp == 0", known) == "no metric fleetsync_vehicle_upp"
    assert fault('fleetsync_vehicle_up{kind="x"}', known) is not None
    documented = set(
        re.findall(r"`(fleetsync_\w+)`", (ROOT / "docs" / "operations.md").read_text())
    )
    exposed = {re.sub(r"_(bucket|sum|count)$", "", name) for name in known}
    own = {name for name in exposed if re.match(r"fleetsync_(?!.*_created$)", name)}
    assert documented == own


def test_the_alerts_are_documented() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    documented = re.findall(r"^\| `(Fleetsync\w+)` \|", page, re.MULTILINE)
    assert documented == [rule["alert"] for rule in rules()]


def test_the_proof_names_every_file_of_cases() -> None:
    page = (ROOT / "docs" / "proof.md").read_text()
    named = re.findall(r"`(tests/acceptance/alerts\S*_test\.yaml)`", page)
    assert sorted(path for each in named for path in ROOT.glob(each)) == CASES


def test_an_alert_of_a_vehicle_looks_its_name_up_where_it_is_recorded() -> None:
    of_vehicles = [rule for rule in rules() if "$labels.vehicle_id" in str(rule["annotations"])]
    assert len(of_vehicles) >= 5
    for rule in of_vehicles:
        asked = re.match(r'\{\{ with printf "([\w:]+)\{', rule["annotations"]["summary"])
        assert asked is not None, rule
        assert recorded()[asked[1]] == {"vehicle", "vehicle_id"}


def test_every_rule_has_a_severity_and_a_remedy() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names) >= 10
    for rule in rules():
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert set(rule["annotations"]) == {"summary", "action"}
        action = rule["annotations"]["action"]
        if action.startswith("fleetsyncd "):
            # A name need not be one word of a shell.
            words = action.replace("{{ $labels.vehicle_id }}", "Truck-01").split()
            assert not {"{{", "$labels"}.intersection(words)
            assert fault_of(words[1:]) is None
