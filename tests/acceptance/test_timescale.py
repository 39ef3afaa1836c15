"""`fleetsyncd migrate --timescale` as a command, where there is no TimescaleDB."""

import pytest

from fleetsyncd.demo.embedded import OWNER
from tests.acceptance.conftest import Installation
from tests.hidden import bring_back, hide
from tests.integration.test_conversion import Killed, before_each_statement

MISSING = "the server has no TimescaleDB: install its package on the server"


@pytest.fixture
def bare(installation: Installation) -> Installation:
    """Return an installation whose server has no TimescaleDB."""
    available = "SELECT name FROM pg_available_extensions WHERE name = 'timescaledb'"
    if installation.rows(available):
        pytest.skip("the server has TimescaleDB")
    return installation


def test_without_the_extension_nothing_is_changed_and_it_is_told(bare: Installation) -> None:
    code, told, _ = bare.command("migrate", "--timescale", "--check", DB_USER=OWNER)
    assert (code, told.splitlines()[0]) == (1, "the schema is up to date")
    assert f"in the way: {MISSING}" in told
    code, _, error = bare.command("migrate", "--timescale", DB_USER=OWNER)
    assert code == 2
    assert "measurements stay as they are, first this must be put right:" in error
    assert MISSING in error
    assert bare.rows("SELECT to_regclass('fleetsync.samples') IS NULL") == [(True,)]


def test_what_is_done_already_is_told(installation: Installation) -> None:
    hide(installation.server, installation.database_name)
    for more in (["--check"], []):
        code, told, _ = installation.command("migrate", "--timescale", *more, DB_USER=OWNER)
        assert code == 0, told
        assert "measurements are a view" in told
    code, told, _ = installation.command(
        "migrate", "--timescale", "--undo", "--check", DB_USER=OWNER
    )
    assert (code, told.splitlines()[1]) == (0, "nothing is in the way")
    code, told, _ = installation.command("migrate", "--timescale", "--undo", DB_USER=OWNER)
    assert (code, "the hidden one is fleetsync.samples_before" in told) == (0, True)
    code, told, _ = installation.command("migrate", "--timescale", "--undo", DB_USER=OWNER)
    assert (code, told.splitlines()[1]) == (0, "measurements are a table already")


def test_a_check_in_the_middle_tells_what_would_go_on_and_what_be_taken_back(
    installation: Installation,
) -> None:
    def stop(number: int) -> None:
        if number:
            raise Killed

    def checked(*options: str) -> str:
        arguments = ("migrate", "--timescale", *options, "--check")
        return installation.command(*arguments, DB_USER=OWNER)[1].splitlines()[1]

    named = installation.server, installation.database_name
    with before_each_statement(stop), pytest.raises(Killed):
        hide(*named)
    assert checked() == "to go on: rows are being copied"
    assert checked("--undo").startswith("to be taken back: a conversion that is not finished")
    hide(*named)
    with before_each_statement(stop), pytest.raises(Killed):
        bring_back(*named)
    assert checked("--undo") == "to go on: rows are being copied"
    assert checked().startswith("to be taken back: a way back that is not finished")


@pytest.fixture
def hypertable(installation: Installation) -> Installation:
    """Return an installation whose measurements are in a hypertable, one of them 20 days ago."""
    if not installation.rows("SELECT extname FROM pg_extension WHERE extname = 'timescaledb'"):
        pytest.skip("the server has no TimescaleDB")
    hide(installation.server, installation.database_name)
    return installation


def test_the_daemon_compresses_old_chunks_while_it_pulls(hypertable: Installation) -> None:
    hypertable.fleet(1)
    fill = (
        "INSERT INTO measurements SELECT v.id, 99, t, 1.5 FROM vehicles v, generate_series("
        "now() - interval '20 days', now() - interval '20 days' + interval '1 hour', '1 s') t"
    )
    hypertable.rows(fill)
    compressed = "SELECT bool_or(is_compressed) FROM fleetsync.hidden_parts()"
    daemon = hypertable.daemon(COMPRESS_AFTER_DAYS="7")
    daemon.wait_for(r"compressed _timescaledb_internal\._hyper\S+: \S+ .B became \S+ .B")
    assert hypertable.rows(compressed) == [(True,)]
    daemon.wait_for(r"Cycle done in")
    assert hypertable.rows("SELECT count(*) FROM measurements WHERE channel_id = 99") == [(3601,)]
    daemon.process.terminate()
    assert daemon.end() == 0
    hypertable.rows("DELETE FROM measurements WHERE channel_id = 99")
    assert hypertable.check().clean


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--undo"], "--undo and --chunk go with --timescale"),
        (["--chunk", "1d"], "--undo and --chunk go with --timescale"),
        (["--timescale", "--chunk", "1m"], "--chunk is 1h to 31d"),
        (["--timescale", "--chunk", "soon"], "soon is not a length of time"),
        (["--timescale", "--distribute"], "--distribute and --timescale exclude each other"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    installation: Installation, options: list[str], told: str
) -> None:
    code, _, error = installation.command("migrate", *options, DB_USER=OWNER)
    assert code != 0
    assert told in error
