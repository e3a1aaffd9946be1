"""The vault's database, as one thread uses it: entries without a gap, one transaction for what belongs together.

Nothing is opened, made or locked before the first call that needs it. `sqlite3.Error` and `OSError` pass through;
`ownerd.storage.store` turns them into the error table.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from ownerd.core.ports import Batch, Record
from ownerd.model.errors import StorageError, VaultDamaged
from ownerd.storage import files, schema

LOCK_NAME: Final = "ownerd.lock"
BACKING_UP: Final = "backing-up"  # directories for a copy in the making, beside the database
RESTORING: Final = "restoring"
STAGED_SUFFIX: Final = ".restored"  # a complete database that takes this one's place
_SMALLEST_FILE: Final = 512  # one page of the smallest size (SQLite file format, section 1.3.2)


class VaultDatabase:
    """One SQLite file with its lock. Bound to the thread that makes the first call."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None
        self._blank = True
        self._lock: int | None = None
        self._stale_wal = False

    # -- opening and closing --

    def _beside(self, suffix: str) -> Path:
        return self._path.with_name(self._path.name + suffix)

    def _open(self, *, create: bool) -> sqlite3.Connection | None:
        """Return the connection; None when there is no database and none is to be made."""
        if self._db is not None:
            return self._db
        if os.path.lexists(self._beside(STAGED_SUFFIX)):
            self._take_restored()
        if not os.path.lexists(self._path):
            if _holds_bytes(self._beside("-wal")):
                # A new database in its place would throw away what the log still holds.
                raise VaultDamaged("the database file is gone, but its write-ahead log is there")
            if not create:
                return None
        files.secure_directory(self._path.parent)
        if self._lock is None:
            self._lock = files.lock_file(self._path.with_name(LOCK_NAME))
            for left in (BACKING_UP, RESTORING):
                # Whole copies of a database, left by whoever was killed: nothing is erased in them.
                files.remove_directory(self._path.with_name(left))
        files.secure_file(self._path, create=create)
        if 0 < self._path.lstat().st_size < _SMALLEST_FILE:
            # SQLite takes the stump of a header for an empty file and would start afresh.
            raise VaultDamaged("the database file is damaged")
        for suffix in ("-wal", "-shm", "-journal"):
            if os.path.lexists(self._beside(suffix)):
                files.secure_file(self._beside(suffix))
        db = schema.connect(self._path)
        try:
            self._blank = schema.is_blank(db)
            if not self._blank and db.execute("SELECT min(seq) FROM entry").fetchone()[0] != 0:
                # The tables and the genesis entry were made in one transaction.
                raise VaultDamaged("the first entry of the ledger is missing")
        except BaseException:
            db.close()
            raise
        self._db = db
        if not self._blank and _holds_bytes(self._beside("-wal")):
            # Whoever was killed between a commit and what follows it left erased bytes in the log.
            self._truncate_wal(db)
        return db

    def _take_restored(self) -> None:
        """Finish a restore: what was here goes aside, the restored database takes its name. Again is fine.

        The log goes aside with its database, before the new one has the name: SQLite would replay it into that.
        """
        staged = self._beside(STAGED_SUFFIX)
        files.secure_directory(self._path.parent)
        if self._lock is None:
            self._lock = files.lock_file(self._path.with_name(LOCK_NAME))
        files.secure_file(staged)
        # The same name at each try, so that what was interrupted ends up in one place.
        aside = self._path.with_name(f"replaced-{staged.lstat().st_mtime_ns}")
        for suffix in ("", "-wal", "-shm", "-journal"):
            old = self._beside(suffix)
            if os.path.lexists(old):
                files.secure_directory(aside)
                old.rename(aside / old.name)
                files.sync_directory(aside)
        files.sync_directory(self._path.parent)
        staged.rename(self._path)
        files.sync_directory(self._path.parent)

    def snapshot(self, target: Path) -> None:
        """Copy the database as it is now into a new file, in one piece: no log, no free pages."""
        db = self._reader()
        if db is None:
            raise StorageError("there is no database")
        files.secure_file(target, create=True)
        db.execute("VACUUM INTO ?", (str(target),))

    def _reader(self) -> sqlite3.Connection | None:
        """Return the connection when there are tables to read."""
        db = self._open(create=False)
        return None if self._blank else db

    def close(self) -> None:
        """Close the file and give the lock back; again is fine, and so is using the object anew."""
        try:
            if self._db is not None:
                if self._stale_wal:
                    self._truncate_wal(self._db)
                self._db.close()
        finally:
            self._db = None
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    # -- reading --

    def exists(self) -> bool:
        """Whether there is a genesis entry: it was written with the tables, and opening looks for it."""
        return self._reader() is not None

    def records(self, kind: str | None) -> list[Record]:
        """Records by (kind, id), in code point order."""
        db = self._reader()
        if db is None:
            return []
        where, parameters = ("", ()) if kind is None else ("WHERE kind = ?", (kind,))
        rows = db.execute(
            f"SELECT kind, id, generation, sealed FROM record {where} ORDER BY kind, id",  # noqa: S608  # constants
            parameters,
        ).fetchall()
        return [Record(*row) for row in rows]

    def leaves(self, start: int, count: int | None = None) -> Iterator[bytes]:
        """Leaf bytes of entries ``start`` … in order. Raises `VaultDamaged` at a gap."""
        if start < 0 or (count is not None and count < 0):
            raise StorageError("entries are counted from 0")
        db = self._reader()
        if db is None:
            return
        # SQLite reads a negative LIMIT as "all".
        limit = -1 if count is None else count
        # closing: an error in the loop's body would otherwise keep the read transaction open.
        with closing(
            db.execute("SELECT seq, leaf FROM entry WHERE seq >= ? ORDER BY seq LIMIT ?", (start, limit))
        ) as cursor:
            for expected, (seq, leaf) in enumerate(cursor, start):
                if seq != expected:
                    raise VaultDamaged("an entry of the ledger is missing")
                yield leaf

    def opening(self, seq: int) -> tuple[bytes, bytes] | None:
        """(wrapped key, ciphertext), or None."""
        db = self._reader()
        if db is None:
            return None
        row = db.execute("SELECT wrapped_key, ciphertext FROM opening WHERE seq = ?", (seq,)).fetchone()
        return None if row is None else (row[0], row[1])

    def openings(self, start: int, count: int) -> list[int]:
        """Entries from ``start`` on that have an opening, ascending, at most ``count``."""
        if start < 0 or count < 0:
            raise StorageError("entries are counted from 0")
        db = self._reader()
        if db is None:
            return []
        rows = db.execute("SELECT seq FROM opening WHERE seq >= ? ORDER BY seq LIMIT ?", (start, count))
        return [row[0] for row in rows.fetchall()]

    def checkpoint(self) -> tuple[int, bytes] | None:
        """The newest (tree size, signed note), or None."""
        db = self._reader()
        if db is None:
            return None
        row = db.execute("SELECT size, note FROM checkpoint ORDER BY size DESC LIMIT 1").fetchone()
        return None if row is None else (row[0], row[1])

    # -- writing --

    def commit(self, batch: Batch) -> None:
        """Write all of ``batch`` durably, or nothing. The first one makes the tables, too."""
        if not batch.entries:
            # Every vault change is told by an entry whose leaf carries the vault's digest.
            raise StorageError("a commit needs an entry")
        db = self._open(create=True)
        assert db is not None
        held = self._stale_wal  # a reader was in the way before
        db.execute("BEGIN IMMEDIATE")
        try:
            if self._blank:
                schema.create_schema(db)
            self._erase(db, batch)
            self._append(db, batch)
            self._stale_wal |= self._change_records(db, batch)
            db.execute("COMMIT")
        except BaseException:
            self._roll_back(db)
            raise
        # From here on the batch is durable: nothing below may raise.
        if self._blank or batch.erase or batch.delete or held:
            self._blank = False
            self._truncate_wal(db)

    def tidy(self) -> None:
        """Let replaced bytes lie nowhere, if a commit before has left any. Never raises.

        It is no part of the commit, because nobody has to wait for it; what is deleted or erased is gone on return.
        """
        if not self._stale_wal or self._db is None:
            return
        try:
            self._db.execute("BEGIN IMMEDIATE")
            schema.rewrite(self._db, "record")
            self._db.execute("COMMIT")
        except sqlite3.Error:
            self._roll_back(self._db)
        if self._db is not None:
            self._truncate_wal(self._db)

    def _append(self, db: sqlite3.Connection, batch: Batch) -> None:
        """Insert entries, openings and checkpoint. Raises `StorageError` when they do not follow on."""
        size = db.execute("SELECT coalesce(max(seq) + 1, 0) FROM entry").fetchone()[0]
        for entry in batch.entries:
            if entry.seq != size:
                raise StorageError("the ledger has grown or shrunk under the writer")
            db.execute("INSERT INTO entry (seq, leaf) VALUES (?, ?)", (entry.seq, entry.leaf))
            if (entry.wrapped_key is None) != (entry.ciphertext is None):
                raise StorageError("half an opening")
            if entry.wrapped_key is not None:
                db.execute(
                    "INSERT INTO opening (seq, wrapped_key, ciphertext) VALUES (?, ?, ?)",
                    (entry.seq, entry.wrapped_key, entry.ciphertext),
                )
            size += 1
            if entry.checkpoint is not None:
                db.execute("INSERT INTO checkpoint (size, note) VALUES (?, ?)", (size, entry.checkpoint))
        if batch.checkpoint is not None:
            if batch.checkpoint[0] != size:
                raise StorageError("the checkpoint is not one of the new tree")
            db.execute("INSERT INTO checkpoint (size, note) VALUES (?, ?)", batch.checkpoint)

    def _erase(self, db: sqlite3.Connection, batch: Batch) -> None:
        """Destroy openings of entries of before. Raises `StorageError` unless each was there, once."""
        for seq in batch.erase:
            if db.execute("DELETE FROM opening WHERE seq = ?", (seq,)).rowcount != 1:
                raise StorageError("an opening to erase is not there")
        if batch.erase:
            schema.rewrite(db, "opening")

    def _change_records(self, db: sqlite3.Connection, batch: Batch) -> bool:
        """Delete, then put; whether sealed bytes that were there are gone now."""
        replaced = 0
        for key in batch.delete:
            replaced += db.execute("DELETE FROM record WHERE kind = ? AND id = ?", key).rowcount
        for record in batch.put:
            updated = db.execute(
                "UPDATE record SET generation = ?, sealed = ? WHERE kind = ? AND id = ?",
                (record.generation, record.sealed, record.kind, record.id),
            ).rowcount
            replaced += updated
            if not updated:
                db.execute(
                    "INSERT INTO record (kind, id, generation, sealed) VALUES (?, ?, ?, ?)",
                    (record.kind, record.id, record.generation, record.sealed),
                )
        if batch.delete:
            schema.rewrite(db, "record")
        return replaced > 0

    def _roll_back(self, db: sqlite3.Connection) -> None:
        try:
            db.rollback()
        except sqlite3.Error:
            # A connection in an unknown state is not used again; the next call opens a fresh one.
            self._db = None
            db.close()

    def _truncate_wal(self, db: sqlite3.Connection) -> None:
        """Move the write-ahead log into the file, so that replaced bytes lie in neither. Never raises.

        A reader in another process may hold the log; it is not waited for, and the next commit tries again.
        """
        self._stale_wal = True
        with contextlib.suppress(sqlite3.Error):
            db.execute("PRAGMA busy_timeout=0")
            busy = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            self._stale_wal = bool(busy)
        with contextlib.suppress(sqlite3.Error):
            db.execute(f"PRAGMA busy_timeout={schema.BUSY_MS}")


def _holds_bytes(path: Path) -> bool:
    return os.path.lexists(path) and path.lstat().st_size > 0
