import ast
from pathlib import Path

import pytest

from tests.mutants.__main__ import ROOT, copy_program, first_failure, plant
from tests.mutants.planted import MUTANTS, Mutant

TESTS = "tests/unit/test_text.py"
NONE = Mutant("harmless", "fleetsyncd/text.py", "made harmless where", "harmless where", TESTS)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_mutant_still_has_its_one_place_in_the_program(mutant: Mutant) -> None:
    text = (ROOT / mutant.file).read_text()
    assert text.count(mutant.old) == 1
    assert mutant.old != mutant.new
    assert all((ROOT / path).exists() for path in mutant.tests.split())
    if mutant.file.endswith(".py"):
        ast.parse(text.replace(mutant.old, mutant.new))


def test_a_mutant_is_distinguished_from_a_change_that_does_no_harm(tmp_path: Path) -> None:
    copy_program(tmp_path)
    plant(NONE, tmp_path)
    assert first_failure(tmp_path, TESTS) is None
    plant(next(mutant for mutant in MUTANTS if mutant.tests == TESTS), tmp_path)
    assert str(first_failure(tmp_path, TESTS)).startswith(TESTS)


def test_a_mutant_whose_place_has_moved_is_an_error(tmp_path: Path) -> None:
    copy_program(tmp_path)
    plant(NONE, tmp_path)
    with pytest.raises(ValueError, match="harmless: 0 places"):
        plant(NONE, tmp_path)
