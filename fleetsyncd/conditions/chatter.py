"""Alarms that come and go: of a vehicle whose alarms are many, the same ones are not told again.

In memory, as a restart does no harm by it: a few of them are told once more.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from uuid import UUID

from fleetsyncd.conditions.model import FLAP_TIME
from fleetsyncd.telemetry import Alarm

NOTICES = 3
"""Of a vehicle's alarms within FLAP_TIME, from which on they come and go."""
MOST_TEXTS = 1_000
"""That are known of a vehicle: of more, the oldest are new again."""

Text = tuple[int | None, str | None, str]
"""What an operator knows an alarm by: channel, severity and message."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """Alarms of an answer that have begun: those to be told, and those that come and go."""

    told: Sequence[Alarm]
    withheld: Sequence[Alarm] = ()
    within_hour: int = 0
    """How many have begun within the hour, if that is to be told now."""


@dataclass(slots=True)
class _Known:
    """What is known of a vehicle; no time in it is older than FLAP_TIME."""

    notices: list[datetime] = field(default_factory=list)
    begun: list[tuple[datetime, int]] = field(default_factory=list)
    texts: dict[Text, datetime] = field(default_factory=dict)
    said_at: datetime | None = None

    def pruned(self, now: datetime) -> "_Known":
        since = now - FLAP_TIME
        return _Known(
            [at for at in self.notices if at > since],
            [each for each in self.begun if each[0] > since],
            {text: at for text, at in list(self.texts.items())[-MOST_TEXTS:] if at > since},
            self.said_at if self.said_at is not None and self.said_at > since else None,
        )


class Chatter:
    """Knows of each vehicle which alarms have begun within the last hour."""

    def __init__(self) -> None:
        self._vehicles: OrderedDict[UUID, _Known] = OrderedDict()

    def divide(self, vehicle_id: UUID, begun: Sequence[Alarm], now: datetime) -> Beginning:
        """Tell apart what is new of the alarms that have begun from what comes and goes."""
        known = self._known(vehicle_id, now)
        if len(known.notices) < NOTICES:
            return Beginning(begun)
        told = [each for each in begun if _text(each) not in known.texts]
        withheld = [each for each in begun if _text(each) in known.texts]
        within_hour = len(begun) + sum(count for _at, count in known.begun)
        is_said = not withheld or known.said_at is not None
        return Beginning(told, withheld, 0 if is_said else within_hour)

    def note(self, vehicle_id: UUID, beginning: Beginning, resolved: int, now: datetime) -> None:
        """Take in what was written of a vehicle's alarms; `resolved` were told to be over."""
        known = self._known(vehicle_id, now)
        begun = [*beginning.told, *beginning.withheld]
        known.notices += [now] * (bool(begun) + bool(resolved))
        if begun:
            known.begun.append((now, len(begun)))
        for each in begun:
            known.texts.pop(_text(each), None)  # the latest are the last
            known.texts[_text(each)] = now
        if beginning.within_hour:
            known.said_at = now
        self._vehicles[vehicle_id] = known
        self._vehicles.move_to_end(vehicle_id)
        self._forget_oldest(now)

    def _known(self, vehicle_id: UUID, now: datetime) -> _Known:
        return self._vehicles.get(vehicle_id, _Known()).pruned(now)

    def _forget_oldest(self, now: datetime) -> None:
        for key in list(islice(self._vehicles, 2)):
            if not self._vehicles[key].pruned(now).notices:
                del self._vehicles[key]


def _text(alarm: Alarm) -> Text:
    return alarm.channel_id, alarm.severity, alarm.message
