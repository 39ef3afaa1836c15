"""What audits have found and proved, as frozen types."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class AuditCounts:
    """What a comparison of a vehicle's answers with what is stored has found, in rows."""

    checked: int = 0
    """That came."""
    missing: int = 0
    """That were not stored."""
    different: int = 0
    """That are stored with another value, which is left as it is."""
    gone: int = 0
    """That are stored, and that the vehicle has no longer."""

    @property
    def is_clean(self) -> bool:
        """Whether all that came was stored as it came."""
        return not self.missing and not self.different

    @property
    def is_void(self) -> bool:
        """Whether nothing came of what is stored: the vehicle cannot tell what is missing."""
        return self.gone > 0 and not self.checked

    def __add__(self, other: "AuditCounts") -> "AuditCounts":
        return AuditCounts(
            self.checked + other.checked,
            self.missing + other.missing,
            self.different + other.different,
            self.gone + other.gone,
        )


@dataclass(frozen=True, slots=True)
class AuditResult:
    """What an attempt at an audit has found, and proved."""

    counts: AuditCounts
    age_sec: int | None = None
    """Of a look: how old what it looked at was."""
    verified_to: datetime | None = None
    """Of a look: up to here nothing is missing; None if something was, or if it failed."""
    is_told: bool = True
    """It has a journal entry; False for looks that found nothing, or failed."""
    also: tuple[int, ...] = ()
    """Of a look: other ages of which the same is proved."""


def audit_remark(counts: AuditCounts, unstored: int) -> str:
    """Say what an audit has found; of what was missing, so much is not stored now either."""
    what_of_it = "stored now"
    if unstored:
        stored = counts.missing - unstored
        what_of_it = f"{stored:,} of them stored now" if stored else "not stored"
    found = (
        f"{counts.missing:,} missing, {what_of_it}" if counts.missing else "",
        f"{counts.different:,} stored with another value, left as it is"
        if counts.different
        else "",
        f"{counts.gone:,} the vehicle has no longer" if counts.gone else "",
    )
    said = ", ".join(part for part in found if part) or "nothing missing or different"
    return f"{counts.checked:,} row(s) checked: {said}"
