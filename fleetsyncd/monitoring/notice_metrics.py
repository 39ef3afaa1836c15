"""What is counted of notices, by kind; targets are told apart by `fleetsyncd notify list` only."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from fleetsyncd.monitoring import events
from fleetsyncd.notices import NoticeKind

_KIND = ["kind"]


class NoticeMetrics:
    """Counters and gauges of notices; a notice counts once for each target."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._sent = Counter(
            "fleetsync_notices_sent", "Notices that a target has got", _KIND, registry=registry
        )
        self._given_up = Counter(
            "fleetsync_notices_given_up",
            "Notices that a target has not taken within a day",
            _KIND,
            registry=registry,
        )
        self._refused = Counter(
            "fleetsync_messages_refused",
            "Messages with notices that a target has not taken",
            registry=registry,
        )
        self._pending = Gauge(
            "fleetsync_notices_pending", "Notices that wait for a target", _KIND, registry=registry
        )
        self._failing = Gauge(
            "fleetsync_notice_targets_failing",
            "Targets that have not taken the last message",
            registry=registry,
        )
        for family in (self._sent, self._given_up, self._pending):
            for kind in NoticeKind:
                family.labels(kind.value)

    def count(
        self, event: events.NoticesEnded | events.NoticesWait | events.MessageRefused
    ) -> None:
        """Count an event."""
        match event:
            case events.NoticesEnded(kinds, is_sent):
                for kind, number in kinds.items():
                    (self._sent if is_sent else self._given_up).labels(kind.value).inc(number)
            case events.NoticesWait(kinds, failing_targets):
                for kind in NoticeKind:
                    self._pending.labels(kind.value).set(kinds.get(kind, 0))
                self._failing.set(failing_targets)
            case events.MessageRefused():
                self._refused.inc()
