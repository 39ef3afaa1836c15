"""Random keys into a real terminal end nothing, and leave no trace of a fault."""

from pathlib import Path
from random import Random

import pytest

from fleetsyncd.demo.embedded import Server
from tests.bench.installation import Installation
from tests.chaos.keys import Storm, run
from tests.chaos.typist import Typist

KEYS = 250


@pytest.mark.long
@pytest.mark.parametrize("seed", [3, 11])
def test_random_keys_over_a_changing_database_end_nothing(
    server: Server, tmp_path: Path, seed: int
) -> None:
    storm = Storm(seed=seed, keys=KEYS, minutes=3, pause=0.0, vehicles=40, steady=False)
    outcome = run(storm, Installation(server), tmp_path)
    assert outcome.faults == []
    assert outcome.typed == KEYS


def test_a_seed_repeats_its_keys_and_leaves_out_what_it_is_told_to() -> None:
    def typed(seed: int, **options: bool) -> list[str]:
        typist = Typist(Random(seed), **options)
        return [typist.next() for _ in range(500)]

    assert typed(5) == typed(5) != typed(6)
    assert {"\x10", "q", "\x11"} <= set(typed(5) + typed(6) + typed(7))
    assert not {"\x10", "q", "\x11"} & set(typed(5, quits=False, palette=False))
