"""Every theme that is offered is legible in the colours of the terminal."""

import os

import pytest
from rich.color import ColorSystem
from textual import constants

from fleetsyncd.database.pool import Database
from tests.tui.driving import (
    Driver,
    add,
    alarm,
    attempts,
    beat,
    channel,
    dashboard,
    drive,
    set_state,
    small_fleet,
)
from tests.tui.legibility import pieces
from tui import themes

LEAST = 3.0
"""The contrast that WCAG asks of large text, and of what is told by form as well."""
PAGES: tuple[list[str], ...] = ([], ["Z"], ["l"], ["end", "enter"], ["2"], ["4"], ["5"])


def in_every_state(database: Database) -> None:
    ids = small_fleet(database)
    add(database, "Late-05", "10.8.0.9")
    set_state(database, "Late-05", "ok", "4 s", "1 h")
    truck = ids["Truck-01"]
    for status in ("ok", "timeout", "error"):
        attempts(database, truck, 2, status=status)
    channel(database, truck, 1, "engine speed", "rpm")
    alarm(database, truck, 1, "oil pressure", "1 h", None)
    alarm(database, truck, 2, "door open", "1 h", "3 s")


@pytest.mark.parametrize(
    ("colours", "system"),
    [
        ("standard", ColorSystem.STANDARD),
        ("256", ColorSystem.EIGHT_BIT),
        ("truecolor", ColorSystem.TRUECOLOR),
    ],
)
def test_every_text_of_every_page_has_contrast_in_each_offered_theme(
    database: Database, monkeypatch: pytest.MonkeyPatch, colours: str, system: ColorSystem
) -> None:
    monkeypatch.setattr(constants, "COLOR_SYSTEM", colours)
    in_every_state(database)
    faint: set[tuple[str, str, float]] = set()

    async def look(it: Driver) -> None:
        it.app.poller.interval = 3600.0
        for keys in PAGES:
            beat(database)  # what is out of date would be dim
            await it.press(*keys)
            it.app.action_refresh()
            await it.settled()
            await it.until(lambda: not it.state.stale)
            for theme in it.app.available_themes:
                it.app.theme = theme
                await it.pilot.pause()
                faint.update(
                    (theme, text.strip(), round(contrast, 2))
                    for text, contrast in pieces(it.app, it.strips(), system)
                    if contrast < LEAST
                )
            if keys in (["Z"], ["l"]):
                await it.press("Z" if keys == ["Z"] else "escape")

    drive(database, look, size=(130, 34))
    assert faint == set()


@pytest.mark.parametrize(
    ("colours", "offered", "not_offered"),
    [
        ("standard", {"ansi-dark"}, {"ansi-light", "textual-dark", "nord"}),
        ("256", {"ansi-dark", "textual-dark", "textual-light"}, {"ansi-light", "solarized-dark"}),
        ("truecolor", {"ansi-dark", "solarized-dark", "textual-light"}, {"ansi-light"}),
    ],
)
def test_a_theme_that_cannot_be_legible_is_not_offered(
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    colours: str,
    offered: set[str],
    not_offered: set[str],
) -> None:
    monkeypatch.setattr(constants, "COLOR_SYSTEM", colours)
    app = dashboard(database)
    assert offered <= set(app.available_themes)
    assert not not_offered & set(app.available_themes)
    assert app.theme in app.available_themes


def test_an_illegible_theme_that_was_asked_for_is_replaced_with_a_word(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "TEXTUAL_THEME", "ansi-light")
    monkeypatch.setattr(type(dashboard(database)).theme, "_default", "ansi-light")

    async def look(it: Driver) -> None:
        await it.notified("ansi-light is not legible in this terminal's colours: textual-dark is")
        assert it.app.theme == themes.MANY_COLOURS

    drive(database, look)
