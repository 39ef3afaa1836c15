"""DATABASE_URL as the parameters that libpq reads in it; no error repeats any of it."""

import re
from collections.abc import Mapping

from psycopg2 import ProgrammingError
from psycopg2.extensions import parse_dsn

STARTS = ("postgresql://", "postgres://")
_PORT = re.compile(r"[0-9]{0,5}")


def parse_url(url: str) -> dict[str, str]:
    """Return the parameters of a URL, or of `name=value` pairs, exactly as libpq reads them.

    Raises ValueError, whose text is for operators.
    """
    try:
        parameters: dict[str, str] = parse_dsn(url)
    except (ProgrammingError, ValueError):
        start = "" if url.startswith(STARTS) else " Must start with postgresql://."
        raise ValueError(f"Is not a valid PostgreSQL URL.{start}") from None
    if _has_cut_password(url, parameters):
        raise ValueError(
            "Is not a valid PostgreSQL URL: in its password, write @ as %40, / as %2F, : as %3A."
        )
    return parameters


def _has_cut_password(url: str, parameters: Mapping[str, str]) -> bool:
    """Tell whether libpq takes a piece of the password for host, port or database.

    Errors would show them.
    """
    return (
        "@" in parameters.get("host", "")[1:]  # the first one means an abstract socket
        or ("@" in parameters.get("dbname", "") and "%40" not in url and url.startswith(STARTS))
        or not all(map(_PORT.fullmatch, parameters.get("port", "").split(",")))
    )
