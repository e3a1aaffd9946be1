"""Backup files, and the database that one is opened into: `core.ports.BackupPort`.

A backup is opened into a directory of its own beside the vault. When it is complete it is renamed to
``ownerd.db.restored``: from that instant on it is the vault, and whoever opens the database next moves what was there
before aside and gives it its name (`ownerd.storage.database`). Nothing that was there is ever deleted.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from ownerd.core.backup_file import CHUNK_BYTES, PREFIX_BYTES, TAG_BYTES, header_bytes
from ownerd.core.ports import BackupHead
from ownerd.model.errors import BackupDamaged, StorageError, UnsafeFile
from ownerd.storage import files
from ownerd.storage.database import BACKING_UP, RESTORING, STAGED_SUFFIX
from ownerd.storage.faults import storage_errors
from ownerd.storage.store import SqliteStore


class BackupFiles:
    """`BackupPort` for one store."""

    def __init__(self, store: SqliteStore, database: Path) -> None:
        self._store = store
        self._database = database

    # -- making one --

    async def require_new(self, path: str) -> None:
        """Raise `UnsafeFile` unless a file can be made at ``path``."""
        await asyncio.to_thread(_require_new, Path(path))

    async def write(self, path: str, seal: Callable[[int, Iterator[bytes]], Iterator[bytes]]) -> int:
        """Snapshot, then seal into a file that appears whole or not at all."""
        directory = self._database.with_name(BACKING_UP)
        await asyncio.to_thread(_remake, directory)
        try:
            snapshot = directory / "ownerd.db"
            await self._store.snapshot(snapshot)
            return await asyncio.to_thread(_write, Path(path), snapshot, seal)
        finally:
            files.remove_directory(directory)

    # -- reading one --

    async def read_head(self, path: str) -> BackupHead:
        """Read the beginning of a regular file."""
        return await asyncio.to_thread(_read_head, Path(path))

    async def stage(self, path: str, unseal: Callable[[Iterator[bytes]], Iterator[bytes]]) -> SqliteStore:
        """Open the chunks into a fresh directory beside the vault."""
        staged = self._staged()

        def work() -> None:
            with storage_errors():
                files.secure_directory(self._database.parent)
                _remake(staged.parent)
                with _open_backup(Path(path)) as source:
                    source.seek(PREFIX_BYTES + header_bytes(source.read(PREFIX_BYTES)))
                    _write_all(staged, unseal(_blocks(source, CHUNK_BYTES + TAG_BYTES)))

        await asyncio.to_thread(work)
        return SqliteStore.open(staged)

    async def occupied(self) -> bool:
        """Whether there is a database, or a write-ahead log that lost its own."""
        names = [self._database.with_name(self._database.name + suffix) for suffix in ("", "-wal")]
        return await asyncio.to_thread(lambda: any(os.path.lexists(name) for name in names))

    async def adopt(self) -> None:
        """Rename the staged database: the one step. What follows is done at the next opening, if not here."""

        def work() -> None:
            with storage_errors():
                staged = self._staged()
                if any(
                    path.name not in ("ownerd.db", "ownerd.db-wal", "ownerd.db-shm", "ownerd.lock")
                    or (path.name == "ownerd.db-wal" and path.stat().st_size)
                    for path in staged.parent.iterdir()
                ):
                    raise StorageError("the restored database is not closed")
                staged.replace(self._database.with_name(self._database.name + STAGED_SUFFIX))
                files.sync_directory(self._database.parent)

        await asyncio.to_thread(work)
        await self.discard()
        store = SqliteStore.open(self._database)
        try:
            await store.exists()
        finally:
            await store.close()

    async def discard(self) -> None:
        """Remove what was staged."""
        files.remove_directory(self._staged().parent)

    def _staged(self) -> Path:
        return self._database.with_name(RESTORING) / "ownerd.db"


def _remake(directory: Path) -> None:
    """An empty directory of ours; what a killed daemon left in it goes."""
    with storage_errors():
        files.remove_directory(directory)
        files.secure_directory(directory)


def _require_new(path: Path) -> None:
    with storage_errors():
        try:
            status = path.parent.stat()
        except FileNotFoundError as error:
            raise UnsafeFile("there is no such directory for the backup") from error
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            raise UnsafeFile("the directory for the backup belongs to another user")
        if os.path.lexists(path):
            raise UnsafeFile("the backup would replace a file; choose another name")


def _write(path: Path, snapshot: Path, seal: Callable[[int, Iterator[bytes]], Iterator[bytes]]) -> int:
    with storage_errors():
        _require_new(path)
        # The name is taken first, so that nothing that came there meanwhile is replaced; never through a link.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        os.close(os.open(path, flags, 0o600))
        temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}")
        try:
            with snapshot.open("rb") as source:
                length = os.fstat(source.fileno()).st_size
                written = _write_all(temporary, seal(length, _blocks(source, CHUNK_BYTES)))
            temporary.replace(path)
        except BaseException:
            for left in (temporary, path):
                with suppress(OSError):
                    left.unlink()
            raise
        files.sync_directory(path.parent)
        return written


def _write_all(path: Path, blocks: Iterator[bytes]) -> int:
    """Write a new private file, durable on return; its length."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "wb") as target:
        written = sum(target.write(block) for block in blocks)
        target.flush()
        os.fsync(target.fileno())
    return written


def _blocks(source: BinaryIO, size: int) -> Iterator[bytes]:
    while block := source.read(size):
        yield block


def _open_backup(path: Path) -> BinaryIO:
    """Open a regular file, whatever else the name may be. Raises `BackupDamaged`, `OSError`."""
    try:
        # O_NONBLOCK: a pipe must not hold the daemon.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise BackupDamaged("there is no such file") from error
    except OSError as error:
        raise BackupDamaged("the backup cannot be read") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BackupDamaged("the backup is not a regular file")
    return os.fdopen(descriptor, "rb")


def _read_head(path: Path) -> BackupHead:
    with storage_errors(), _open_backup(path) as source:
        prefix = source.read(PREFIX_BYTES)
        length = header_bytes(prefix)
        data = prefix + source.read(length)
        return BackupHead(data, os.fstat(source.fileno()).st_size - len(data))
