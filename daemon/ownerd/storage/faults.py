"""Turns what SQLite and the system report into the error table; owns the wording, names no path and no value."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ownerd.model.errors import StorageError, VaultDamaged

# Primary result codes; SQLite's extended codes carry them in the low byte.
_SQLITE: Final[dict[int, tuple[type[StorageError], str]]] = {
    sqlite3.SQLITE_FULL: (StorageError, "no space left for the database"),
    sqlite3.SQLITE_READONLY: (StorageError, "the database is read-only"),
    sqlite3.SQLITE_PERM: (StorageError, "the database may not be opened"),
    sqlite3.SQLITE_AUTH: (StorageError, "the database may not be opened"),
    sqlite3.SQLITE_CANTOPEN: (StorageError, "the database cannot be opened"),
    sqlite3.SQLITE_BUSY: (StorageError, "another program holds the database"),
    sqlite3.SQLITE_LOCKED: (StorageError, "another program holds the database"),
    sqlite3.SQLITE_IOERR: (StorageError, "the disk refused to read or write the database"),
    sqlite3.SQLITE_TOOBIG: (StorageError, "a value is too large for the database"),
    sqlite3.SQLITE_CONSTRAINT: (StorageError, "the database refused a row"),
    sqlite3.SQLITE_CORRUPT: (VaultDamaged, "the database file is damaged"),
    sqlite3.SQLITE_NOTADB: (VaultDamaged, "the database file is not a database"),
    sqlite3.SQLITE_FORMAT: (VaultDamaged, "the database file is not a database"),
}

_SYSTEM: Final[dict[int, str]] = {
    errno.ENOSPC: "no space left in the data directory",
    errno.EDQUOT: "no quota left in the data directory",
    errno.EFBIG: "the file size limit is reached in the data directory",
    errno.EROFS: "the data directory is read-only",
    errno.EACCES: "the data directory may not be used",
    errno.EPERM: "the data directory may not be used",
    errno.ENOTDIR: "the data directory is not a directory",
    errno.EMFILE: "too many open files",
    errno.ENFILE: "too many open files",
}


def storage_error(error: Exception) -> StorageError:
    """Return the error of the table that says what ``error`` means to the owner."""
    if isinstance(error, StorageError):
        return error
    if isinstance(error, OSError):
        return StorageError(_SYSTEM.get(error.errno or 0, "the data directory cannot be used"))
    code = getattr(error, "sqlite_errorcode", None)
    if isinstance(code, int):
        kind, message = _SQLITE.get(code & 0xFF, (StorageError, "the database refused the operation"))
        return kind(message)
    return StorageError("the database refused the operation")


@contextmanager
def storage_errors() -> Iterator[None]:
    """Let nothing but `StorageError` and its children out of the block (and bugs that are not of its kind)."""
    try:
        yield
    except StorageError:
        raise
    except (sqlite3.Error, sqlite3.Warning, OSError, OverflowError, UnicodeError) as error:
        raise storage_error(error) from error
