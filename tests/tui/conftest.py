"""The terminal that the dashboard's tests have, unless they ask for another one."""

import pytest
from textual import constants


@pytest.fixture(autouse=True)
def many_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no variable of the developer's terminal decide about colours."""
    monkeypatch.setattr(constants, "COLOR_SYSTEM", "truecolor")
    monkeypatch.delenv("NO_COLOR", raising=False)
