"""`fleetsyncd notify`: try the targets, and see what was told."""

import click
from msgspec import Struct

from fleetsyncd import bootstrap, green
from fleetsyncd.commands.json_output import print_list
from fleetsyncd.commands.parameters import json_option
from fleetsyncd.commands.tables import table
from fleetsyncd.database import notices
from fleetsyncd.database.replicas import this_host
from fleetsyncd.database.views.notices import Fate, ListedNotice, read_notices
from fleetsyncd.errors import CommandError
from fleetsyncd.notices import Weight
from fleetsyncd.notify.digest import Message
from fleetsyncd.notify.refusals import NotSent
from fleetsyncd.times import ZonedTime, utc_text
from fleetsyncd.validation import parse_tag

HEADER = ["AT", "SEVERITY", "KIND", "NOTICE", "TOLD"]
USUAL_LIMIT, MOST_LISTED = 50, 10_000


class ToldNotice(Struct, frozen=True):
    """A notice, as `notify list --json` prints it."""

    id: int
    at: ZonedTime
    kind: str
    severity: str
    vehicle_id: str | None
    vehicle_name: str | None
    title: str
    detail: str
    targets: dict[str, str]
    """By target: `sent`, or `given up`; one that has not got it yet is missing."""


@click.group("notify")
def notify_group() -> None:
    """Try the targets of notices, and see what was told."""


@notify_group.command("test")
@click.option(
    "--tag",
    "tags",
    multiple=True,
    metavar="TAG",
    help="As if it were a notice of this kind, severity or vehicle's tag: down, critical, site-a.",
)
def test_command(tags: tuple[str, ...]) -> None:
    """Send a message to every target that the configuration names, now.

    Exit code 1 if a target does not take it.
    """
    routes = [parse_tag(tag) for tag in tags]
    settings = bootstrap.load_settings()
    targets = bootstrap.notice_targets(settings)
    if not targets:
        raise CommandError("no target is configured: set NOTIFY_URLS or NOTIFY_CONFIG")
    text = f"This is `fleetsyncd notify test` on {this_host()}. Nothing has happened."
    message = Message("fleetsyncd: a test", text, Weight.INFO)
    failed = 0
    for target in targets:
        if routes and not target.wants(routes):
            click.echo(f"{target.name}: not for it")
            continue
        try:
            target.send(message, green.deadline)
        except NotSent as error:
            failed += 1
            click.echo(f"{target.name}: FAILED: {error}")
        else:
            click.echo(f"{target.name}: sent")
    if failed:
        raise SystemExit(1)


@notify_group.command("list")
@click.option(
    "--limit",
    type=click.IntRange(1, MOST_LISTED),
    default=USUAL_LIMIT,
    show_default=True,
    help="The newest so many.",
)
@json_option
def list_command(limit: int, as_json: bool) -> None:
    """Show what was told, to whom, and what failed; the newest first."""
    database = bootstrap.configured_database()
    found = database.run(lambda cursor: read_notices(cursor, limit=limit))
    if as_json:
        print_list([_as_told(each) for each in found])
        return
    click.echo(table(HEADER, [_line(each) for each in found]))
    for target in database.run(notices.targets):
        if target.failing_since is not None:
            since = utc_text(target.failing_since)
            click.echo(f"{target.target} fails since {since}: {target.last_error}")


def _as_told(each: ListedNotice) -> ToldNotice:
    stored, notice = each.stored, each.stored.notice
    return ToldNotice(
        stored.id,
        stored.at,
        notice.kind.value,
        notice.severity.value,
        str(notice.vehicle.id) if notice.vehicle else None,
        notice.vehicle.name if notice.vehicle else None,
        notice.title,
        notice.detail,
        _outcomes(each),
    )


def _outcomes(listed: ListedNotice) -> dict[str, str]:
    return {
        each.target: each.fate.value for each in listed.deliveries if each.fate is not Fate.WAITS
    }


def _line(each: ListedNotice) -> list[str]:
    notice = each.stored.notice
    told = ", ".join(
        target if outcome == "sent" else f"{target} ({outcome})"
        for target, outcome in _outcomes(each).items()
    )
    return [utc_text(each.stored.at), notice.severity, notice.kind, notice.title, told or "-"]
