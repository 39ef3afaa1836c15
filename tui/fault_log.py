"""Files that tell what went wrong inside the dashboard, for whoever mends it.

One file a fault, in a private folder; the oldest are deleted. A file holds no values of variables,
and of each error only its first line: the lines after it, such as PostgreSQL's DETAIL, quote rows.
Passwords and keys that are known are taken out of that line.
"""

import os
import re
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fleetsyncd import __version__
from fleetsyncd.text import sanitise
from fleetsyncd.times import utc_now

MOST_FILES = 20
MOST_LINES = 400
MOST_FAULTS = 100
"""Different faults that are remembered, so that each is told once."""
REPEAT_SEC = 600.0
"""A fault that happens again is told again after so long."""
HIDDEN = "***"
_LINE_LIMIT = 300
_OWN_FOLDERS = tuple(
    f"{Path(module.__file__ or '').parent}{os.sep}"
    for module in (sys.modules["fleetsyncd"], sys.modules["tui"])
)
_SHORTEST_SECRET = 4
"""A shorter one would be found in every other word."""
_PASSWORDS = (
    re.compile(r"(?i)((?:password|passwd|api[_-]?key|key|secret|token)['\"]?\s*[=:]\s*)\S+"),
    re.compile(r"(://[^:/@\s]*:)\S+(?=@)"),
)
Place = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """What went wrong, in one line, and where its trace is; None if it could not be written."""

    text: str
    path: Path | None


class FaultLog:
    """Writes each fault into a file; what repeats is not written again.

    `secrets` returns the texts that must not be written; `now` is monotonic.
    """

    def __init__(
        self,
        secrets: Callable[[], Iterable[str]],
        now: Callable[[], float],
        folder: Path | None = None,
    ) -> None:
        self.count = 0
        """How many faults there were, repeated ones included."""
        self.told: list[Fault] = []
        """Each fault as it was told first."""
        self._secrets = secrets
        self._now = now
        self._folder = folder
        self._told: dict[Place, tuple[float, Path | None]] = {}
        """When each fault was told last, and where its trace is."""

    def note(self, error: BaseException) -> Fault | None:
        """Write a fault down; return it, or None if it was told a short while ago."""
        self.count += 1
        place, now = _place(error), self._now()
        told_at, path = self._told.get(place, (None, None))
        if told_at is not None and now - told_at < REPEAT_SEC:
            return None
        is_new = told_at is None
        if is_new and len(self._told) >= MOST_FAULTS:
            return None
        if path is None or not path.exists():
            path = self._write(error)
        self._told[place] = now, path
        fault = Fault(self._line(error), path)
        if is_new:
            self.told.append(fault)
        return fault

    def _line(self, error: BaseException) -> str:
        name, message = type(error).__name__, self._message(error)
        return f"{name}: {message}" if message else name

    def _message(self, error: BaseException) -> str:
        """Return the first line of an error's text, without secrets."""
        try:
            first = str(error).split("\n", 1)[0]
        except Exception:
            return "its text cannot be read"
        for secret in self._secrets():
            if len(secret) >= _SHORTEST_SECRET:
                first = first.replace(secret, HIDDEN)
        for pattern in _PASSWORDS:
            first = pattern.sub(rf"\1{HIDDEN}", first)
        return sanitise(first, _LINE_LIMIT)

    def _write(self, error: BaseException) -> Path | None:
        lines = [
            f"{utc_now().isoformat()} fleetsync-tui {__version__}, Python {sys.version.split()[0]}",
            *self._trace(error),
        ]
        for folder in (self._folder, state_folder(), _temporary_folder()):
            with suppress(OSError):
                if folder is not None:
                    return _write_file(folder, "\n".join(lines[:MOST_LINES]) + "\n")
        return None

    def _trace(self, error: BaseException) -> Iterator[str]:
        """Yield the lines of an error's trace, after those of the errors that led to it."""
        seen: list[BaseException] = []
        cause: BaseException | None = error
        while cause is not None and cause not in seen:
            seen.append(cause)
            cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
        for each in reversed(seen):
            for frame in traceback.extract_tb(each.__traceback__):
                yield sanitise(f"  {frame.filename}:{frame.lineno} in {frame.name}: {frame.line}")
            yield self._line(each)


def _place(error: BaseException) -> Place:
    """Return what two errors share that are one fault: their type and the lines that raised them.

    Those are the line that raised it, and the line of this program that led there: a library raises
    the same error at the same line for every page.
    """
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename.startswith(_OWN_FOLDERS)]
    return (type(error), *((frame.filename, frame.lineno) for frame in (*own[-1:], *frames[-1:])))


def state_folder() -> Path | None:
    """Return the folder below XDG_STATE_HOME; None if there is no home."""
    base = os.environ.get("XDG_STATE_HOME", "")
    if base.startswith("/"):  # the standard says to ignore any other
        return Path(base) / "fleetsync-tui"
    with suppress(RuntimeError):
        return Path.home() / ".local" / "state" / "fleetsync-tui"
    return None


def _temporary_folder() -> Path:
    return Path(tempfile.gettempdir()) / f"fleetsync-tui-{os.getuid()}"


def _write_file(folder: Path, text: str) -> Path:
    """Write a new private file; raise OSError if others can write to the folder."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if folder.is_symlink() or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise PermissionError(f"{folder} can be written by others")
    written = sorted(folder.glob("fault-*.txt"))
    for old in written[: max(0, len(written) - MOST_FILES + 1)]:
        old.unlink(missing_ok=True)
    stamp = f"{utc_now():%Y%m%dT%H%M%S.%f}"
    path = folder / f"fault-{stamp}-{os.getpid()}.txt"
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(number, "w", encoding="utf-8", errors="replace") as file:
        file.write(text)
    return path
