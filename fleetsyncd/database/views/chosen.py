"""Which vehicles a view is about: by a part of their name, and by their tags."""

from collections.abc import Collection
from dataclasses import dataclass

CHOSEN = """strpos(lower(coalesce(v.name, '')), lower(%(name)s)) > 0
    AND (cardinality(%(tags)s::text[]) = 0 OR EXISTS (
        SELECT FROM fleetsync.vehicle_state t WHERE t.vehicle_id = v.id AND t.tags && %(tags)s))"""
"""A condition on the vehicle `v`."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Vehicles whose name contains a text, whatever the case, and that have one of the tags."""

    name_part: str = ""
    tags: Collection[str] = ()
    """Without any, the tags do not matter."""

    @property
    def values(self) -> dict[str, object]:
        """The values of CHOSEN."""
        return {"name": self.name_part, "tags": list(self.tags)}


ALL = Chosen()
