"""Doctor's check of the daemons: whether they live, what they are called, what they store."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from fleetsyncd import __version__
from fleetsyncd.database.replicas import Heartbeat, name_of
from fleetsyncd.findings import Finding, fault, ok, warning


def check_daemons(heartbeats: Sequence[Heartbeat]) -> Iterator[Finding]:
    """Say which daemons are alive, of which version, and whether they can store what they pull."""
    fresh = [heartbeat for heartbeat in heartbeats if heartbeat.alive]
    if not heartbeats:
        yield ok("daemon", "none is running")
    elif not fresh:
        last = heartbeats[0]
        text = f"the last one, {_called(last)}, has {_silence(last)}"
        yield warning("daemon", text, f"read its log on {last.host}, start it again")
    for heartbeat in fresh:
        if heartbeat.unstored.vehicles:
            text = f"the daemon {_called(heartbeat)}: {heartbeat.unstored}"
            yield fault("daemon", text, f"read its log on {heartbeat.host}")
        if heartbeat.version == __version__:
            who = "" if heartbeat.given_name is None else f"{heartbeat.name} is "
            yield ok("daemon", f"{who}alive on {heartbeat.host}")
        else:
            version = f"has version {heartbeat.version}, this is {__version__}"
            text = f"the daemon {_called(heartbeat)} {version}"
            yield warning("daemon", text, f"restart it on {heartbeat.host}")
    yield from _namesakes(fresh)


def _namesakes(fresh: Sequence[Heartbeat]) -> Iterator[Finding]:
    """Say which names several daemons have at once: whoever asks for one may get another."""
    by_name: dict[str, list[Heartbeat]] = defaultdict(list)
    for heartbeat in fresh:
        if heartbeat.given_name is not None:
            by_name[heartbeat.given_name].append(heartbeat)
    for name, found in by_name.items():
        # One that was killed stays fresh for a while beside the one that is started in its place.
        newest_start = min(each.running_sec for each in found)
        together = [each for each in found if each.age < newest_start]
        if len(together) > 1:
            where = ", ".join(name_of(None, each.host, each.pid) for each in together)
            text = f"{len(together)} living ones are called {name}: {where}"
            yield warning("daemon", text, "give each a DAEMON_NAME of its own, or none")


def _silence(last: Heartbeat) -> str:
    if last.is_ahead:
        return f"a heartbeat {last.ahead_text}"
    return f"been silent for {last.age:.0f} s"


def _called(heartbeat: Heartbeat) -> str:
    """Return the daemon's name, and where its log is if the name does not tell."""
    on_host = "" if heartbeat.given_name is None else f" on {heartbeat.host}"
    return f"{heartbeat.name}{on_host}"
