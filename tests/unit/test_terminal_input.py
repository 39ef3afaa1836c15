import pytest
from textual._xterm_parser import XTermParser
from textual.events import Key

from tui.terminal_input import KeyDecoder


def keys(*reads: bytes, encoding: str = "utf-8") -> list[str]:
    """Return the keys that Textual finds in what was read from the terminal, piece by piece."""
    decoder, parser = KeyDecoder(encoding), XTermParser()
    found: list[str] = []
    texts = [text for read in reads if (text := decoder.decode(read))]
    for text in (*texts, ""):  # the empty one ends the input
        found += [event.key for event in parser.feed(text) if isinstance(event, Key)]
    return found


@pytest.mark.parametrize(
    ("reads", "expected"),
    [
        ((b"\x1b\r",), ["escape", "enter"]),
        ((b"\x1by",), ["escape", "y"]),
        ((b"\x1b\t",), ["escape", "tab"]),
        ((b"\x1b\x7f",), ["escape", "backspace"]),
        ((b"\x1bpq",), ["escape", "p", "q"]),
        ((b"\x1b\x04",), ["escape", "ctrl+d"]),
        ((b"a\x1b", b"\r"), ["a", "escape", "enter"]),
        ((b"\x1b", b"p", b"\x1b", b"p"), ["escape", "p", "escape", "p"]),
        ((b"\x1b\x1bp",), ["escape", "escape", "p"]),
        (("\x1bä".encode(),), ["escape", "ä"]),
        ((b"\x1b[A\x1b[B",), ["up", "down"]),
        ((b"\x1b[", b"A"), ["up"]),
        ((b"\x1b", b"[A"), ["up"]),
        ((b"\x1bOP",), ["f1"]),
        ((b"\x1b[200~", b"pasted", b"\x1b[201~p"), ["p"]),
        ((b"\x1b[5~q",), ["pageup", "q"]),
    ],
)
def test_an_escape_is_a_key_of_its_own_unless_it_begins_a_sequence(
    reads: tuple[bytes, ...], expected: list[str]
) -> None:
    assert keys(*reads) == expected


def test_bytes_that_cannot_be_decoded_are_keys_too() -> None:
    assert keys(b"\xe4x", encoding="iso-8859-1") == ["ä", "x"]
    assert keys(b"\xff\x1bx")[1:] == ["escape", "x"]


def test_a_character_may_come_in_two_reads() -> None:
    assert keys(b"\xc3", b"\xa4p") == ["ä", "p"]
