"""What a filter finds, and what is refused instead of finding nothing."""

from uuid import UUID

import pytest

from fleetsyncd.errors import CommandError
from fleetsyncd.states import State, VehicleOverview
from tui.model.filters import EXPLANATIONS, NO_FILTER, SYNTAX, parse_filter
from tui.model.typed_filter import TypedFilter

HOUR = 3600.0


def vehicle(
    name: str,
    state: State = State.ONLINE,
    *,
    address: str = "10.8.0.5:8001",
    version: str | None = "2.1.0",
    age: float | None = 10.0,
    state_age: float | None = 60.0,
    rows: int | None = 540,
    fails: int = 0,
    error: str | None = None,
    tags: tuple[str, ...] = (),
) -> VehicleOverview:
    host, _, port = address.rpartition(":")
    return VehicleOverview(
        id=UUID(int=hash(name) & (1 << 64) - 1),
        name=name,
        address=address,
        host=host,
        port=int(port),
        state=state,
        software_version=version,
        seen_age=age,
        lag=age,
        data_age=age,
        rows=rows,
        failures=fails,
        catching_up=None,
        backfill=None,
        last_error=error,
        state_age=state_age,
        tags=tags,
    )


FLEET = (
    vehicle("Truck 1", tags=("mine-3", "north")),
    vehicle("Truck 2", State.PAUSED, version="2.2.7", tags=("mine-30",)),
    vehicle("a>b", State.CATCHING_UP, address="[fe80::1]:8001", age=400.0, rows=9_000),
    vehicle("site: Crane", State.TIMEOUT, age=2 * HOUR, state_age=2 * HOUR, rows=0, fails=3,
            error="/status: no complete answer within 10 s"),
    vehicle("Lagoon", State.ERROR, age=300.0, state_age=HOUR, rows=0, fails=4,
            error="/data: HTTP 401: the vehicle refuses the API key", tags=("Pit 5",)),
    vehicle("New", State.NEVER, version=None, age=None, state_age=None, rows=None),
)  # fmt: skip
ALL = {each.name for each in FLEET}


def found(text: str) -> set[str]:
    tests = parse_filter(text).tests
    return {each.name for each in FLEET if all(test(each) for test in tests)}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ALL),
        ("TRUCK", {"Truck 1", "Truck 2"}),
        ("truck north", {"Truck 1"}),
        ('"truck 1"', {"Truck 1"}),
        ("lag", {"Lagoon"}),
        ("401", {"Lagoon"}),
        ("/data:", {"Lagoon"}),
        ("mine", {"Truck 1", "Truck 2"}),
        ('"a>b"', {"a>b"}),
        ('"site: crane"', {"site: Crane"}),
        ("10.8.0.5:8001", ALL - {"a>b"}),
        (":8001", ALL),
        ("fe80::1", {"a>b"}),
        ("FE80::1", {"a>b"}),
        ("[fe80::1]:8001", {"a>b"}),
        ("10.8.0.5:8001 truck", {"Truck 1", "Truck 2"}),
        ("st:timeout,error", {"site: Crane", "Lagoon"}),
        ("st:timeout , err", {"site: Crane", "Lagoon"}),
        ("st: timeout", {"site: Crane"}),
        ("st : timeout", {"site: Crane"}),
        ("st :timeout", {"site: Crane"}),
        ("status:ok,gap", {"Truck 1", "a>b"}),
        ("st:catching", {"a>b"}),
        ("ver:2.1", ALL - {"Truck 2", "New"}),
        ("ver:2.2,2.3", {"Truck 2"}),
        ("tag:mine-3", {"Truck 1"}),
        ("tag:mine-3,MINE-30", {"Truck 1", "Truck 2"}),
        ('tag:"pit 5"', {"Lagoon"}),
        ("-tag:mine-3", ALL - {"Truck 1"}),
        ("lag>5m", {"a>b", "site: Crane", "New"}),
        ("lag > 5 m", {"a>b", "site: Crane", "New"}),
        ("lag>=5m", {"a>b", "site: Crane", "New", "Lagoon"}),
        ("lag<300s", {"Truck 1", "Truck 2"}),
        ("lag<=300", {"Truck 1", "Truck 2", "Lagoon"}),
        ("seen>1h data>1h", {"site: Crane", "New"}),
        ("since>1h", {"site: Crane", "New"}),
        ("since>=1h -st:never", {"site: Crane", "Lagoon"}),
        ("fails=3", {"site: Crane"}),
        ("fails >= 3", {"site: Crane", "Lagoon"}),
        ("fails!=0", {"site: Crane", "Lagoon"}),
        ("rows<1", {"site: Crane", "Lagoon", "New"}),
        ("-st:paused", ALL - {"Truck 2"}),
        ("!st:paused", ALL - {"Truck 2"}),
        ("-truck", ALL - {"Truck 1", "Truck 2"}),
        ('-"truck 1"', ALL - {"Truck 1"}),
        ("-lag>5m", {"Truck 1", "Truck 2", "Lagoon"}),
        ("lag>5m 401", set()),
        ("lag<=5m 401", {"Lagoon"}),
        ('lag<1m "min"', {"Truck 1", "Truck 2"}),
        ("lag<1m mine", {"Truck 1", "Truck 2"}),
    ],
)
def test_a_filter_finds(text: str, names: set[str]) -> None:
    assert found(text) == names


