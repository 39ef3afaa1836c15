"""Audits: past intervals that are compared with what the vehicles have."""

from fleetsyncd.database.views.audits import AuditStatus
from fleetsyncd.text import counted
from tui.dialogs.audit import AuditForm
from tui.job_gateway import WantedAudit
from tui.jobs import Ended, Jobs, some_text


class Audits(Jobs[WantedAudit, AuditStatus]):
    """Asks for an interval, requests it or cancels what runs, and reports what was found."""

    NOUN, A_NOUN = "audit", "an audit"
    FORM = AuditForm
    DONE_STAYS = "what was stored by it stays"
    REPEATS = "Audit this interval"
    OPEN_REPEATED = "what was compared of it already is compared again"

    def same(self, status: AuditStatus) -> WantedAudit:
        """Return the interval, and what becomes of missing rows."""
        return WantedAudit(status.window.start, status.window.end, status.report_only)

    def outcome_text(self, ended: Ended[AuditStatus]) -> str:
        """Say what was found of several vehicles, or of a single one."""
        done = [(name, status) for name, status in ended if status is not None]
        checked = f"{counted(sum(status.rows for _, status in done), 'row')} checked"
        if len(ended) == 1:
            if not done:
                return "cancelled or replaced"
            status = done[0][1]
            return f"{status.outcome}, {checked}: {status.found}"
        told = some_text((
            ("of them with missing rows", [name for name, each in done if each.counts.missing]),
            ("of them with other values", [name for name, each in done if each.counts.different]),
            ("of them without what is gone", [name for name, each in done if each.gone_sec > 0]),
            ("cancelled or replaced", [name for name, each in ended if each is None]),
        ))  # fmt: skip
        return "; ".join([f"{len(done)} complete, {checked}", *told])
