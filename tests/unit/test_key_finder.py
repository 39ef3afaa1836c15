"""A key is found in whatever notation it is repeated, and no piece of it is told."""

import html
import json
import time
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsyncd.errors import BadAnswer, VehicleRefused
from fleetsyncd.vehicle import decode
from fleetsyncd.vehicle.redaction import HIDDEN, KeyRedactor
from tests.hostile import HostileServer, client_of, http

SECRET = 'K3y/se<cr&et"Q\\w% +7='
SHORT_PIECE = 4
"""So many characters of a key in a row are a piece of it."""


def each(pattern: str) -> Callable[[str], str]:
    return lambda key: "".join(pattern.format(ord(sign)) for sign in key)


def as_utf8(encoding: str) -> Callable[[str], str]:
    return lambda key: key.encode(encoding).decode("utf-8", "replace")


NOTATIONS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "json": lambda key: json.dumps(key)[1:-1],
    "json in json": lambda key: json.dumps(json.dumps(key))[3:-3],
    "json for html": each("\\u{:04x}"),
    "javascript": each("\\x{:02X}"),
    "code point": each("\\u{{{:x}}}"),
    "octal": each("\\{:03o}"),
    "html": html.escape,
    "html in html": lambda key: html.escape(html.escape(key)),
    "html slash": lambda key: html.escape(key).replace("/", "&#47;").replace("+", "&plus;"),
    "decimal": each("&#{:d};"),
    "decimal, no semicolon": lambda key: "&#" + "&#".join(f"{ord(sign):07d}" for sign in key),
    "hexadecimal": each("&#x{:x};"),
    "escaped decimal": lambda key: html.escape(each("&#{:d};")(key)),
    "url": lambda key: quote(key, safe=""),
    "form": quote_plus,
    "url in url": lambda key: quote(quote(key, safe=""), safe=""),
    "all of a url": each("%{:02x}"),
    "url by escape()": each("%u{:04X}"),
    "utf-16": as_utf8("utf-16"),
    "utf-16-le": as_utf8("utf-16-le"),
    "utf-16-be": as_utf8("utf-16-be"),
    "utf-32": as_utf8("utf-32"),
    "lines": "\r\n ".join,
    "zero width": "\u200b".join,
}


def shown(text: str) -> str:
    """Return the letters and digits that a reader sees."""
    return "".join(sign for sign in html.unescape(text) if sign.isalnum())


def pieces(key: str) -> set[str]:
    readable = shown(key)
    return {readable[at : at + SHORT_PIECE] for at in range(len(readable) - SHORT_PIECE + 1)}


@pytest.mark.parametrize("notation", NOTATIONS)
@pytest.mark.parametrize("key", [SECRET, "made-up-key-0123456789", "a1B2" * 8])
def test_a_key_is_hidden_in_every_notation_and_what_stands_around_it_is_kept(
    key: str, notation: str
) -> None:
    told = KeyRedactor(key).hide(f"ahead: {NOTATIONS[notation](key)}, behind")
    assert told.count(HIDDEN) == 1
    assert told.startswith("ahead: ")
    assert told.endswith(", behind")
    assert not any(piece in shown(told) for piece in pieces(key))


@pytest.mark.parametrize("notation", NOTATIONS)
def test_no_beginning_of_a_key_is_left_at_the_end_of_a_text_that_was_cut(notation: str) -> None:
    written = NOTATIONS[notation](SECRET)
    for size in range(1, len(written)):
        told = KeyRedactor(SECRET).hide(f"ahead: {written[:size]}", cut=True)
        assert told.startswith("ahead:")
        assert shown(told.replace(HIDDEN, "")) == "ahead"


@pytest.mark.parametrize("notation", NOTATIONS)
@pytest.mark.parametrize("key", [SECRET, "Zq7-Wm4_" * 500])
def test_of_a_long_text_no_piece_of_a_key_is_told_and_little_is_read(
    key: str, notation: str
) -> None:
    redactor = KeyRedactor(key)
    for ahead in range(0, 64, 9):
        told = redactor.redact_text("x" * ahead + NOTATIONS[notation](key) + "y" * 60_000, 60)
        assert len(told) <= 60
        assert set(shown(told.replace(HIDDEN, ""))) <= set("xy")


