"""A process that puts a restored database in place and is killed, by itself, at one exact step of it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ownerd.core.backup_file import MAGIC
from ownerd.storage.backups import BackupFiles
from ownerd.storage.store import SqliteStore


def _dying(call: Callable[..., Any], steps: list[int]) -> Callable[..., Any]:
    """``call``, with death before it once ``steps`` has counted down."""

    def counted(*args: Any, **options: Any) -> Any:
        steps[0] -= 1
        if steps[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **options)

    return counted


def backup_of(database: bytes) -> bytes:
    """A file that `BackupFiles.stage` reads, its chunks in clear."""
    return MAGIC + (2).to_bytes(4, "big") + b"{}" + database


def restore(database: str, backup: str, steps: int) -> None:
    """Stage ``backup`` and put it in the place of ``database``; die before step ``steps`` of what lasts."""
    left = [steps]
    for name in ("rename", "replace", "fsync", "mkdir", "unlink", "rmdir"):
        setattr(os, name, _dying(getattr(os, name), left))

    async def story() -> None:
        path = Path(database)
        store = SqliteStore.open(path)
        await store.exists()
        files = BackupFiles(store, path)
        staged = await files.stage(backup, lambda blocks: blocks)
        assert await staged.exists()
        await staged.close()
        await store.close()
        await files.adopt()

    asyncio.run(story())
