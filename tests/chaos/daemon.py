"""The daemon as ever, but that it kills itself at a named point of its way through the database.

`CHAOS_POINT=before-commit:17 python -m tests.chaos.daemon run` ends with SIGKILL right before its
17th COMMIT is sent.
"""

from fleetsyncd import green

green.patch()

import os  # noqa: E402  after the process is green, as in fleetsyncd.__main__
import signal  # noqa: E402
from collections import Counter  # noqa: E402
from typing import Any  # noqa: E402

from fleetsyncd.cli import main  # noqa: E402
from fleetsyncd.database import pool  # noqa: E402
from tests.chaos.points import POINTS, VARIABLE  # noqa: E402


def kill_at(point: str, times: int) -> None:
    """Let the process end when it has come to the point so often."""
    part, after = POINTS[point]
    execute = pool.Cursor.execute
    met: Counter[bool] = Counter()

    def watched(cursor: pool.Cursor, query: Any, arguments: Any = None) -> None:
        here = part in str(query)
        met[here] += 1
        due = here and met[True] == times
        if due and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        execute(cursor, query, arguments)
        if due:
            os.kill(os.getpid(), signal.SIGKILL)

    # The one place that all statements come by.
    pool.Cursor.execute = watched  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    if text := os.environ.get(VARIABLE):
        name, _, count = text.partition(":")
        kill_at(name, int(count))
    main()
