from uuid import UUID

import pytest
from msgspec import structs
from rich.cells import cell_len

from fleetsyncd.cells import cut, padded
from fleetsyncd.commands.tables import fleet_table, table
from fleetsyncd.states import State, VehicleOverview

NAMES = [
    "Truck-01",
    "履带式起重机-05",
    "ショベル",
    "Cra\u0301ne",
    "Гусеничный кран",
    "🚜 5",
    "x" * 200,
    "車" * 120,
]


def vehicle(name: str, version: str | None = "2.4.0", error: str | None = None) -> VehicleOverview:
    return VehicleOverview(
        id=UUID(int=1),
        name=name,
        address="10.8.0.1:8001",
        host="10.8.0.1",
        port=8001,
        state=State.ONLINE,
        software_version=version,
        seen_age=1,
        lag=2,
        data_age=3,
        rows=4,
        failures=0,
        catching_up=None,
        backfill=None,
        last_error=error,
    )


def column_starts(text: str, word: str) -> set[int]:
    """Return the terminal cells at which `word` begins in the lines that have it."""
    return {cell_len(line[: line.index(word)]) for line in text.splitlines() if word in line}


def test_columns_are_straight_whatever_the_width_of_the_characters() -> None:
    shown = table(["NAME", "STATE", ""], [[name, "online", "end"] for name in NAMES])
    assert len(column_starts(shown, "online")) == 1
    assert column_starts(shown, "end") == {max(column_starts(shown, "online")) + 8}
    assert column_starts(shown, "STATE") == column_starts(shown, "online")


@pytest.mark.parametrize("version", ["9" * 200, "版" * 200, "v" + "\u0301" * 300, "2.4.0"])
def test_one_vehicles_version_bends_nobodys_line(version: str) -> None:
    others = [vehicle(f"Truck-{number}") for number in range(3)]
    alone = fleet_table(others).splitlines()
    together = fleet_table([*others, vehicle("Bent", version, "why")]).splitlines()
    assert max(map(cell_len, together)) < max(map(cell_len, alone)) + 24
    assert column_starts("\n".join(together), "why") == column_starts(together[0], "LAST ERROR")


def test_a_long_name_is_cut_with_a_sign_and_the_last_column_is_whole() -> None:
    shown = fleet_table([vehicle("n" * 200, error="e" * 400)]).splitlines()[1]
    assert shown.startswith("n" * 47 + "…  online")
    assert shown.endswith("e" * 400)


@pytest.mark.parametrize(("seconds", "text"), [(7300.0, "2h"), (None, "-")])
def test_the_fleet_table_tells_since_when_a_state_lasts(seconds: float | None, text: str) -> None:
    known = structs.replace(vehicle("Truck-01"), state_age=seconds)
    header, line = fleet_table([known]).splitlines()
    assert line[header.index("SINCE") :].split()[0] == text
    assert len(header) <= 80


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("cells", [1, 2, 7, 48])
def test_text_takes_exactly_the_cells_that_it_is_given(name: str, cells: int) -> None:
    assert cell_len(cut(name, cells)) <= cells
    assert cell_len(padded(name, cells)) == cells
    assert cell_len(padded(name, cells, right=True)) == cells
    assert padded(name, cells, right=True).lstrip() == padded(name, cells).strip()
