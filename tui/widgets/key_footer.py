"""The line of keys at the bottom of every page."""

from textual.widgets import Footer

from tui.background import is_live


class KeyFooter(Footer):
    """A footer that is built anew only if its keys changed, and that forgets the ones before.

    Each key of Textual 8.2's footer watches a value of the footer, which keeps it for ever: the
    value never changes, and only then are those dropped that are gone.
    """

    def __init__(self) -> None:
        super().__init__(compact=True, show_command_palette=False)
        self._shown: list[object] = []

    async def recompose(self) -> None:
        """Show the keys of the page and of the widget that has the focus."""
        if not is_live(self):
            return
        bindings = self.screen.active_bindings.values()
        keys: list[object] = [each[1:] for each in bindings if each.binding.show]
        if keys == self._shown:
            return
        await super().recompose()
        self._shown = keys if self.children else []
        self._forget_closed()

    def _forget_closed(self) -> None:
        # Textual has no public way to this; a test counts the live keys.
        for watchers in getattr(self, "__watchers", {}).values():
            watchers[:] = [each for each in watchers if not each[0]._closing]
