"""Stores: a fake in memory, the real one in a temporary directory, and a maker of plausible batches."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from msgspec.structs import replace

from ownerd.core.ports import Batch, EntryRow, Record
from ownerd.model.errors import StorageError
from ownerd.storage.store import SqliteStore


class FakeStore:
    """`StorePort` in memory. Set ``fail`` to an error, and every commit raises it and writes nothing."""

    def __init__(self) -> None:
        self.entries: list[EntryRow] = []
        self.checkpoints: list[tuple[int, bytes]] = []
        self.vault: dict[tuple[str, str], Record] = {}
        self.batches: list[Batch] = []
        self.fail: StorageError | None = None
        self.closed = False

    def _require_open(self) -> None:
        if self.closed:
            raise StorageError("the store is closed")

    async def exists(self) -> bool:
        self._require_open()
        return bool(self.entries)

    async def records(self, kind: str | None = None) -> list[Record]:
        self._require_open()
        # SQLite's order of text: UTF-8 bytes, which is code point order.
        return [self.vault[key] for key in sorted(self.vault) if kind is None or key[0] == kind]

    async def leaves(self, start: int, count: int) -> list[bytes]:
        self._require_open()
        if start < 0 or count < 0:
            raise StorageError("entries are counted from 0")
        return [entry.leaf for entry in self.entries[start : start + count]]

    async def leaf_hashes(self) -> list[bytes]:
        self._require_open()
        return [hashlib.sha256(b"\0" + entry.leaf).digest() for entry in self.entries]

    async def opening(self, seq: int) -> tuple[bytes, bytes] | None:
        self._require_open()
        if not 0 <= seq < len(self.entries):
            return None
        entry = self.entries[seq]
        if entry.wrapped_key is None or entry.ciphertext is None:
            return None
        return entry.wrapped_key, entry.ciphertext

    async def openings(self, start: int, count: int) -> list[int]:
        self._require_open()
        if start < 0 or count < 0:
            raise StorageError("entries are counted from 0")
        return [one.seq for one in self.entries if one.seq >= start and one.ciphertext is not None][:count]

    async def checkpoint(self) -> tuple[int, bytes] | None:
        self._require_open()
        return self.checkpoints[-1] if self.checkpoints else None

    async def commit(self, batch: Batch) -> None:
        self._require_open()
        if self.fail is not None:
            raise self.fail
        size = len(self.entries)
        if not batch.entries:
            raise StorageError("a commit needs an entry")
        if [entry.seq for entry in batch.entries] != list(range(size, size + len(batch.entries))):
            raise StorageError("the ledger has grown or shrunk under the writer")
        if any((entry.wrapped_key is None) != (entry.ciphertext is None) for entry in batch.entries):
            raise StorageError("half an opening")
        if batch.checkpoint is not None and batch.checkpoint[0] != size + len(batch.entries):
            raise StorageError("the checkpoint is not one of the new tree")
        for seq in batch.erase:
            if await self.opening(seq) is None or batch.erase.count(seq) > 1:
                raise StorageError("an opening to erase is not there")
        for seq in batch.erase:
            self.entries[seq] = replace(self.entries[seq], wrapped_key=None, ciphertext=None)
        self.entries += batch.entries
        self.checkpoints += [
            (row.seq + 1, row.checkpoint) for row in batch.entries if row.checkpoint is not None
        ]
        if batch.checkpoint is not None:
            self.checkpoints.append(batch.checkpoint)
        for key in batch.delete:
            self.vault.pop(key, None)
        for record in batch.put:
            self.vault[record.kind, record.id] = record
        self.batches.append(batch)

    async def close(self) -> None:
        self.closed = True


def make_batch(seq: int, *, size: int = 1400, count: int = 1, opening: bool = True, **more: object) -> Batch:
    """A batch of ``count`` entries from ``seq`` on, with openings and a checkpoint of the new size."""
    entries = tuple(
        EntryRow(
            number,
            (b'{"v":1,"seq":%d}' % number).ljust(size, b" "),
            *((b"wrapped" * 10, b"sealed" * 60) if opening else ()),
        )
        for number in range(seq, seq + count)
    )
    return Batch(entries, checkpoint=(seq + count, b"note %d" % (seq + count)), **more)  # type: ignore[arg-type]


@pytest.fixture
def fake_store() -> FakeStore:
    return FakeStore()


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    """Where a database may be made; neither it nor its directory is there yet."""
    return tmp_path / "data" / "ownerd" / "ownerd.db"


@pytest.fixture
def sqlite_store(store_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore.open(store_path)
    yield store
    asyncio.run(store.close())


def missing_rig(reason: str) -> NoReturn:
    """Skip where a part of the rig is missing; in CI that is a failure."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
