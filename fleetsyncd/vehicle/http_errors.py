"""Translate the errors of requests, urllib3 and http.client, which wrap one another."""

import errno
import http.client
from collections.abc import Iterator

import requests
import urllib3

from fleetsyncd.errors import (
    RAISE_FILE_LIMIT,
    TOO_MANY_OPEN_FILES,
    AnswerCutOff,
    BadAnswer,
    VehicleError,
    VehicleUnreachable,
)

CONNECTION_BROKEN = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)
TIMEOUTS = (requests.Timeout, TimeoutError, urllib3.exceptions.ReadTimeoutError)
REQUEST_ERRORS = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
    ValueError,
)
_CUT_OFF = (requests.exceptions.ChunkedEncodingError, http.client.IncompleteRead)


def to_vehicle_error(call: str, error: Exception) -> VehicleError:
    """Return the VehicleError that stands for an error of the libraries."""
    if isinstance(error, _CUT_OFF):
        return AnswerCutOff(call, "the answer was cut off")
    if isinstance(error, requests.exceptions.ContentDecodingError):
        return BadAnswer(call, "the gzip body is broken")
    cause = find_cause(error, (OSError, http.client.HTTPException)) or error
    if isinstance(error, requests.ConnectionError) and isinstance(cause, OSError):
        return VehicleUnreachable(call, f"no connection: {_describe(cause)}")
    return BadAnswer(call, f"not an HTTP answer: {_describe(cause)}")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield `error` and all that it wraps: causes are nested in arguments and in contexts."""
    seen: set[int] = set()
    pending: list[object] = [error]
    while pending:
        link = pending.pop()
        if isinstance(link, BaseException) and id(link) not in seen:
            seen.add(id(link))
            yield link
            pending += [*link.args, getattr(link, "reason", None), link.__cause__, link.__context__]


def find_cause(
    error: BaseException, kinds: tuple[type[BaseException], ...]
) -> BaseException | None:
    """Return the first error of `kinds` in or under `error`, but not requests' bare wrapper."""
    for link in _chain(error):
        if isinstance(link, kinds) and type(link) is not requests.ConnectionError:
            return link
    return None


def _describe(error: BaseException) -> str:
    if isinstance(error, http.client.RemoteDisconnected):
        return "the vehicle hung up without an answer"
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return f"{TOO_MANY_OPEN_FILES}: {RAISE_FILE_LIMIT}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
