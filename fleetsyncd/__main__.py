"""The entry point: patch for gevent first, then import and run the commands.

`health` is not patched: it waits for one thing only, and gevent costs more than all that it does.
"""

import sys

if sys.argv[1:2] != ["health"]:
    from fleetsyncd import green

    green.patch()

from fleetsyncd.cli import main  # only now: nothing may be imported before the patch

if __name__ == "__main__":
    main()