@pytest.mark.parametrize(
    ("text", "wrong", "right"),
    [
        ("st:foo", "st:foo is no state", "online catching timeout error late never paused"),
        ("truck st:timeout,foo", "st:foo", "timeout"),
        ("st:", "st: lacks a value", "st:timeout"),
        ("st:timeout,", "st:timeout, lacks a value", "st:timeout"),
        ("st:timeout, lag>5m", "lag>5m", '"'),
        ("foo:bar", "foo:bar", 'for a text write "foo:bar"'),
        ("foo :timeout", ":timeout", "st:"),
        ("tag2:foo", "tag2:foo", 'for a text write "tag2:foo"'),
        ("my_tag:x", "my_tag:x", "only st: ver: tag: are known"),
        ("-1st:error", "1st:error", 'for a text write "1st:error"'),
        ("(st:error)", "(st:error)", "only st: ver: tag: are known"),
        ("a/b:c", "a/b:c", "only st: ver: tag: are known"),
        ("10.8.0.5:80x", "10.8.0.5:80x", 'for a text write "10.8.0.5:80x"'),
        ("--st:paused", "--st:paused", "one minus"),
        ("-!truck", "-!truck", "one minus"),
        ("--lag>5m", "--lag>5m", "one minus"),
        ("\u00e9t\u00e9:1x", "\u00e9t\u00e9:1x", '"'),
        (":", ":", '":"'),
        ("tag:a>b", "a>b", 'tag:"a>b"'),
        ("lag >", "lag > lacks an age", "lag>5m"),
        ("fails>", "fails> lacks a number", "fails>3"),
        ("lag>5x", "5x is not an age", "lag>5m"),
        ("lag>5m<9m", "5m<9m is not an age", "lag>5m"),
        ("lag>5 min", "lag>5 min", "lag>90m"),
        ("lag > 5 Minutes", "lag > 5 Minutes", "lag>90m"),
        ("seen>1h 30m truck", "seen>1h 30m", "seen>90m"),
        ("lag > 1h 30m", "lag > 1h 30m", "lag>90m"),
        ("since>1 h 30 m", "since>1 h 30", "since>90m"),
        ("-lag>1 hour", "lag>1 hour", "lag>90m"),
        ("lag>5mx", "5mx is not an age", "lag>5m"),
        ("lag>-5", "-5 is not an age", "lag>5m"),
        ("lag>nan", "nan is not an age", "lag>5m"),
        ("fails>5m", "5m is not a number", "fails>3"),
        ("lag=5m", "lag=5m", "lag>5m"),
        ("lag=>5m", "lag=>5m", ">="),
        ("fails==3", "fails==3", "="),
        ("lag 5m", "lag 5m lacks an operator", "lag>5m"),
        ("fails 3 truck", "fails 3 lacks an operator", "fails>3"),
        ("a>b", "a>b", 'for a text write "a>b"'),
        ("1:b>c", "1:b>c", 'for a text write "1:b>c"'),
        ("> 5m", "> 5m", "lag"),
        ('"truck 1', '"truck', '"Truck 1"'),
        ('tr"uck"', 'tr"uck"', '"Truck 1"'),
        ('tag:"mine', 'tag:"mine', '"Truck 1"'),
        ('""', '""', '"Truck 1"'),
        ("-", "- excludes nothing", "-st:paused"),
        ("- st:paused", "- excludes nothing", "-st:paused"),
        ("-st:foo", "st:foo", "timeout"),
        ("status=error", "status=error", "write st:error"),
        ("st!=ok", "st!=ok", "write -st:ok"),
        ("-st!=ok", "st!=ok", "write st:ok"),
        ("version == 2.1", "version == 2.1", "write ver:2.1"),
        ("tag!=mine-3", "tag!=mine-3", "write -tag:mine-3"),
        ("timeout", "timeout", "st:timeout"),
        ("truck -Paused", "paused", "-st:paused"),
        ("-catching up", "catching", "-st:catching"),
        ("gap", "gap", "st:gap"),
        ("st timeout", "st timeout lacks a colon", "st:timeout"),
        ("truck tag mine-3", "tag mine-3 lacks a colon", "tag:mine-3"),
        ("not st:ok", "not", "-st:paused"),
        ("st:err or st:time", "or", "st:timeout,error"),
        ("truck AND lag>5m", "and", "every word must match"),
    ],
)
def test_a_wrong_filter_is_refused_with_its_part_and_the_right_form(
    text: str, wrong: str, right: str
) -> None:
    with pytest.raises(CommandError) as refused:
        parse_filter(text)
    assert wrong in str(refused.value)
    assert right in str(refused.value)
    assert len(str(refused.value)) <= 77, "it must fit into a line of 80 cells"


