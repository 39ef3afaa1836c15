"""The dialog that registers and changes vehicles."""

from collections.abc import Callable
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.widgets import Button, Input, Label
from textual.worker import Worker

from fleetsyncd import validation
from fleetsyncd.database.vehicle_changes import VehicleChange
from fleetsyncd.errors import CommandError, FleetsyncError
from fleetsyncd.terms import (
    DEFAULT,
    EXAMPLE,
    NO_TERMS,
    Terms,
    TermsChange,
    parse_terms,
)
from tui.background import in_thread, internal_error, is_live
from tui.containment import ContainedApp
from tui.dialogs.dialog import Dialog
from tui.formatting import KEY_HIDDEN
from tui.typing_order import LOADING_SEC, KeysInOrder
from tui.widgets.checkbox import PlainCheckbox


@dataclass(frozen=True, slots=True)
class CurrentValues:
    """The values that an edit starts from; None where the vehicles differ."""

    name: str | None
    host: str | None
    port: int | None


@dataclass(frozen=True, slots=True)
class TagChange:
    """Tags to add to vehicles, and to remove from them."""

    add: tuple[str, ...]
    remove: tuple[str, ...]


class VehicleForm(Dialog[VehicleChange]):
    """Asks for name, address, port and key of a new vehicle (`current` None) or for an edit.

    Each field is checked while it is typed. A key is never shown; an empty field does not change
    it. `save` runs in a thread and returns what tells that it is saved, which happens though the
    dialog was closed meanwhile; if it raises, the dialog shows the error and keeps the input.
    `tags` are those of the vehicle, or of those that are to be added; for several vehicles there
    are none, and the field takes what is to be added or, after a minus, removed. `terms` are the
    vehicle's own; for several vehicles the field takes those that are to change.
    """

    def __init__(
        self,
        title: str,
        accept: str,
        current: CurrentValues | None,
        save: Callable[[VehicleChange], Callable[[], None]],
        *,
        tags: tuple[str, ...] = (),
        terms: Terms | None = None,
        notice: str = "",
    ) -> None:
        super().__init__(title, accept, notice=notice)
        self.current = current
        self._complaints: dict[str, str] = {}
        """What is wrong with each field that is not valid."""
        self._refusal = ""
        """Why the last attempt to save failed."""
        self._saves = False
        """Whether a change is being saved: what was sent is carried out, even if sent twice."""
        self.tags = tags
        self.terms = terms or NO_TERMS
        self.single = current is None or current.name is not None
        """Whether it is about one vehicle: several cannot share a name and an address."""
        self.fields = (*(("name", "host") if self.single else ()), "port", "key", "tags", "terms")
        self._save = save

    def body(self) -> ComposeResult:
        """Lay out the fields."""
        current = self.current or CurrentValues("", "", validation.DEFAULT_PORT)
        if "name" in self.fields:
            yield Label("Name")
            yield Input(current.name or "", id="name", compact=True)
            yield Label("VPN address (IPv4 or IPv6)")
            yield Input(current.host or "", id="host", compact=True)
        yield Label("Port")
        port = "" if current.port is None else str(current.port)
        yield Input(port, id="port", compact=True)
        yield Label("API key (printable ASCII)")
        is_new = self.current is None
        empty = "empty: VEHICLE_DEFAULT_API_KEY" if is_new else f"{KEY_HIDDEN} unchanged"
        yield Input(id="key", password=True, placeholder=empty, compact=True)
        yield Label("Tags, separated by blanks" if self.single else "Tags to add; -tag removes one")
        yield Input(" ".join(self.tags), id="tags", compact=True)
        yield Label("Own terms" if self.single else "Own terms to change")
        empty = "empty: the settings" if self.single else f"timeout={DEFAULT} takes one back"
        example = f"{EXAMPLE}; {empty}"
        yield Input(self.terms.text, id="terms", placeholder=example, compact=True)
        if not is_new:
            yield PlainCheckbox(
                "use VEHICLE_DEFAULT_API_KEY from now on", id="drop-key", compact=True
            )

    def on_input_changed(self, event: Input.Changed) -> None:
        """Check a field while it is typed; what is wrong with the others stays on the screen."""
        self._check(str(event.input.id), told=bool(event.value))
        self._show_complaints()

    def on_checkbox_changed(self) -> None:
        """Forget the complaint about two keys at once, if this removed one of them."""
        self._show_complaints()

    def _check(self, field: str, *, told: bool = True) -> str | int | None:
        """Return a field's value, marked if it is not valid; note why if that is to be `told`."""
        value, complaint = None, None
        try:
            value = self._parse(field)
        except CommandError as error:
            complaint = str(error)
        self.query_one(f"#{field}", Input).set_class(complaint is not None, "-invalid")
        self._complaints.pop(field, None)
        if complaint is not None and told:
            self._complaints[field] = complaint
        return value

    def _show_complaints(self) -> None:
        """Show all that is wrong, in the order of the fields."""
        complaints = [self._complaints[field] for field in self.fields if field in self._complaints]
        if self._has_two_keys:
            complaints.append("a new key and the default key exclude each other")
        self.show_error("\n".join(filter(None, [*complaints, self._refusal])))

    @property
    def _has_two_keys(self) -> bool:
        return self._drop_key and bool(self.query_one("#key", Input).value)

    @property
    def _drop_key(self) -> bool:
        return bool(self.current and self.query_one("#drop-key", PlainCheckbox).value)

    def _parse(self, field: str) -> str | int | None:
        """Return a field's value; None means unchanged; raise CommandError if it is not valid.

        What is registered already stays possible: an adopted vehicle's name need not be valid.
        """
        if field == "tags":
            self._tag_change()
            return None
        if field == "terms":
            self._terms_change()
            return None
        text = self.query_one(f"#{field}", Input).value
        registered = getattr(self.current, field, None)
        if registered is not None and text == str(registered):
            return None
        parsers: dict[str, Callable[[str], str | int]] = {
            "name": validation.parse_name,
            "host": validation.parse_host,
            "port": validation.parse_port,
            "key": validation.parse_api_key,
        }
        if text == "" and (field == "key" or (field == "port" and "name" not in self.fields)):
            return None
        return parsers[field](text)

    def _tag_change(self) -> TagChange:
        """Return the tags to add and those to remove; raise CommandError if one is not valid."""
        text = self.query_one("#tags", Input).value
        known = set(self.tags) if self.current is not None else set()
        if self.single:
            # One that somebody wrote by hand need not be valid to stay.
            words = set(text.split())
            wanted = (words & known) | set(validation.parse_tags(" ".join(words - known)))
            return TagChange(tuple(sorted(wanted - known)), tuple(sorted(known - wanted)))
        parts = text.split()
        removed = " ".join(part[1:] or part for part in parts if part.startswith("-"))
        added = " ".join(part for part in parts if not part.startswith("-"))
        return TagChange(validation.parse_tags(added), validation.parse_tags(removed))

    def _terms_change(self) -> TermsChange:
        """Return how the terms are to change; raise CommandError if one is not valid."""
        change = parse_terms(self.query_one("#terms", Input).value)
        if not self.single:
            return change
        # Only what differs: somebody else may set the others meanwhile.
        return TermsChange.between(self.terms, change.applied_to(NO_TERMS))

    def submit(self) -> None:
        """Check every field; save the change, or show what is wrong; nothing while it is saved."""
        if self._saves:
            return
        self._refusal = ""
        values = {field: self._check(field) for field in self.fields}
        self._show_complaints()
        if self._complaints:
            first = next(field for field in self.fields if field in self._complaints)
            self.query_one(f"#{first}", Input).focus()
        if self._complaints or self._has_two_keys:
            return
        del values["tags"], values["terms"]
        tags = self._tag_change()
        change = VehicleChange(
            drop_key=self._drop_key, add_tags=tags.add, remove_tags=tags.remove,
            terms=self._terms_change(),
            **values,  # type: ignore[arg-type]  # fields have their types
        )  # fmt: skip
        self._show_saving(True)
        # Of the app: it goes on when the dialog is closed.
        _: Worker[None] = self.app.run_worker(self._save_and_finish(change), exit_on_error=False)

    def _show_saving(self, saves: bool) -> None:
        self._saves = saves
        self.query_one("#accept", Button).label = "saving …" if saves else self.accept

    async def _save_and_finish(self, change: VehicleChange) -> None:
        # Keys right behind Enter are for the page below, not for a field.
        held = self.app.open_soon(LOADING_SEC) if isinstance(self.app, KeysInOrder) else None
        try:
            tell = await in_thread(lambda: self._save(change))
            tell()
        except FleetsyncError as error:
            self._refuse(str(error))
        except Exception as error:
            if isinstance(self.app, ContainedApp):
                self.app.contain(error)
            self._refuse(internal_error(error))
        else:
            if is_live(self):
                self.finish(change)
        finally:
            if held is not None:
                held.release()

    def _refuse(self, reason: str) -> None:
        if not is_live(self):  # it was closed meanwhile
            self.app.notify(reason, severity="error", markup=False)
            return
        # It stays true of what was sent, whatever is typed afterwards, until the next attempt.
        self._refusal = f"not saved: {reason}"
        self._show_saving(False)
        self._show_complaints()
