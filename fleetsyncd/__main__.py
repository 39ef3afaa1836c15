"""The entry point: patch for gevent first, then import and run the commands."""

from fleetsyncd import green

green.patch()

from fleetsyncd.cli import main  # noqa: E402  nothing may be imported before the patch

if __name__ == "__main__":
    main()