@pytest.mark.parametrize("word", ["timeout", "catching", "ok", "gap", "or", "and", "not", "st"])
def test_what_is_refused_as_a_word_is_a_text_in_quotes_or_within_a_longer_word(word: str) -> None:
    for text in (f'"{word}"', f"{word}x", f'"{word} 401"', f"-{word}s", f'truck "{word}"'):
        assert parse_filter(text).text == text


def test_a_message_repeats_no_more_of_a_long_or_hostile_word_than_fits() -> None:
    with pytest.raises(CommandError) as refused:
        parse_filter("foo:" + "\x1b]52;c;x\x07" * 90)
    assert "\x1b" not in str(refused.value)
    assert len(str(refused.value)) < 140


def test_every_form_that_help_and_field_give_is_valid() -> None:
    parse_filter(SYNTAX)
    for form, _ in EXPLANATIONS:
        parse_filter(form)


@pytest.mark.parametrize(
    ("typed", "applies"),
    [
        ("foo:bar", ""),
        ("lag>5x", ""),
        ("st:foo", ""),
        ("-st:paused foo:bar", "-st:paused"),
        ("-st:paused lag >", "-st:paused"),
        ("truck lag>5x", "truck"),
        ("truck -", "truck"),
        ("truck foo:bar", "truck"),
        ("truck lag 5", "truck"),
        ("truck lag>5 min", "truck"),
        ("truck lag>1h 30m", "truck"),
        ("truck lag>1 h 30 m", "truck"),
        ("tag2:foo", ""),
        ("--st:paused", ""),
        ("timeout", ""),
        ("truck st timeout", "truck"),
        ("st:err or st:time", "st:err"),
        ("not st:ok", ""),
        ("truck", "truck"),
    ],
)
def test_the_beginning_of_a_wrong_word_is_not_applied(typed: str, applies: str) -> None:
    field = TypedFilter(parse_filter, NO_FILTER)
    for end in range(1, len(typed) + 1):
        field.type(typed[:end])
    assert (field.applies.text, bool(field.fault)) == (applies, typed != applies)


def test_a_filter_that_a_wrong_text_replaces_still_applies_and_a_deletion_makes_none() -> None:
    field = TypedFilter(parse_filter, NO_FILTER)
    field.type("st:time")
    field.type("lag>soon")
    assert field.applies.text == "st:time"
    field.set(parse_filter("truck"))
    field.type("truc")
    field.type("truc:")
    assert field.applies.text == ""
