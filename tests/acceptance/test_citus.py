import pytest

from fleetsyncd.demo.embedded import OWNER
from tests.acceptance.conftest import Installation


@pytest.mark.parametrize("check", [(), ("--check",)])
def test_distributing_without_citus_names_the_remedy(
    installation: Installation, check: tuple[str, ...]
) -> None:
    code, output, errors = installation.command("migrate", "--distribute", *check, DB_USER=OWNER)
    told = output if check else errors
    assert code == (1 if check else 2)
    assert "the server has no Citus: install its package on every machine" in told


@pytest.mark.parametrize(
    "options",
    [
        ("--distribute", "--timescale"),
        ("--distribute", "--undistribute"),
        ("--undistribute", "--timescale"),
        ("--online",),
        ("--shards", "8"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    installation: Installation, options: tuple[str, ...]
) -> None:
    code, _, errors = installation.command("migrate", *options)
    assert code == 2
    assert "exclude each other" in errors or "go with --distribute" in errors


def test_the_way_back_has_nothing_to_do_where_nothing_is_distributed(
    installation: Installation,
) -> None:
    code, output, _ = installation.command("migrate", "--undistribute", DB_USER=OWNER)
    assert code == 0
    assert "measurements are a table of the coordinator already" in output
