"""Each vehicle's own terms, in place of the settings: how they are written, and what they may be.

Pure functions; the commands, the CSV file and the dashboard's dialog use the same ones.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

from fleetsyncd.errors import CommandError
from fleetsyncd.text import sanitise

LONGEST_INTERVAL_SEC = 86_400
"""A vehicle that is asked less often than once a day is paused."""
LONGEST_TIMEOUT_SEC = 120
"""A stop, and a hand-over of shards with their other vehicles, wait for the requests that run."""
SHORTEST_WINDOW_SEC, LONGEST_WINDOW_SEC = 10, 3600
"""A gap is asked for by the hour at most; a smaller window would need years for one of weeks."""
MOST_GAP_KBIT = 10_000_000
DEFAULT = "default"
"""Takes a term back: the setting counts again."""
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_LENGTH = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)([smhd]?)")
_KBIT = re.compile(r"[0-9]{1,9}")


_FIELDS = {
    "interval": "interval_sec",
    "timeout": "timeout_sec",
    "window": "window_sec",
    "gap": "gap_kbit",
}
EXAMPLE = "interval=10m timeout=30 window=2m gap=256"
"""Terms as `parse_terms` reads them."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What was set for one vehicle; None: the setting counts, of `gap_kbit` that there is none."""

    interval_sec: float | None = None
    timeout_sec: float | None = None
    window_sec: float | None = None
    gap_kbit: int | None = None

    def interval(self, sync_interval_sec: float) -> float:
        """Return the seconds between its cycles: never less than those between the fleet's."""
        return max(self.interval_sec or 0.0, sync_interval_sec)

    def timeout(self, pull_timeout_sec: float) -> float:
        """Return the seconds that one request may take; what was stored longer is cut down."""
        if self.timeout_sec is None:
            return pull_timeout_sec
        return min(self.timeout_sec, LONGEST_TIMEOUT_SEC)

    def check(self, sync_interval_sec: float) -> None:
        """Raise CommandError if these terms cannot go together; 0: the interval is not known."""
        self.check_interval(sync_interval_sec)
        self.check_timeout(sync_interval_sec)

    def check_interval(self, sync_interval_sec: float) -> None:
        """Raise CommandError if the interval alone cannot be."""
        if self.interval_sec is not None and self.interval_sec < sync_interval_sec:
            raise CommandError(
                f"an interval of {length_text(self.interval_sec)} is shorter than"
                f" SYNC_INTERVAL_SEC, which is {sync_interval_sec:g}: that is the least,"
                f" and what {DEFAULT} stands for"
            )

    def check_timeout(self, sync_interval_sec: float) -> None:
        """Raise CommandError if the timeout cannot be, or not with the interval."""
        if self.timeout_sec is not None and self.timeout_sec > LONGEST_TIMEOUT_SEC:
            raise CommandError(
                f"a timeout of {length_text(self.timeout_sec)} is longer than"
                f" {length_text(LONGEST_TIMEOUT_SEC)}: that is the most"
            )
        interval = self.interval(sync_interval_sec)
        if interval and self.timeout_sec is not None and self.timeout_sec > interval:
            raise CommandError(
                f"a timeout of {length_text(self.timeout_sec)} is longer than the interval of"
                f" {length_text(interval)}: one silent answer would cost the next cycle;"
                " set a longer interval, or a shorter timeout"
            )

    @property
    def text(self) -> str:
        """What was set, in one line, as `parse_terms` reads it; empty if nothing was."""
        named = (
            ("interval", self.interval_sec),
            ("timeout", self.timeout_sec),
            ("window", self.window_sec),
        )
        texts = [f"{name}={length_text(value)}" for name, value in named if value is not None]
        if self.gap_kbit is not None:
            texts.append(f"gap={self.gap_kbit}")
        return " ".join(texts)


NO_TERMS = Terms()


@dataclass(frozen=True, slots=True)
class Given:
    """A new value of a term; None takes it back."""

    value: float | None


