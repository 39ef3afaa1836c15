"""Which vehicles the dashboard shows, in words."""

from collections.abc import Collection


def with_tags(tags: Collection[str]) -> str:
    """Return what follows `vehicle` where only those with one of the tags are shown."""
    if not tags:
        return ""
    return " with this tag" if len(tags) == 1 else " with one of these tags"


def gone(tags: Collection[str]) -> str:
    """Return what has become of a vehicle that is not read any more, to follow its name."""
    if not tags:
        return "was removed"
    which = "not this tag" if len(tags) == 1 else "none of these tags"
    return f"was removed or has {which} any more"
