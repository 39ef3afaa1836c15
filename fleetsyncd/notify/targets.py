"""Whom messages are sent to: mail, chat, push and webhooks, by the library apprise.

It is imported when a target is configured, and not before: it takes 0.3 s and 7 MB. Its own log may
contain URLs, which are secrets: nothing of it is passed on but the reason of a failure, and that
without them.
"""

import stat
import warnings
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

from fleetsyncd.errors import SettingsError
from fleetsyncd.notices import Weight
from fleetsyncd.notify import library_log
from fleetsyncd.notify.bounded import BOUNDED, bound
from fleetsyncd.notify.digest import Message
from fleetsyncd.notify.masking import said_of_file, without_secrets
from fleetsyncd.notify.names import identity, target_name
from fleetsyncd.notify.refusals import NotSent
from fleetsyncd.text import sanitise
from fleetsyncd.time_limits import Deadline
from fleetsyncd.validation import fold_tag

SEND_SEC = 30.0
"""A target has so long to take a message."""
_TYPES = {Weight.INFO: "success", Weight.WARNING: "warning", Weight.CRITICAL: "failure"}
_ONE_AT_A_TIME = Lock()
"""What the library says is heard by one sender."""


@dataclass(frozen=True, slots=True)
class Target:
    """One target: a name without secrets, and the words by which it chooses notices."""

    name: str
    tags: frozenset[str]
    sender: Any
    """An Apprise that has this service alone: it escapes what the service takes for markup."""
    identity: str
    """What tells it from other targets, however it is configured."""

    @property
    def service(self) -> Any:
        """The service of apprise, which has no types for its plugins."""
        return self.sender[0]

    def wants(self, routes: Collection[str]) -> bool:
        """Tell whether a notice is for it; one without tags wants all."""
        return not self.tags or not self.tags.isdisjoint(routes)

    def send(self, message: Message, deadline: Deadline) -> None:
        """Send a message; raise NotSent."""
        late = f"no answer within {SEND_SEC:g} s"
        with _ONE_AT_A_TIME, library_log.heard() as heard:
            BOUNDED.forget()
            try:
                with deadline(SEND_SEC, lambda: NotSent(late)):
                    is_sent = self.sender.notify(
                        title=message.title,
                        body=message.body,
                        notify_type=_TYPES[message.severity],
                        body_format="text",
                    )
            except NotSent:
                raise
            except Exception as error:
                # The text may contain the URL.
                raise NotSent(type(error).__name__) from None
        if not is_sent:
            # What looks like a part of the URL is taken out of the text, be it the status.
            text = without_secrets(heard.reason, self.service)
            raise NotSent(text, BOUNDED.pause, heard.status or BOUNDED.status)


def load_targets(urls: Sequence[str], config: str | None) -> list[Target]:
    """Return the targets of NOTIFY_URLS and of the file NOTIFY_CONFIG; raise SettingsError."""
    with warnings.catch_warnings():
        # Of the library's own imports.
        warnings.simplefilter("ignore", DeprecationWarning)
        return _load_targets(urls, config)


def _load_targets(urls: Sequence[str], config: str | None) -> list[Target]:
    import apprise  # noqa: PLC0415  see above

    # With a timeout of its own it would send in a thread, which no deadline of ours ends.
    asset = apprise.AppriseAsset(
        app_id="fleetsyncd", app_desc="fleetsyncd", async_mode=False, service_timeout=0
    )
    made = apprise.Apprise(asset=asset)
    faults = []
    configured: list[str | None] = []
    with library_log.heard() as heard:
        for number, url in enumerate(urls, 1):
            if not made.add(url):
                faults.append(f"NOTIFY_URLS: number {number} is no URL that apprise knows")
            # One entry may hold several URLs.
            added = len(made) - len(configured)
            configured += [url if added == 1 else None] * added
        if config is not None:
            faults += _add_config(made, config, asset)
        services = [] if faults else list(made)
        configured += [None] * (len(services) - len(configured))
        # What it cannot use of a file it leaves out, and says so in its log only.
        if heard.said and services and not faults:
            faults.append(
                "NOTIFY_CONFIG: a part of it is nothing that apprise knows, or lacks something"
                + said_of_file(heard.said, config)
            )
        if not faults and not services:
            faults.append(f"NOTIFY_CONFIG: it names no target{said_of_file(heard.said, config)}")
        if faults:
            lines = "\n".join(f"  {fault}" for fault in faults)
            raise SettingsError(f"the configuration cannot be used:\n{lines}")
        return _merged(map(_target, services, configured))


def _merged(found: Iterable[Target]) -> list[Target]:
    """Return targets of which each is there once, with all of its tags; none means all notices."""
    merged: dict[str, Target] = {}
    for each in found:
        known = merged.get(each.identity)
        if known is None:
            merged[each.identity] = each
        else:
            tags = known.tags | each.tags if known.tags and each.tags else frozenset[str]()
            merged[each.identity] = replace(known, tags=tags)
    return list(merged.values())


def _add_config(made: Any, config: str, asset: Any) -> Iterator[str]:
    """Add the targets of a file; yield what is wrong with it."""
    import apprise  # noqa: PLC0415  see above

    path = Path(config)
    try:
        mode = path.stat().st_mode
        path.read_bytes()
    except OSError as error:
        yield f"NOTIFY_CONFIG: {sanitise(config)} cannot be read: {error.strerror}{_hint(error)}"
        return
    if mode & stat.S_IROTH:
        yield f"NOTIFY_CONFIG: everybody can read {sanitise(config)}, which has secrets: chmod 640"
        return
    files = apprise.AppriseConfig(asset=asset, insecure_includes=False)
    if not files.add(f"file://{path.resolve()}"):
        yield f"NOTIFY_CONFIG: {sanitise(config)} is no configuration of apprise"
        return
    made.add(files)


def _hint(error: OSError) -> str:
    """Return what to do, where it is not plain."""
    if not isinstance(error, PermissionError):
        return ""
    return "; the unit's LoadCredential=, or the file's owner, lets the daemon's user read it"


def _target(service: Any, configured: str | None) -> Target:
    import apprise  # noqa: PLC0415  see above

    key = identity(service)
    name = target_name(service, configured or key)
    # Who answers elsewhere may be anybody; tries again and their pauses are the daemon's.
    # Title and body are cut together where a service joins them.
    service.overflow_mode = apprise.OverflowMode.TRUNCATE
    service.redirects = False
    service.retry = 0
    # A failure of one that may fail would pass for a success.
    service.optional = False
    bound(service)
    sender = apprise.Apprise(asset=service.asset)
    sender.add(service)
    tags = frozenset(fold_tag(str(tag)) for tag in service.tags)
    if apprise.common.MATCH_ALWAYS_TAG in tags:
        tags = frozenset()
    return Target(name, tags, sender, key)
