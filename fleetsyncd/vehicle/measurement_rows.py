"""Read the rows of a `/data` answer: all at once if they are few, else chunk by chunk."""

from contextlib import suppress
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from fleetsyncd.errors import BadAnswer
from fleetsyncd.telemetry import BadRow, Measurements
from fleetsyncd.time_limits import check_time
from fleetsyncd.vehicle.cpu_slices import CpuSlices
from fleetsyncd.vehicle.notations import parse_time, write_integers
from fleetsyncd.vehicle.parsing import (
    DECODE_ERRORS,
    BadRowCollector,
    decode_body,
    decode_entries,
)

Int4 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]

AT_ONCE_BYTES = 1 << 16
"""A longer body is decoded in chunks: a single number may cost a hundred times its usual time."""
CHUNK = 500
Stored = tuple[datetime, int, float]


class Row(Struct, gc=False):
    """A row as the vehicle writes it."""

    channel_id: Int4
    time: str
    value: float | None


class Page(Struct):
    """An answer with its rows."""

    rows: list[Row]
    truncated: bool
    start: str | None = msgspec.field(default=None, name="from")
    end: str | None = msgspec.field(default=None, name="to")


class RawPage(Struct):
    """An answer whose rows are not decoded yet."""

    rows: list[Raw]
    truncated: bool
    start: str | None = msgspec.field(default=None, name="from")
    end: str | None = msgspec.field(default=None, name="to")


_page = msgspec.json.Decoder(Page)
_raw_page = msgspec.json.Decoder(RawPage)
_rows = msgspec.json.Decoder(list[Row])
_row = msgspec.json.Decoder(Row)


class RowReader:
    """Reads the rows of one answer; a row whose time is not in [oldest, newest) is bad."""

    def __init__(self, call: str, oldest: datetime, newest: datetime, slices: CpuSlices) -> None:
        self._call = call
        self._oldest, self._newest = oldest, newest
        self._slices = slices
        self._bad = BadRowCollector(call)
        self._good: list[Stored] = []
        self._times: dict[str, datetime] = {}
        self._faults: dict[str, str] = {}

    @property
    def newest(self) -> datetime | None:
        """Time of the newest row that was read, also of one without a value."""
        return max(self._times.values(), default=None)

    def read(
        self, body: bytes, limit: int
    ) -> tuple[Page | RawPage, Measurements, tuple[BadRow, ...]]:
        """Return the answer, its good rows and its bad ones; raise BadAnswer."""
        page = self._decode(body)
        if len(page.rows) > limit:
            raise BadAnswer(self._call, f"more than the {limit} rows asked for")
        if isinstance(page, Page):
            self._take(page.rows)
        else:
            for chunk in self._slices.chunks(page.rows, CHUNK):
                self._take(self._decode_chunk(chunk))
        self._slices.pause()
        # The chunks are ordered already, so this takes little more than one comparison a row.
        rows = Measurements.from_rows(self._good)
        self._slices.pause()
        return page, rows, self._bad.rows()

    def _decode(self, body: bytes) -> Page | RawPage:
        if len(body) <= AT_ONCE_BYTES:
            try:
                return _page.decode(body)
            except DECODE_ERRORS:
                self._slices.pause()
        return decode_body(self._call, _raw_page, body, self._slices)

    def _decode_chunk(self, raws: list[Raw]) -> list[Row]:
        chunk = b"[" + b",".join(raws) + b"]"
        try:
            return _rows.decode(chunk)
        except DECODE_ERRORS:
            self._slices.pause()
        if (written := write_integers(chunk)) != chunk:
            with suppress(*DECODE_ERRORS):
                return _rows.decode(written)
        return decode_entries(raws, _row, _as_it_is, self._bad, self._slices)

    def _take(self, rows: list[Row]) -> None:
        """Sort rows into good and bad ones; rows without a value are neither."""
        times, faults = self._times, self._faults
        self._parse_times({row.time for row in rows} - times.keys() - faults.keys())
        if faults:
            for row in self._slices.each((row for row in rows if row.time in faults), every=8):
                if row.value is not None:
                    self._bad.add(msgspec.json.encode(row), faults[row.time])
            rows = [row for row in rows if row.time not in faults]
        self._good += sorted(
            (times[row.time], row.channel_id, row.value) for row in rows if row.value is not None
        )

    def _parse_times(self, texts: set[str]) -> None:
        """Parse each distinct time once: all channels of one reading share it."""
        for text in self._slices.each(texts, every=64):
            try:
                time = parse_time(text)
                check_time(time, self._oldest, self._newest)
            except (msgspec.ValidationError, ValueError) as error:
                self._faults[text] = str(error)
            else:
                self._times[text] = time


def _as_it_is(row: Row) -> Row:
    """Accept a row that needs no check beyond its type."""
    return row
