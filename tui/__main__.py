"""`python -m tui` and `fleetsync-tui`: the dashboard, configured like the daemon."""

import sys

from fleetsyncd import settings
from fleetsyncd.errors import FleetsyncError
from tui.app import build


def main() -> None:
    """Run the dashboard until it is quit; exit 2 if the configuration cannot be used."""
    try:
        app = build(settings.load())
    except FleetsyncError as fault:
        sys.exit(_complain(fault))
    app.run()


def _complain(fault: FleetsyncError) -> int:
    print(f"fleetsync-tui: {fault}", file=sys.stderr)  # noqa: T201  there is no terminal to draw on
    return 2


if __name__ == "__main__":
    main()
