"""A locale whose encoding is not UTF-8, made where glibc's sources of locales are installed."""

import shutil
import subprocess
from pathlib import Path

import pytest

NAME = "en_US.ISO-8859-1"


def latin1(folder: Path) -> dict[str, str]:
    """Make an ISO-8859-1 locale in `folder`; return the variables that choose it, or skip."""
    localedef = shutil.which("localedef")
    if localedef is None or not Path("/usr/share/i18n/locales/en_US").exists():
        pytest.skip("localedef with its sources (package `locales`) is not installed")
    compiled = folder / NAME
    command = [localedef, "-i", "en_US", "-f", "ISO-8859-1", str(compiled)]
    subprocess.run(command, check=True, capture_output=True)
    return {"LOCPATH": str(folder), "LC_ALL": NAME, "PYTHONIOENCODING": ""}
