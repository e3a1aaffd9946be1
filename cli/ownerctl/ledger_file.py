"""The ledger's rows straight from the database file: standard-library sqlite3, read-only, no daemon, no token.

Trusts nothing in the file. One read transaction spans everything that is read, so a daemon that appends meanwhile
changes nothing of what is seen (write-ahead log). Rows go to `ownerd.ledger.verify` as they are.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote

from ownerctl.errors import NotALedger
from ownerd.model.errors import Malformed, StorageError

APPLICATION_ID: Final = 0x6F776E64
FORMAT: Final = 1

_TABLES: Final = {
    "entry": (("seq", "INTEGER"), ("leaf", "BLOB")),
    "checkpoint": (("size", "INTEGER"), ("note", "BLOB")),
    "opening": (("seq", "INTEGER"), ("wrapped_key", "BLOB"), ("ciphertext", "BLOB")),
}
_SQLITE: Final = b"SQLite format 3\0"
_BACKUP: Final = b"ownerd backup 1\n"
_BUSY_SECONDS: Final = 5.0
_CHUNK: Final = 1024
# A damaged schema makes sqlite3 fail while it decodes SQLite's own error message.
_FAULTS: Final = (sqlite3.Error, UnicodeDecodeError)


class LedgerFile:
    """An open ledger; a context manager. Every method raises `StorageError` or `Malformed`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the read transaction and close the file."""
        self._connection.close()

    def count(self) -> int:
        """Return the number of entries."""
        (count,) = next(self._rows("SELECT count(*) FROM entry"))
        return int(str(count))

    def entries(self) -> Iterator[tuple[int, bytes]]:
        """Yield (seq, leaf) in ascending order."""
        return self._pairs("SELECT seq, leaf FROM entry ORDER BY seq")

    def checkpoints(self) -> Iterator[tuple[int, bytes]]:
        """Yield (tree size, signed note) in ascending order."""
        return self._pairs("SELECT size, note FROM checkpoint ORDER BY size")

    def openings(self) -> Iterator[tuple[int, bytes]]:
        """Yield (seq, ciphertext) in ascending order."""
        return self._pairs("SELECT seq, ciphertext FROM opening ORDER BY seq")

    def entry_chunks(self) -> Iterator[list[tuple[int, bytes]]]:
        """Yield the rows of `entries` in lists."""
        return self._lists("SELECT seq, leaf FROM entry ORDER BY seq")

    def leaf(self, seq: int) -> bytes | None:
        """Return one entry's leaf; None: there is none."""
        for found, data in self._pairs("SELECT seq, leaf FROM entry WHERE seq = ?", (seq,)):
            return data if found == seq else None
        return None

    def leaves(self, start: int, end: int) -> list[bytes]:
        """Return the leaves from ``start`` to before ``end`` that are there."""
        statement = "SELECT seq, leaf FROM entry WHERE seq >= ? AND seq < ? ORDER BY seq"
        return [data for _, data in self._pairs(statement, (start, end))]

    def newest_checkpoint(self, size: int | None = None) -> tuple[int, bytes] | None:
        """Return the checkpoint of the largest size, of those up to ``size`` where it is given; None: there is none."""
        where, parameters = ("", ()) if size is None else ("WHERE size <= ?", (size,))
        statement = f"SELECT size, note FROM checkpoint {where} ORDER BY size DESC LIMIT 1"  # noqa: S608 -- own text
        return next(self._pairs(statement, parameters), None)

    def _pairs(self, statement: str, parameters: tuple[int, ...] = ()) -> Iterator[tuple[int, bytes]]:
        return chain.from_iterable(self._lists(statement, parameters))

    def _lists(self, statement: str, parameters: tuple[int, ...] = ()) -> Iterator[list[tuple[int, bytes]]]:
        """Rows of a key and bytes, in lists: asking for each alone costs more than what is done with it."""
        try:
            cursor = self._connection.execute(statement, parameters)
            while rows := cursor.fetchmany(_CHUNK):
                for place, (key, data) in enumerate(rows):
                    if type(key) is not int or type(data) is not bytes:
                        yield rows[:place]
                        raise StorageError("a row has the wrong types")
                yield rows
        except _FAULTS as error:
            raise StorageError("the database cannot be read") from error

    def _rows(self, statement: str, parameters: tuple[int, ...] = ()) -> Iterator[tuple[object, ...]]:
        try:
            yield from self._connection.execute(statement, parameters)
        except _FAULTS as error:
            raise StorageError("the database cannot be read") from error


def open_ledger(path: Path) -> LedgerFile:
    """Open ``path`` read-only and begin one read transaction.

    Raises `StorageError` when there is no such file or it cannot be read, `Malformed` when it is not a ledger.
    """
    if not path.is_file():
        raise StorageError("there is no database file")
    try:
        return _open(path, "mode=ro")
    except _AnotherProgram as error:
        raise _stranger(path) from error
    except _FAULTS as error:
        # A write-ahead log needs a shared-memory file beside it. On a medium that cannot be written there is
        # none, and without a -wal there is no writer either: the main file is all there is.
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
            raise _stranger(path) from error
        if path.with_name(path.name + "-wal").exists():
            raise StorageError("the database cannot be opened") from error
    try:
        return _open(path, "mode=ro&immutable=1")
    except _AnotherProgram as error:
        raise _stranger(path) from error
    except _FAULTS as error:
        raise StorageError("the database cannot be opened") from error


class _AnotherProgram(Exception):
    """The database does not say that it is ours."""


def _stranger(path: Path) -> NotALedger:
    """What lies at ``path`` instead of a ledger, and what to do about it."""
    try:
        with path.open("rb") as file:
            start = file.read(len(_SQLITE))
    except OSError:
        return NotALedger("the file is no ledger of ownerd")
    if not start.strip(b"\0"):
        hint = "copy it again, together with its -wal file; or bring a backup back with ownerctl restore"
        return NotALedger("the file is blank: nothing was written to it, or all of it is gone", hint=hint)
    if start == _BACKUP:
        return NotALedger("the file is a backup, which is sealed", hint="ownerctl restore brings it back")
    what = "an SQLite database of another program" if start == _SQLITE else "no database at all"
    return NotALedger(f"the file is {what}, and no ledger of ownerd")


def _open(path: Path, options: str) -> LedgerFile:
    connection = sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?{options}", uri=True, isolation_level=None, timeout=_BUSY_SECONDS
    )
    try:
        for setting in ("query_only=ON", "trusted_schema=OFF", "cell_size_check=ON"):
            connection.execute(f"PRAGMA {setting}")
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # takes the snapshot
        _require_ledger(connection)
    except BaseException:
        connection.close()
        raise
    return LedgerFile(connection)


def _require_ledger(connection: sqlite3.Connection) -> None:
    """Raise `_AnotherProgram` or `Malformed` unless it says that it is ours and has our tables, real and STRICT."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise _AnotherProgram
    if version != FORMAT:
        raise Malformed(f"the database is not of format {FORMAT}")
    for name, columns in _TABLES.items():
        found = connection.execute(
            "SELECT type, strict FROM pragma_table_list(?) WHERE schema = 'main'", (name,)
        ).fetchall()
        # table_xinfo lists hidden and generated columns too.
        layout = connection.execute(
            "SELECT name, type, hidden FROM pragma_table_xinfo(?)", (name,)
        ).fetchall()
        if found != [("table", 1)] or layout != [(*one, 0) for one in columns]:
            raise Malformed(f"table {name} is not the one of ownerd")
