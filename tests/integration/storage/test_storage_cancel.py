"""Cancelling whoever waits for a commit neither undoes nor loses it."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from tests.rigs.stores import make_batch

from ownerd.model.errors import StorageError
from ownerd.storage.store import SqliteStore


def _block(store: SqliteStore) -> threading.Event:
    """Keep the store's thread busy until the event is set."""
    gate = threading.Event()
    store._thread.submit(gate.wait, 10)
    return gate


def test_a_cancelled_commit_that_waits_for_its_turn_is_done(sqlite_store: SqliteStore) -> None:
    async def story() -> None:
        await sqlite_store.commit(make_batch(0))
        gate = _block(sqlite_store)
        commit = asyncio.ensure_future(sqlite_store.commit(make_batch(1)))
        await asyncio.sleep(0)
        commit.cancel()
        with pytest.raises(asyncio.CancelledError):
            await commit
        gate.set()
        assert len(await sqlite_store.leaf_hashes()) == 2

    asyncio.run(story())


def test_a_commit_cancelled_at_any_instant_is_done_whole(sqlite_store: SqliteStore) -> None:
    async def story() -> None:
        for seq in range(60):
            commit = asyncio.ensure_future(sqlite_store.commit(make_batch(seq)))
            await asyncio.sleep(0)
            if seq % 3:
                await asyncio.sleep(seq * 0.00002)
            commit.cancel()
            await asyncio.wait([commit])
        assert len(await sqlite_store.leaf_hashes()) == 60
        assert await sqlite_store.checkpoint() == (60, b"note 60")

    asyncio.run(story())


def test_closing_waits_for_a_cancelled_commit(store_path: Path) -> None:
    async def story() -> None:
        store = SqliteStore.open(store_path)
        gate = _block(store)
        commit = asyncio.ensure_future(store.commit(make_batch(0)))
        await asyncio.sleep(0)
        commit.cancel()
        closing = asyncio.ensure_future(store.close())
        await asyncio.sleep(0)
        with pytest.raises(StorageError, match="closed"):
            await store.commit(make_batch(1))
        gate.set()
        await closing
        again = SqliteStore.open(store_path)
        assert len(await again.leaf_hashes()) == 1
        await again.close()

    asyncio.run(story())


def test_the_event_loop_runs_on_while_a_commit_waits(sqlite_store: SqliteStore) -> None:
    async def story() -> None:
        gate = _block(sqlite_store)
        commit = asyncio.ensure_future(sqlite_store.commit(make_batch(0)))
        for _ in range(100):
            await asyncio.sleep(0)
        assert not commit.done()
        gate.set()
        await commit

    asyncio.run(story())
