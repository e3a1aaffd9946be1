"""The store: `core.ports.StorePort` on one SQLite file, with a thread of its own.

The thread owns the connection and does every call in the order in which it was made. What is sealed, and what a
leaf means, is not known here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from ownerd.core.ports import Batch, Record
from ownerd.ledger.merkle import leaf_hash
from ownerd.model.errors import StorageError
from ownerd.storage.database import VaultDatabase
from ownerd.storage.faults import storage_errors

T = TypeVar("T")


class SqliteStore:
    """`StorePort` on one SQLite file. Make it with `open`; end it with `close`."""

    def __init__(self, path: Path) -> None:
        self._database = VaultDatabase(path)  # touched on the thread alone
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ownerd-store")
        self._closed = False

    @classmethod
    def open(cls, path: Path) -> SqliteStore:
        """Return the store of the database at ``path``; touches no file yet."""
        return cls(path)

    async def exists(self) -> bool:
        """Whether a vault has been set up: whether there is a genesis entry."""
        return await self._call(self._database.exists)

    async def records(self, kind: str | None = None) -> list[Record]:
        """All records, or those of one kind, by (kind, id) in code point order."""
        return await self._call(lambda: self._database.records(kind))

    async def leaves(self, start: int, count: int) -> list[bytes]:
        """Leaf bytes of entries ``start`` … in order; fewer at the end. Raises `VaultDamaged` at a gap."""
        return await self._call(lambda: list(self._database.leaves(start, count)))

    async def leaf_hashes(self) -> list[bytes]:
        """RFC 6962 leaf hashes of all entries, read as a stream. Raises `VaultDamaged` at a gap."""
        return await self._call(lambda: [leaf_hash(leaf) for leaf in self._database.leaves(0)])

    async def opening(self, seq: int) -> tuple[bytes, bytes] | None:
        """(wrapped key, ciphertext) of an entry's opening, or None."""
        return await self._call(lambda: self._database.opening(seq))

    async def openings(self, start: int, count: int) -> list[int]:
        """Entries from ``start`` on that have an opening, ascending, at most ``count``."""
        return await self._call(lambda: self._database.openings(start, count))

    async def checkpoint(self) -> tuple[int, bytes] | None:
        """The newest (tree size, signed note)."""
        return await self._call(self._database.checkpoint)

    async def commit(self, batch: Batch) -> None:
        """Write all of ``batch`` in one transaction, durable on return, or nothing."""
        await self._call(lambda: self._database.commit(batch))
        if not self._closed:
            self._thread.submit(self._database.tidy)

    async def snapshot(self, target: Path) -> None:
        """Copy the database as it is now into a new file, ``target``."""
        await self._call(lambda: self._database.snapshot(target))

    async def close(self) -> None:
        """Finish what was asked and close; again is fine, any other call afterwards is a `StorageError`."""
        if self._closed:
            return
        self._closed = True  # in this step, so that no later call slips in behind the closing
        try:
            await self._run(self._database.close)
        finally:
            self._thread.shutdown(wait=False)

    async def _call(self, work: Callable[[], T]) -> T:
        if self._closed:
            raise StorageError("the store is closed")
        return await self._run(work)

    async def _run(self, work: Callable[[], T]) -> T:
        def run() -> T:
            with storage_errors():
                return work()

        # The shield: without it, cancelling the caller would take back a commit that still waits for its turn.
        return await asyncio.shield(asyncio.wrap_future(self._thread.submit(run)))