@dataclass(frozen=True, slots=True)
class TermsChange:
    """What is to become of a vehicle's terms; None leaves one as it is."""

    interval_sec: Given | None = None
    timeout_sec: Given | None = None
    window_sec: Given | None = None
    gap_kbit: Given | None = None

    def applied_to(self, terms: Terms) -> Terms:
        """Return the terms after this change."""
        given = {each.name: getattr(self, each.name) for each in fields(self)}
        return replace(
            terms, **{name: each.value for name, each in given.items() if each is not None}
        )

    def check(self, terms: Terms, sync_interval_sec: float) -> None:
        """Raise CommandError if `terms`, which this has changed, cannot be for what it gives.

        What it leaves as it is may be older than the present SYNC_INTERVAL_SEC.
        """
        if self.interval_sec is not None:
            terms.check_interval(sync_interval_sec)
        if self.interval_sec is not None or self.timeout_sec is not None:
            terms.check_timeout(sync_interval_sec)

    @classmethod
    def to(cls, terms: Terms) -> "TermsChange":
        """Return the change after which a vehicle has exactly these terms."""
        return cls(**{each.name: Given(getattr(terms, each.name)) for each in fields(terms)})

    @classmethod
    def between(cls, seen: Terms, wanted: Terms) -> "TermsChange":
        """Return the change of what differs: others may set the rest meanwhile."""
        return cls(
            **{
                each.name: Given(getattr(wanted, each.name))
                for each in fields(wanted)
                if getattr(wanted, each.name) != getattr(seen, each.name)
            }
        )


UNCHANGED = TermsChange()


def parse_interval(text: str) -> float | None:
    """Return an interval in seconds, None for the default; raise CommandError."""
    return _parse_length(text, "interval", 0, LONGEST_INTERVAL_SEC)


def parse_timeout(text: str) -> float | None:
    """Return a timeout in seconds, None for the default; raise CommandError."""
    return _parse_length(text, "timeout", 0, LONGEST_TIMEOUT_SEC)


def parse_window(text: str) -> float | None:
    """Return a window in seconds, None for the default; raise CommandError."""
    return _parse_length(text, "window", SHORTEST_WINDOW_SEC, LONGEST_WINDOW_SEC)


def parse_gap_kbit(text: str) -> int | None:
    """Return kilobits in a second, None for no limit; raise CommandError."""
    text = text.strip()
    if text == DEFAULT:
        return None
    if _KBIT.fullmatch(text) is None or not 1 <= int(text) <= MOST_GAP_KBIT:
        raise CommandError(
            f"{sanitise(text, 40)} is no rate for a gap: write kilobits in a second, from 1 to"
            f" {MOST_GAP_KBIT:,}, or {DEFAULT}"
        )
    return int(text)


PARSERS: dict[str, Callable[[str], float | None]] = {
    "interval_sec": parse_interval,
    "timeout_sec": parse_timeout,
    "window_sec": parse_window,
    "gap_kbit": parse_gap_kbit,
}
"""How each term is read, under the name of its field."""


def parse_change(**texts: str | None) -> TermsChange:
    """Return the change that texts name, by the names of the fields; raise CommandError."""
    return TermsChange(
        **{name: Given(PARSERS[name](text)) for name, text in texts.items() if text is not None}
    )


def parse_terms(text: str) -> TermsChange:
    """Return the change that words such as `interval=10m gap=256` name; raise CommandError."""
    given: dict[str, str] = {}
    for word in text.split():
        name, sign, value = word.partition("=")
        if name not in _FIELDS or not sign:
            raise CommandError(f"{sanitise(word, 40)} is no term: write {EXAMPLE}")
        if _FIELDS[name] in given:
            raise CommandError(f"{name} is there twice: write it once")
        given[_FIELDS[name]] = value
    return parse_change(**given)


def length_text(seconds: float) -> str:
    """Return a length as `parse_interval` reads it: `10m`, `90s`, `0.5s`."""
    for unit in ("d", "h", "m"):
        if seconds >= _UNITS[unit] and seconds % _UNITS[unit] == 0:
            return f"{seconds / _UNITS[unit]:g}{unit}"
    return f"{seconds:.9g}s"


def _parse_length(text: str, what: str, least: float, most: float) -> float | None:
    text = text.strip()
    if text == DEFAULT:
        return None
    length = _LENGTH.fullmatch(text)
    if length is None:
        raise CommandError(
            f"{sanitise(text, 40)} is no length of time: write 30, 90s, 10m, 1h, or {DEFAULT}"
        )
    seconds = float(length[1]) * _UNITS[length[2]]
    if not (least <= seconds <= most and seconds > 0):
        bounds = f"{length_text(least)} to" if least else "more than 0 and at most"
        raise CommandError(f"{text} is no {what}: it is {bounds} {length_text(most)}")
    return seconds
