"""A process that appends until it is killed, and says what came back from `commit`."""

from __future__ import annotations

import asyncio
import os
from multiprocessing.connection import Connection
from pathlib import Path

from tests.rigs.stores import make_batch

from ownerd.core.ports import Record
from ownerd.model.errors import StorageError
from ownerd.storage.store import SqliteStore


def append_for_ever(path: str, reports: Connection) -> None:
    """Append entries with changing records; write every committed number to the pipe ``reports``."""
    report = reports.fileno()

    async def story() -> None:
        os.write(report, b"open\n")
        store = SqliteStore.open(Path(path))
        size = len(await store.leaf_hashes())
        while True:
            records = (Record("counter", "n", size + 1, b"sealed %d" % size),) if size % 7 == 0 else ()
            await store.commit(make_batch(size, put=records))
            os.write(report, b"%d\n" % size)
            size += 1

    try:
        asyncio.run(story())
    except StorageError as error:
        os.write(report, f"error {error}\n".encode())
        raise
