from tests.acceptance.conftest import Installation


def test_distributing_without_citus_is_one_line_and_ends_with_two(
    installation: Installation,
) -> None:
    code, output, errors = installation.command("migrate", "--distribute")
    assert (code, output, errors.count("\n")) == (2, "", 1)
    assert "lacks the citus extension" in errors
    assert "CREATE EXTENSION citus" in errors
