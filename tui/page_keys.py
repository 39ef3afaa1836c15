"""Which pages and dialogs open by keys of the app, and by what pages ask for."""

from uuid import UUID

from fleetsyncd.states import State
from tui.dialogs.columns import ColumnsDialog
from tui.dialogs.daemons import DaemonsDialog
from tui.dialogs.details import DetailsDialog
from tui.dialogs.help import HelpDialog
from tui.page_stack import PageStack
from tui.screens.alarms import AlarmsPage
from tui.screens.fleet import FleetPage
from tui.screens.journal import JournalPage
from tui.screens.page import Page
from tui.screens.tags import TagsPage
from tui.screens.vehicle import VehiclePage
from tui.widgets.fleet_table import FleetTable
from tui.widgets.row_table import RowTable
from tui.widgets.status_bar import DEAD_DAEMONS, OPEN_ALARMS
from tui.widgets.vehicle_wanted import VehicleWanted


class PageKeys(PageStack):
    """The part of the app that opens pages and the dialogs that only show something."""

    def open_vehicle(self, vehicle_id: UUID) -> None:
        """Open the page of a vehicle."""
        self.push_screen(VehiclePage(self.context, vehicle_id))

    def on_fleet_table_opened(self, event: FleetTable.Opened) -> None:
        """Open the page of a vehicle."""
        self.open_vehicle(event.vehicle_id)

    def on_fleet_page_columns_asked(self, event: FleetPage.ColumnsAsked) -> None:
        """Ask which columns the fleet page shows."""
        page = event.page
        dialog = ColumnsDialog(page.fleet_table.shown_columns, page.view.columns)
        self.push_screen(dialog, page.choose_columns)

    def on_vehicle_wanted(self, event: VehicleWanted) -> None:
        """Open the page of the vehicle of a row of the journal."""
        self.open_vehicle(event.vehicle_id)

    def on_row_table_opened(self, event: RowTable.Opened) -> None:
        """Show one row in full."""
        self.push_screen(DetailsDialog(event.fields))

    def action_journal(self) -> None:
        """Open the journal page."""
        self.go_to(JournalPage)

    def action_tags(self) -> None:
        """Open the tags page."""
        self.go_to(TagsPage)

    def on_tags_page_chosen(self, event: TagsPage.Chosen) -> None:
        """Show a group of vehicles on the fleet page."""
        while not isinstance(self.screen, FleetPage):
            self.pop_screen()
        self.screen.apply_filter(event.wanted)

    def on_page_count_clicked(self, event: Page.CountClicked) -> None:
        """Show what was counted: the vehicles in a state, the open alarms, the daemons."""
        if event.counted == DEAD_DAEMONS:
            self.action_daemons()
        elif event.counted == OPEN_ALARMS:
            self.action_alarms()
        elif isinstance(event.counted, State):
            self.go_to(FleetPage)
            if isinstance(self.screen, FleetPage):
                self.screen.toggle_state(event.counted)

    def action_alarms(self) -> None:
        """Open the page of open alarms."""
        self.go_to(AlarmsPage)

    def action_daemons(self) -> None:
        """Show the daemons that pull the fleet."""
        self.push_screen(DaemonsDialog(self.context))

    def action_help(self) -> None:
        """Show the keys of the topmost screen."""
        self.push_screen(HelpDialog(list(self.screen.active_bindings.values())))
