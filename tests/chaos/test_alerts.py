import re

from tests.chaos.alerts import RULES, Expected, judge
from tests.prometheus import Record, Word, faster


def active(alert: str, state: str = "firing", **labels: str) -> dict[str, object]:
    return {"labels": {"alertname": alert, **labels}, "state": state}


def test_a_word_is_said_when_an_alert_begins_or_ends_to_fire() -> None:
    record = Record()
    record.note([active("Down", vehicle_id="1"), active("Lags", "pending", vehicle_id="1")])
    record.note([active("Down", vehicle_id="1"), active("Stuck", instance="a")])
    record.note([active("Stuck", instance="a")])
    said = [(word.alert, word.of, word.fires) for word in record.words]
    assert said == [("Down", "1", True), ("Stuck", "a", True), ("Down", "1", False)]


def test_a_word_is_false_unless_it_comes_once_and_in_its_time() -> None:
    allowed = [Expected("Down", "1", True, 60, 66), Expected("Down", "1", False, 70, 72)]
    in_time = Word(61 * 60 / 6, "Down", "1", True)
    early = Word(50 * 60 / 6, "Down", "1", True)
    end = Word(71 * 60 / 6, "Down", "1", False)
    other = Word(71 * 60 / 6, "Down", "2", False)
    assert judge([in_time, end], allowed, 6) == ([], [])
    assert judge([early, end], allowed, 6) == ([early], allowed[:1])
    assert judge([in_time, in_time, end, other], allowed, 6) == ([in_time, other], [])
    assert judge([in_time], allowed, 6) == ([], allowed[1:])


def test_every_time_of_the_rules_is_divided() -> None:
    rules = re.sub(r"^ *#.*$|summary: .*$", "", RULES.read_text(), flags=re.MULTILINE)
    divided = faster(rules, 10, 0)
    assert not re.findall(r"\b\d+[smhd]\b", divided)
    for plain in ("lag_seconds:min > 90\n", "+ 24\n", "for: 360000ms", "[60000ms]"):
        assert plain in divided
