"""A data file as lines of text, gzip or plain, and every reason why it cannot be read, in words."""

from __future__ import annotations

import difflib
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn, TextIO

from ...errors import DataError

__all__ = ["TextFile", "malformed", "shown"]

GZIP = b"\x1f\x8b"
HEAD = 1 << 16

# What a file may be instead of text, by its first bytes.
SIGNATURES = (
    (b"PK\x03\x04", "a zip archive; unpack it and name the file inside"),
    (b"PAR1", "a Parquet file; write it as CSV first"),
    (b"BZh", "compressed with bzip2; unpack it, or compress it with gzip"),
    (b"\xfd7zXZ", "compressed with xz; unpack it, or compress it with gzip"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd; unpack it, or compress it with gzip"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it and name the file inside"),
    (b"\x89HDF", "an HDF5 file; write it as CSV first"),
    (b"\x93NUMPY", "a numpy file; write it as CSV first"),
    (b"SQLite format 3", "an SQLite database; write the table as CSV first"),
    (b"\xff\xfe", "UTF-16 text; save it as UTF-8"),
    (b"\xfe\xff", "UTF-16 text; save it as UTF-8"),
    (GZIP, "compressed with gzip twice; unpack it once"),
)


def shown(text: str, width: int = 80) -> str:
    """`text` as it can stand in a message: quoted, unprintable characters escaped, long ones cut."""
    text = text.rstrip("\r\n")
    return repr(text if len(text) <= width else text[:width] + "…")


def malformed(path: Path, line: int, found: str, expected: str) -> DataError:
    """The refusal of one line: where, what was found, what was expected."""
    return DataError(f"{path}:{line}: found {found}; expected {expected}.")


@dataclass(frozen=True, slots=True)
class TextFile:
    """A file known to exist and to look like text. Made by `TextFile.at`."""

    path: Path
    gzipped: bool

    @classmethod
    def at(cls, path: Path) -> TextFile:
        """Raises DataError where there is no such file, or it is a folder, empty, broken or not text."""
        _require_file(path)
        with _explained(path):
            with path.open("rb") as raw:
                gzipped = raw.read(2) == GZIP
            file = cls(path, gzipped)
            with file.opened() as stream:
                head = stream.read(HEAD)
        if not head:
            raise DataError(f"{path} is empty{' (inside the gzip wrapping)' if gzipped else ''}.")
        for signature, what in SIGNATURES:
            if head.startswith(signature):
                raise DataError(f"{path} is {what}.")
        control = sum(byte < 32 and byte not in b"\t\n\r\f\v\x1b" for byte in head)
        if 0 in head or control > 8 + len(head) // 100:
            raise DataError(f"{path} is a binary file, not text. Accepted are text files, plain or packed with gzip.")
        return file

    @contextmanager
    def lines(self) -> Iterator[TextIO]:
        """The lines, with their ends as they are (as the csv module wants them). DataError where reading fails midway."""
        with self.content() as stream, io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
            yield text

    @contextmanager
    def content(self) -> Iterator[BinaryIO]:
        """The bytes, unpacked. DataError where reading fails midway, or whoever decodes them finds that they are not UTF-8."""
        with _explained(self.path):
            try:
                with self.opened() as stream:
                    yield stream
            except UnicodeDecodeError:
                self._refuse_encoding()

    def first_line(self) -> tuple[int, str]:
        """Number (from 1) and text of the first line that is not blank. DataError where all are."""
        with self.lines() as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    return number, line.rstrip("\r\n")
        raise DataError(f"{self.path} is empty: it has blank lines only.")

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """The bytes, unpacked."""
        if self.gzipped:
            # A wide buffer: line by line through gzip's own costs more than the parsing.
            with gzip.open(self.path, "rb") as packed, io.BufferedReader(packed, 1 << 20) as stream:
                yield stream
        else:
            with self.path.open("rb", buffering=1 << 20) as stream:
                yield stream

    def _refuse_encoding(self) -> NoReturn:
        """Read again, byte by byte this time, for the line that is not UTF-8."""
        with self.opened() as stream:
            for number, line in enumerate(stream, start=1):
                try:
                    line.decode("utf-8")
                except UnicodeDecodeError as error:
                    raise malformed(
                        self.path,
                        number,
                        f"the byte 0x{line[error.start]:02x} in {shown(repr(line)[2:-1])}",
                        "text in UTF-8. If the file is in Latin-1 or another encoding, convert it, for instance with "
                        "`iconv -f latin1 -t utf-8`",
                    ) from None
        raise AssertionError(f"{self.path} decodes line by line but not as a whole")


def _require_file(path: Path) -> None:
    if path.is_dir():
        inside = sorted(entry.name for entry in path.iterdir() if entry.is_file())
        holds = f" It holds {', '.join(inside[:8])}{', …' if len(inside) > 8 else ''}." if inside else " It is empty."
        raise DataError(f"{path} is a folder; name the file inside it.{holds}")
    if not path.exists():
        near: list[str] = []
        if path.parent.is_dir():
            near = difflib.get_close_matches(path.name, [entry.name for entry in path.parent.iterdir()], n=1)
        hint = f" Did you mean {str(path.parent / near[0])!r}?" if near else ""
        raise DataError(f"there is no file {path}.{hint}")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Whatever goes wrong below the level of text, said in words."""
    try:
        yield
    except EOFError:
        raise DataError(f"{path} is a broken gzip file: it ends too early. Was its download or copy cut off?") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is a broken gzip file ({error}). Download or copy it again.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from None
