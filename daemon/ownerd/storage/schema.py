"""The SQLite file: its schema, how it is opened, and what is refused at the door.

Owns the format of ownerd.db (docs/LEDGER.md): application id "ownd", format 1, five STRICT tables, write-ahead
log with ``synchronous=FULL``. Trusts nothing in the file: a schema that is not letter for letter ours (another table
layout, a trigger, a view) is refused before a row is read.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final
from urllib.parse import quote

from ownerd.model.errors import StorageError, VaultDamaged

APPLICATION_ID: Final = 0x6F776E64
FORMAT: Final = 1
BUSY_MS: Final = 2000

SCHEMA: Final[dict[str, str]] = {
    "entry": "CREATE TABLE entry (seq INTEGER PRIMARY KEY, leaf BLOB NOT NULL) STRICT",
    "opening": (
        "CREATE TABLE opening (seq INTEGER PRIMARY KEY, wrapped_key BLOB NOT NULL, ciphertext BLOB NOT NULL) STRICT"
    ),
    "checkpoint": "CREATE TABLE checkpoint (size INTEGER PRIMARY KEY, note BLOB NOT NULL) STRICT",
    "record": (
        "CREATE TABLE record (kind TEXT NOT NULL, id TEXT NOT NULL, generation INTEGER NOT NULL, "
        "sealed BLOB NOT NULL, PRIMARY KEY (kind, id)) STRICT"
    ),
    "meta": "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
}

# Each is verified after it was set: SQLite answers a pragma that it cannot honour with silence.
_PRAGMAS: Final[tuple[tuple[str, str, str | int], ...]] = (
    ("busy_timeout", str(BUSY_MS), BUSY_MS),
    ("trusted_schema", "OFF", 0),
    ("cell_size_check", "ON", 1),
    ("temp_store", "MEMORY", 2),
    ("secure_delete", "ON", 1),
    ("journal_mode", "WAL", "wal"),
    ("synchronous", "FULL", 2),
)


def connect(path: Path) -> sqlite3.Connection:
    """Open an existing file and set every pragma. Bound to the calling thread. Raises `sqlite3.Error`."""
    # mode=rw: never let SQLite make the file, which must be ours and 0600 before a byte is in it; the -wal
    # and -shm files then get its mode from SQLite.
    connection = sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True, isolation_level=None)
    try:
        for name, setting, expected in _PRAGMAS:
            connection.execute(f"PRAGMA {name}={setting}").fetchall()
            if connection.execute(f"PRAGMA {name}").fetchone()[0] != expected:
                raise StorageError(f"the database does not take {name}={setting}")
    except BaseException:
        connection.close()
        raise
    return connection


def is_blank(connection: sqlite3.Connection) -> bool:
    """Whether the file holds nothing yet. Raises `StorageError` for another program's or format's file."""
    objects = dict(
        connection.execute(
            "SELECT name, sql FROM sqlite_schema WHERE substr(name, 1, 7) <> 'sqlite_'"
        ).fetchall()
    )
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if not objects and application == 0 and version == 0:
        return True
    if application != APPLICATION_ID:
        raise StorageError("the database file belongs to another program")
    if version > FORMAT:
        raise StorageError(
            f"the database has format {version} of a newer ownerd; this one knows format {FORMAT}"
        )
    if version != FORMAT or objects != SCHEMA:
        raise VaultDamaged("the tables of the database are not those of ownerd")
    return False


def create_schema(connection: sqlite3.Connection) -> None:
    """Make the tables and mark the file as ours, inside the caller's transaction.

    Raises `StorageError` where SQLite cannot hold a column to its type, or the tables are not there afterwards.
    """
    from sqlite_utils import (
        Database,
    )  # 40 ms that only a set-up needs: a daemon that opens a vault does without

    # No plug-ins: an installed package could otherwise hook itself into the connection.
    database = Database(connection, recursive_triggers=False, execute_plugins=False, strict=True)
    if not database.supports_strict:
        raise StorageError("this SQLite is too old: it has no STRICT tables (3.37)")
    for statement in SCHEMA.values():
        database.execute(statement)
    if database.schema != "\n".join(f"{statement};" for statement in SCHEMA.values()):
        raise StorageError("the tables of the database were not made")
    database.execute(f"PRAGMA application_id={APPLICATION_ID}")
    database.execute(f"PRAGMA user_version={FORMAT}")


_COLUMNS: Final = {"opening": "seq, wrapped_key, ciphertext", "record": "kind, id, generation, sealed"}


def rewrite(connection: sqlite3.Connection, table: str) -> None:
    """Build a table afresh, on zeroed pages, inside the caller's transaction: ``opening`` or ``record``.

    secure_delete zeroes what is deleted. But where a deletion makes SQLite merge pages, rows that move leave copies
    in the unused middle of a page, and a row of those that is deleted later would stay there. A table that only
    ever grew at its end has no such copies. Writes every row twice; a temporary table would hold them in memory.
    """
    columns = _COLUMNS[table]
    for statement in (
        f"CREATE TABLE kept AS SELECT {columns} FROM {table} ORDER BY rowid",  # noqa: S608 -- constants
        f"DELETE FROM {table}",  # noqa: S608 -- without WHERE: its pages are freed whole, and zeroed
        f"INSERT INTO {table} ({columns}) SELECT {columns} FROM kept ORDER BY rowid",  # noqa: S608
        "DROP TABLE kept",
    ):
        connection.execute(statement)
