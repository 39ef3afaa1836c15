"""What a vehicle may be registered with: one rule for commands, files and the dashboard."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsyncd import validation
from fleetsyncd.commands.vehicle_csv import parse_vehicles
from fleetsyncd.errors import CommandError

BAD_NAMES = [
    "",
    "   ",
    "\u00a0",
    "\u200b",
    "Truck\u200b-01",
    "\u2060\u2060",
    "\ufeffTruck",
    "Tr\u202euck",
    "\u2066x\u2069",
    "\u3164",
    "Truck\u3164",
    "\u2800",
    "\u115f\u1160",
    "Truck\ufe0f",
    "\U000e0100",
    "\u034f",
    "\ufffc",
    "Truck\ufffc",
    "\U0001d159",
    "Truck\U0001d159",
    "Truck\U00016fe4",
    "\u0301",
    "\u0301Truck",
    "\u0378",
    "\U000f0000",
    "\ud800",
    "a\tb",
    "a\nb",
    "a\r\nb",
    "a\x1b[2Jb",
    "a\x85b",
    "a\u2028b",
    "x" * 201,
]
BAD_HOSTS = [
    ("0.0.0.0", "0.0.0.0 is no address of a host"),  # noqa: S104  what is refused
    ("0.1.2.3", "is no address of a host"),
    ("::", ":: is no address of a host"),
    ("::ffff:0.0.0.0", "is no address of a host"),
    ("224.0.0.1", "224.0.0.1 is a multicast address"),
    ("239.255.255.250", "is a multicast address"),
    ("::ffff:224.0.0.1", "is a multicast address"),
    ("ff02::1", "ff02::1 is a multicast address"),
    ("255.255.255.255", "is the broadcast address"),
    ("fe80::1", "valid on one interface only"),
    ("fe80::1%eth0", "valid on one interface only"),
    ("fd00::1%wg0", "valid on one interface only"),
    ("10.8.0.0/24", "is not an IPv4 or IPv6 address"),
    ("010.8.0.1", "is not an IPv4 or IPv6 address"),
    ("\udcff", "is not an IPv4 or IPv6 address"),
    ("1" * 100_000, "is not an IPv4 or IPv6 address"),
]
BAD_PORTS = ["", "0", "65536", "-1", "1.5", "٣", "9" * 5000, "0" * 5000, "1_000", "8001\n1"]
BAD_KEYS = ["", " k", "k ", "k\n", "k\x7f", "ключ", "k" * 4097, "k" * 100_000]


def csv_of(column: str) -> Callable[[str], object]:
    """Return a function that registers from a file in which only `column` is odd."""

    def parse(text: str) -> object:
        cells = {"name": "Truck-01", "address": "10.8.0.1", "port": "8001", "api_key": "k"}
        row = ",".join(
            '"' + cell.replace('"', '""') + '"' for cell in {**cells, column: text}.values()
        )
        (vehicle,) = parse_vehicles(f"name,address,port,api_key\n{row}\n")
        columns = {"name": vehicle.name, "address": vehicle.host, "port": vehicle.port}
        return columns.get(column, vehicle.key)

    return parse


@pytest.mark.parametrize("parse", [validation.parse_name, csv_of("name")], ids=["option", "CSV"])
class TestName:
    @pytest.mark.parametrize("name", BAD_NAMES, ids=ascii)
    def test_a_name_that_cannot_be_seen_or_typed_is_refused(
        self, parse: Callable[[str], object], name: str
    ) -> None:
        with pytest.raises(CommandError, match="a name ") as refusal:
            parse(name)
        assert str(refusal.value).replace("\n", "").isprintable()

    @pytest.mark.parametrize(
        "name",
        ["Truck-01", "Гусеничный кран", "履带-5", "Cra\u0301ne", "🚜 5", "x" * 200, "ไทย", "ف"],
    )
    def test_a_name_of_any_script_is_taken(self, parse: Callable[[str], object], name: str) -> None:
        assert parse(f" {name} ") == name


@pytest.mark.parametrize("parse", [validation.parse_host, csv_of("address")], ids=["option", "CSV"])
class TestHost:
    @pytest.mark.parametrize(("host", "reason"), BAD_HOSTS, ids=lambda value: ascii(value)[:40])
    def test_an_address_that_no_vehicle_can_have_is_refused(
        self, parse: Callable[[str], object], host: str, reason: str
    ) -> None:
        with pytest.raises(CommandError, match=reason) as refusal:
            parse(host)
        assert len(str(refusal.value)) < 200

    @pytest.mark.parametrize(
        ("host", "stored"),
        [
            ("10.8.0.17", "10.8.0.17"),
            ("127.0.0.1", "127.0.0.1"),
            ("::1", "::1"),
            ("169.254.1.1", "169.254.1.1"),
            ("240.0.0.1", "240.0.0.1"),
            ("FD00:0::17", "fd00::17"),
            ("::ffff:10.8.0.17", "10.8.0.17"),
        ],
    )
    def test_an_address_is_stored_as_postgresql_writes_it(
        self, parse: Callable[[str], object], host: str, stored: str
    ) -> None:
        assert parse(host) == stored


@pytest.mark.parametrize("port", BAD_PORTS, ids=lambda port: ascii(port)[:12])
def test_a_port_of_any_length_is_refused_in_one_line(port: str) -> None:
    with pytest.raises(CommandError, match=r"a port is a number from 1 to 65535$"):
        validation.parse_port(port)
    if port:
        with pytest.raises(CommandError, match=r"line [23]: a port is a number from 1 to 65535"):
            csv_of("port")(port)


@pytest.mark.parametrize(("text", "port"), [("8001", 8001), (" 1 ", 1), ("008001", 8001)])
def test_a_port_is_a_decimal_number(text: str, port: int) -> None:
    assert validation.parse_port(text) == csv_of("port")(text) == port


@pytest.mark.parametrize("key", BAD_KEYS, ids=lambda key: ascii(key)[:12])
def test_a_key_that_no_header_carries_is_refused_and_not_repeated(key: str) -> None:
    rule = "one line of printable ASCII without blanks at its ends, at most 4096 characters"
    with pytest.raises(CommandError, match=rule) as refusal:
        validation.parse_api_key(key)
    assert key == "" or key not in str(refusal.value).replace(" k", "")
    if key.strip():
        with pytest.raises(CommandError, match=rule):
            csv_of("api_key")(key)


def test_the_longest_key_is_taken() -> None:
    assert validation.parse_api_key("k" * 4096) == csv_of("api_key")("k" * 4096) == "k" * 4096


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("mine-3", "mine-3"),
        (" Mine-3 ", "mine-3"),
        ("Карьер", "карьер"),
        ("a", "a"),
        ("v1.2_x/y", "v1.2_x/y"),
    ],
)
def test_a_tag_is_written_in_small_letters(text: str, tag: str) -> None:
    assert validation.parse_tag(text) == tag


def test_two_ways_to_write_one_letter_make_one_tag() -> None:
    assert validation.parse_tag("cafe\u0301") == validation.parse_tag("caf\u00e9")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "a b",
        "a,b",
        "a:b",
        "-a",
        ".a",
        'a"b',
        "a>b",
        "x" * 33,
        "a\x1bb",
        "a\u200bb",
        "a\u2800",
    ],
)
def test_a_tag_that_a_filter_could_not_name_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match="a tag has 1 to 32 letters"):
        validation.parse_tag(text)


@given(st.text(max_size=40))
def test_what_is_taken_for_a_tag_is_the_same_when_it_is_taken_again(text: str) -> None:
    try:
        tag = validation.parse_tag(text)
    except CommandError:
        return
    assert validation.parse_tag(tag) == tag
    assert validation.parse_tags(f"{tag}  {tag}") == (tag,)
    assert tag.isprintable()


def test_a_list_of_tags_is_separated_by_blanks() -> None:
    assert validation.parse_tags(" rented  Mine-3 rented ") == ("mine-3", "rented")
    assert validation.parse_tags("") == ()
