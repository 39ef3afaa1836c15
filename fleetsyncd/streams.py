"""The standard streams: their encoding, and what happens when they are closed or cannot be written.

Text is written in the locale's encoding, which is what the terminal shows: UTF-8 on a Latin-1
terminal would be unreadable, and its bytes 0x80 to 0x9f are control characters there. Without a
locale it is UTF-8; PYTHONIOENCODING chooses another. A character that the encoding lacks is
replaced by others of the same width, so no line is lost and no table is bent.
"""

import codecs
import io
import os
import select
import sys
import unicodedata
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from fleetsyncd.text import sanitise

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

REPLACE = "fleetsyncd.replace"
"""The name of the error handler that replaces what an encoding lacks."""
ASCII = "fleetsyncd_ascii"
"""The encoding ASCII under another name: click makes UTF-8 of a stream that is called `ascii`."""
LINE_LIMIT = 1000
_LOOK_ALIKE = dict(zip("…—–│─┌┐└┘●◐◌✖◔‖▲▼•▪⏎█", ".--|-++++*%oX@|^v*+|#", strict=True))
# Writing to a closed standard output must fail, and a closed standard error has no reader.
_FLAGS = {0: os.O_RDONLY, 1: os.O_RDONLY, 2: os.O_WRONLY}


class OutputLost(Exception):
    """Standard output or standard error cannot be written; the text is the system's.

    The disk is full, or the stream is closed. No OSError, which click and others would take for one
    of theirs.
    """


class _Output(io.FileIO):
    """A standard stream whose failures can be told from all others."""

    discarded = 0
    """How many writes nobody read."""

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write bytes, waiting while a non-blocking stream is full; raise OutputLost.

        What nobody reads is discarded: the reader may go at any time, as `head` does, and the
        command has more to do than to write, up to its exit code.
        """
        try:
            # It returns None, whatever its type says, if a non-blocking stream is full.
            while (written := super().write(data)) is None:
                select.select((), (self,), ())
        except BrokenPipeError:
            self.discarded += 1
            return memoryview(data).nbytes
        except OSError as error:
            raise OutputLost(error.strerror) from None
        return written


def prepare() -> None:
    """Make the standard streams usable, whatever the process was started with."""
    codecs.register_error(REPLACE, _replace)
    codecs.register(_find_codec)
    for number in _FLAGS:
        _keep_taken(number)
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  for good
    sys.stdout = _output(1, sys.stdout)
    sys.stderr = _output(2, sys.stderr)


def _keep_taken(number: int) -> None:
    """Open the null device if a standard descriptor is closed: a socket must not become it."""
    try:
        os.fstat(number)
    except OSError:
        os.set_inheritable(os.open(os.devnull, _FLAGS[number]), True)


def _output(number: int, stream: TextIO | None) -> TextIO:
    """Return the stream with the encoding, the replacements and the errors of this module."""
    if stream is None:
        return _wrapped(number, "utf-8")
    if not isinstance(stream, io.TextIOWrapper) or not _is_descriptor(stream, number):
        return stream  # a test captures it
    encoding = stream.encoding
    if _is_ascii(stream):
        encoding = ASCII if _is_chosen() else "utf-8"
    stream.reconfigure(encoding=encoding, errors=REPLACE)
    return _wrapped(number, stream.encoding)


def _wrapped(number: int, encoding: str) -> TextIO:
    raw = _Output(number, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=encoding,
        errors=REPLACE,
        line_buffering=number == 2 or raw.isatty(),  # noqa: PLR2004  standard error
    )


def _is_descriptor(stream: TextIO, number: int) -> bool:
    try:
        return stream.fileno() == number
    except (OSError, ValueError):
        return False


def _is_ascii(stream: TextIO) -> bool:
    return codecs.lookup(stream.encoding).name == "ascii"


def _is_chosen() -> bool:
    """Tell whether PYTHONIOENCODING names an encoding, not only how errors are handled."""
    return bool(os.environ.get("PYTHONIOENCODING", "").partition(":")[0])


def _find_codec(name: str) -> codecs.CodecInfo | None:
    if name != ASCII:
        return None
    ascii_ = codecs.lookup("ascii")
    return codecs.CodecInfo(
        ascii_.encode, ascii_.decode, incrementalencoder=ascii_.incrementalencoder, name=ASCII
    )


def is_utf8(stream: TextIO) -> bool:
    """Tell whether every character can be written to `stream`."""
    return codecs.lookup(stream.encoding or "utf-8").name == "utf-8"


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_substitute, error.object[error.start : error.end])), error.end


def _substitute(character: str) -> str:
    """Return ASCII characters that take as many terminal cells."""
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return ""
    is_wide = unicodedata.east_asian_width(character) in ("W", "F")
    return _LOOK_ALIKE.get(character, "??" if is_wide else "?")


def discarded(stream: TextIO) -> int:
    """Return how many writes to a standard stream were discarded, since nobody read them."""
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw.discarded if isinstance(raw, _Output) else 0


def tell(text: str) -> None:
    """Write a message to standard error, harmless for a terminal; if that fails, nobody reads it.

    Its lines stay lines.
    """
    lines = "\n".join(sanitise(line, LINE_LIMIT) for line in text.split("\n"))
    with suppress(OutputLost):
        print(lines, file=sys.stderr, flush=True)  # noqa: T201  this is the place that may


def finish() -> None:
    """Write what is buffered, or discard it: the interpreter would fail over it at its end."""
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            stream.flush()
        except OutputLost:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, number)
            os.close(null)
            stream.flush()
