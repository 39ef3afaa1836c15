from fleetsyncd.database.pool import Database
from tests.tui.driving import Driver, add, drive


def test_a_notification_shows_markup_as_plain_text(database: Database) -> None:
    add(database, "[bold]Truck[/bold]")

    async def look(it: Driver) -> None:
        await it.sees("[bold]Truck[/bol…")
        await it.press("p")
        await it.sees("[bold]Truck[/bold]: paused")

    drive(database, look, size=(120, 30))
