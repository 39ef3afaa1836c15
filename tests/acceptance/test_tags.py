"""Tags on the command line: set, removed, listed, filtered by."""

import json

from tests.acceptance.conftest import Installation

FLEET = "name,address,tags\nTruck-01,10.8.0.1,mine-3 rented\nTruck-02,10.8.0.2,\n"


def test_tags_are_set_listed_and_removed(installation: Installation) -> None:
    def tagged() -> dict[str, list[str]]:
        listed = json.loads(installation.command("vehicle", "list", "--json")[1])
        return {each["name"]: each["tags"] for each in listed}

    add = ("vehicle", "add", "Truck-03", "10.8.0.3", "--tag", "Mine-4", "--tag", "crane")
    assert installation.command(*add)[0] == 0
    assert installation.command("vehicle", "add", "--from-file", "-", stdin=FLEET)[0] == 0
    assert tagged() == {
        "Truck-01": ["mine-3", "rented"],
        "Truck-02": [],
        "Truck-03": ["crane", "mine-4"],
    }
    swap = ("--untag", "rented", "--tag", "crane")
    assert installation.command("vehicle", "set", "Truck-01", *swap)[0] == 0
    assert tagged()["Truck-01"] == ["crane", "mine-3"]
    answer = installation.command("vehicle", "set", "Truck-01", "--untag", "nothere")
    assert answer[:2] == (0, "Truck-01 has no tag nothere\n")
    header, first, second, _ = installation.command("vehicle", "list")[1].splitlines()
    column = slice(header.index("TAGS"), header.index("ID"))
    assert (first[column].strip(), second[column].strip()) == ("crane mine-3", "-")


def test_a_list_and_the_status_of_a_tag_have_its_vehicles_only(installation: Installation) -> None:
    assert installation.command("vehicle", "add", "--from-file", "-", stdin=FLEET)[0] == 0
    for command in (("vehicle", "list"), ("status",)):
        listed = json.loads(installation.command(*command, "--json", "--tag", "MINE-3")[1])
        assert [each["name"] for each in listed] == ["Truck-01"], command
        assert json.loads(installation.command(*command, "--json", "--tag", "nowhere")[1]) == []


def test_what_is_no_tag_is_refused_with_what_is_one(installation: Installation) -> None:
    for words in (
        ("vehicle", "set", "Truck-01", "--tag", "a b"),
        ("vehicle", "add", "Truck-09", "10.8.0.9", "--tag", "st:ok"),
        ("vehicle", "list", "--tag", "-x"),
    ):
        code, _, errors = installation.command(*words)
        assert code == 2
        assert "a tag has 1 to 32 letters" in errors
    both = ("vehicle", "set", "Truck-01", "--tag", "x", "--untag", "X")
    assert "--tag and --untag exclude each other: x" in installation.command(*both)[2]
    removed = ("vehicle", "list", "--removed", "--tag", "x")
    assert "--removed and --tag exclude each other" in installation.command(*removed)[2]
    assert installation.rows("SELECT count(*) FROM vehicles") == [(0,)]