@given(
    key=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=40)
    .map(lambda key: key.strip("+\\"))
    .filter(bool),
    notation=st.sampled_from(sorted(NOTATIONS)),
)
def test_any_key_is_hidden_in_any_notation(key: str, notation: str) -> None:
    told = KeyRedactor(key).hide(f"({NOTATIONS[notation](key)})")
    assert told.startswith("(")
    assert told.endswith(")")
    assert HIDDEN in told
    assert not shown(told.replace(HIDDEN, ""))


def test_a_text_without_the_key_is_told_as_it_is() -> None:
    text = "100% of /a%2Fb?x=1&y=2 \\d &lt; caf\u00e9 & made-up-key-012345678"
    redactor = KeyRedactor("made-up-key-0123456789")
    assert redactor.hide(text) == redactor.redact_text(text, 200) == text
    assert redactor.hide("made-up is db_down", cut=True) == "made-up is db_down"


UNITS = ("a", "\0a", "&", "&amp;", "&#38;", "&#0", "&#", "&a", "%25", "%", "\\", "\\u00", "0", "+")


@pytest.mark.parametrize("unit", UNITS)
def test_no_text_makes_the_search_for_a_key_dear(unit: str) -> None:
    redactor = KeyRedactor("a" * 8_000)

    def cpu_seconds() -> float:
        began = time.thread_time()
        redactor.hide(unit * (16_384 // len(unit)) + " ", cut=True)
        return time.thread_time() - began

    # On a busy machine the same work takes longer at times; what is dear is so at each try.
    assert min(cpu_seconds() for _ in range(5)) < 0.1


def test_a_long_text_of_which_little_is_told_costs_little() -> None:
    redactor, text = KeyRedactor(SECRET), "gzip, " * 9_000

    def cpu_seconds(work: Callable[[], object]) -> float:
        began = time.thread_time()
        work()
        return time.thread_time() - began

    few = min(cpu_seconds(lambda: redactor.redact_text(text[:5_000], 60)) for _ in range(5))
    many = min(cpu_seconds(lambda: redactor.redact_text(text, 60)) for _ in range(5))
    assert many < 3 * few


def refusal(body: bytes, key: str = SECRET, status: int = 400) -> str:
    answer = http(body, status=f"{status} X")
    with HostileServer([answer]) as server, client_of(server, key=key) as client:
        with pytest.raises(VehicleRefused) as caught:
            client.status()
        return str(caught.value)


@pytest.mark.parametrize("status", [400, 401, 403, 422, 503])
@pytest.mark.parametrize("notation", NOTATIONS)
def test_a_refusal_tells_no_piece_of_a_key(notation: str, status: int) -> None:
    written = NOTATIONS[notation](SECRET)
    in_json = json.dumps({"error": "key or db", "detail": f"of {written}"})
    page = f"<html><title>of {written}</title></html>"
    for body in (written.encode(), in_json.encode(), page.encode(), page.encode("utf-16")):
        told = refusal(body, status=status)
        assert not any(piece in shown(told) for piece in pieces(SECRET))


@pytest.mark.parametrize("blanks", [0, 160, 469, 490, 4_000, 8_160])
def test_a_long_title_tells_no_piece_of_a_key(blanks: int) -> None:
    key = "0123456789abcdefghijklmnopqrstuv"
    told = refusal(f"<title>{' ' * blanks}{key}</title>".encode(), key)
    assert not any(piece in told for piece in pieces(key))
    if blanks < 8_160:
        assert told == f"/status: HTTP 400: an HTML page: {HIDDEN}"


def test_a_page_in_place_of_an_answer_tells_no_piece_of_a_key() -> None:
    for written in (quote(SECRET, safe=""), each("&#{:d};")(SECRET)):
        body = f"<p>{written}</p>".encode() + b"x" * 10_000
        with HostileServer([http(body)]) as server, client_of(server, key=SECRET) as client:
            answer = client.status().body
        with pytest.raises(BadAnswer, match=f"HTML instead of JSON: <p>{HIDDEN}</p>"):
            decode.status(answer)
