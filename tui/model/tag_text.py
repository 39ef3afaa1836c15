"""Which vehicles the dashboard shows, in the words of an empty list."""

from collections.abc import Collection


def with_tags(tags: Collection[str]) -> str:
    """Return what follows `vehicle` where only those with one of the tags are shown."""
    if not tags:
        return ""
    return " with this tag" if len(tags) == 1 else " with one of these tags"
