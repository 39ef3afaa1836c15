import pytest

from fleetsyncd.commands.vehicle_csv import NewVehicle, parse_vehicles
from fleetsyncd.errors import CommandError

HEADER = "name,address,port,api_key\n"


def faults(text: str) -> list[str]:
    with pytest.raises(CommandError) as caught:
        parse_vehicles(text)
    first, *lines = str(caught.value).splitlines()
    assert first == "no vehicle was registered:"
    return [line.strip() for line in lines]


def test_every_line_is_a_vehicle() -> None:
    assert parse_vehicles(HEADER + "Truck-01,10.8.0.17,8002,key-1\n\nTruck-02,fd00::1,,\n") == [
        NewVehicle(2, "Truck-01", "10.8.0.17", 8002, "key-1"),
        NewVehicle(4, "Truck-02", "fd00::1", 8001, None),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "name,address\nTruck-01,10.8.0.17\n",
        "address;name\r\n10.8.0.17;Truck-01\r\n",
        "\ufeffname, address\nTruck-01, 10.8.0.17",
        'name,address\n"Truck-01","10.8.0.17"\n',
    ],
    ids=["plain", "semicolons", "byte order mark and blanks", "quotes"],
)
def test_spreadsheets_ways_of_writing_are_understood(text: str) -> None:
    assert parse_vehicles(text) == [NewVehicle(2, "Truck-01", "10.8.0.17", 8001, None)]


def test_all_faults_are_reported_by_line_and_no_key_is_repeated() -> None:
    text = HEADER + (
        ",10.8.0.1,8001,k\n"
        "Truck-02,truck.example,8001,k\n"
        "Truck-03,10.8.0.3,99999,k\n"
        "Truck-04,10.8.0.4,8001,ключ\n"
        "Truck-05,10.8.0.5\n"
        "Truck-06,10.8.0.6,8001,k,more\n"
        "Truck-07,10.8.0.7,,\n"
        "Truck-07,10.8.0.8,,\n"
        "Truck-09,10.8.0.7,8001,\n"
    )
    messages = faults(text)
    assert [line.split(":")[0] for line in messages] == [
        f"line {n}" for n in (2, 3, 4, 5, 6, 7, 9, 10)
    ]
    assert messages[1] == "line 3: truck.example is not an IPv4 or IPv6 address"
    assert messages[6] == "line 9: Truck-07 is in line 8 already"
    assert messages[7] == "line 10: 10.8.0.7 port 8001 is in line 8 already"
    assert "ключ" not in "".join(messages)


@pytest.mark.parametrize(
    "text",
    ["", "\n", "Truck-01,10.8.0.17\n", "name\nTruck-01\n", "name,address,colour\n", "name,name\n"],
)
def test_a_file_that_does_not_name_its_columns_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match="first line must name its columns"):
        parse_vehicles(text)


def test_a_file_without_vehicles_is_refused() -> None:
    assert faults(HEADER) == ["line 1: no vehicle follows"]


def test_broken_quotes_are_reported_by_line() -> None:
    assert faults(HEADER + 'Truck-01,10.8.0.1,,\n"Truck"-02,10.8.0.2,,\n')[0].startswith("line 3: ")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=ascii)
def test_a_line_break_within_quotes_is_told_and_not_swallowed(end: str) -> None:
    text = f'name,address{end}"Truck{end}01",10.8.0.1{end}Truck-02,10.8.0.2{end}'
    (fault,) = faults(text)
    assert fault == "line 3: a name has 1 to 200 printable characters, on one line"


@pytest.mark.parametrize("separator", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028"], ids=ascii)
def test_only_line_ends_end_a_line(separator: str) -> None:
    (fault,) = faults(f"name,address\nTruck{separator}01,10.8.0.1\n")
    assert fault == "line 2: a name has 1 to 200 printable characters, on one line"


def test_lines_end_as_on_any_system() -> None:
    for end in ("\n", "\r\n", "\r"):
        first, second = parse_vehicles(f"name,address{end}A,10.8.0.1{end}B,10.8.0.2{end}")
        assert (first.line, first.name, second.line, second.name) == (2, "A", 3, "B")


def test_a_cell_that_is_too_long_for_csv_is_told_by_line() -> None:
    (fault,) = faults(HEADER + "x" * 200_000 + ",10.8.0.1,,\n")
    assert fault == "line 2: this is not CSV, or a cell is huge: check its quotes"


def test_a_file_may_name_tags() -> None:
    text = "name;address;tags\nTruck-01;10.8.0.1;mine-3 Crane\nTruck-02;10.8.0.2;\n"
    first, second = parse_vehicles(text)
    assert (first.tags, second.tags) == (("crane", "mine-3"), ())
    wrong = "name,address,tags\nTruck-01,10.8.0.1,-x\n"
    assert faults(wrong)[0].startswith("line 2: -x is no tag: a tag has 1 to 32")
