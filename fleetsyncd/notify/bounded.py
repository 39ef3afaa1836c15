"""The library requests as services of apprise see it: of an answer only the beginning is read.

Services read answers whole, and tell of them only whether they were good. A target whose answer has
no end would fill the memory, and it would stay unknown when one wants the next message.
"""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any

import requests
from requests.adapters import HTTPAdapter

MOST_BYTES = 1 << 20
"""Of an answer, after decompression; services need some hundred."""
LONGEST_PAUSE = timedelta(hours=1)
_BUSY = (429, 503)
_PLUGINS = "apprise.plugins"


class BoundedRequests:
    """Has all that the library has; answers to what it sends are cut, and looked at.

    One message at a time: `pause` is what the last answer has asked for, `status` its own.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Forget the last answer, before a message is sent."""
        self.pause: timedelta | None = None
        self.status: int | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(requests, name)

    def request(self, method: str, url: str, **options: Any) -> requests.Response:
        """Send a request as `requests.request` does."""
        with requests.Session() as session:
            for scheme in ("http://", "https://"):
                session.mount(scheme, _Adapter(self))
            return session.request(method, url, **options)

    def get(self, url: str, params: Any = None, **options: Any) -> requests.Response:
        """Send a GET request."""
        return self.request("GET", url, params=params, **options)

    def post(self, url: str, data: Any = None, json: Any = None, **options: Any) -> Any:
        """Send a POST request."""
        return self.request("POST", url, data=data, json=json, **options)

    def put(self, url: str, data: Any = None, **options: Any) -> requests.Response:
        """Send a PUT request."""
        return self.request("PUT", url, data=data, **options)

    def patch(self, url: str, data: Any = None, **options: Any) -> requests.Response:
        """Send a PATCH request."""
        return self.request("PATCH", url, data=data, **options)

    def delete(self, url: str, **options: Any) -> requests.Response:
        """Send a DELETE request."""
        return self.request("DELETE", url, **options)

    def hear(self, response: requests.Response) -> None:
        """Note what the target answers, and for how long it wants to be left alone, if it says."""
        self.status = response.status_code
        asked = response.headers.get("Retry-After") if response.status_code in _BUSY else None
        self.pause = None if asked is None else _length(asked, datetime.now(UTC))


BOUNDED = BoundedRequests()


def bound(service: object) -> None:
    """Let a service of apprise, and those that it is made of, send by BOUNDED."""
    for kind in type(service).__mro__:
        module = sys.modules.get(kind.__module__)
        if kind.__module__.startswith(_PLUGINS) and getattr(module, "requests", None) is requests:
            setattr(module, "requests", BOUNDED)  # noqa: B010  the module is not known before


class _Adapter(HTTPAdapter):
    def __init__(self, heard: BoundedRequests) -> None:
        super().__init__()
        self._heard = heard

    def build_response(self, req: Any, resp: Any) -> requests.Response:
        """Return the answer, of which only the beginning can be read."""
        response = super().build_response(req, resp)
        self._heard.hear(response)
        response.iter_content = partial(_beginning, response, response.iter_content)  # type: ignore[method-assign]  # of this answer only
        return response


def _beginning(
    response: requests.Response, read: Any, chunk_size: int = 1, decode_unicode: bool = False
) -> Iterator[Any]:
    left = MOST_BYTES
    for part in read(chunk_size, decode_unicode):
        yield part
        left -= len(part)
        if left <= 0:
            response.close()
            return


def _length(asked: str, now: datetime) -> timedelta | None:
    """Return a Retry-After, seconds or a date, as a length of time; None if it is neither."""
    try:
        if asked.strip().isascii() and asked.strip().isdigit():
            return min(LONGEST_PAUSE, timedelta(seconds=min(int(asked[:9]), 86_400)))
        at = parsedate_to_datetime(asked)
    except (ValueError, OverflowError):
        return None
    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(timedelta(0), min(LONGEST_PAUSE, aware - now))
