"""What every `StorePort` does, on the fake and on the real one."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from tests.rigs.stores import FakeStore, make_batch

from ownerd.core.ports import Batch, EntryRow, Record, StorePort
from ownerd.model.errors import StorageError

T = TypeVar("T")


@pytest.fixture(params=["fake_store", "sqlite_store"])
def store(request: pytest.FixtureRequest) -> StorePort:
    found: StorePort = request.getfixturevalue(request.param)
    return found


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def test_a_new_store_is_empty(store: StorePort) -> None:
    async def story() -> None:
        assert not await store.exists()
        assert await store.records() == []
        assert await store.leaves(0, 10) == []
        assert await store.leaf_hashes() == []
        assert await store.opening(0) is None
        assert await store.checkpoint() is None
        assert not await store.exists()

    run(story())


def test_a_batch_comes_back_whole(store: StorePort) -> None:
    record = Record("claim", "name", 1, b"sealed")
    batch = make_batch(0, count=3, put=(record,))

    async def story() -> None:
        await store.commit(batch)
        assert await store.exists()
        leaves = [entry.leaf for entry in batch.entries]
        assert await store.leaves(0, 10) == leaves
        assert await store.leaves(1, 1) == leaves[1:2]
        assert await store.leaves(2, 5) == leaves[2:]
        assert await store.leaves(3, 5) == []
        assert await store.leaf_hashes() == [hashlib.sha256(b"\0" + leaf).digest() for leaf in leaves]
        assert await store.opening(1) == (batch.entries[1].wrapped_key, batch.entries[1].ciphertext)
        assert await store.checkpoint() == (3, b"note 3")
        assert await store.records() == [record]

    run(story())


def test_an_entry_may_have_no_opening_and_no_checkpoint(store: StorePort) -> None:
    async def story() -> None:
        await store.commit(make_batch(0))
        await store.commit(Batch((EntryRow(1, b"leaf"),)))
        assert await store.opening(1) is None
        assert await store.checkpoint() == (1, b"note 1")
        await store.commit(make_batch(2))
        assert await store.checkpoint() == (3, b"note 3")

    run(story())


def test_records_are_put_replaced_deleted_and_sorted(store: StorePort) -> None:
    def record(kind: str, id_: str, generation: int = 1) -> Record:
        return Record(kind, id_, generation, f"{kind}{id_}{generation}".encode())

    # UTF-8 order is code point order: not that of UTF-16, nor of any language.
    ids = ["B", "a", "é", "\ue000", "\U0001f511"]

    async def story() -> None:
        await store.commit(make_batch(0, put=tuple(record("k", id_) for id_ in reversed(ids))))
        await store.commit(make_batch(1, put=(record("j", "z"), record("k", "B", 2)), delete=(("k", "a"),)))
        kept = [record("k", "B", 2), *(record("k", id_) for id_ in ids[2:])]
        assert await store.records() == [record("j", "z"), *kept]
        assert await store.records("k") == kept
        assert await store.records("none") == []

    run(story())


def test_deleting_what_is_not_there_is_no_error_and_put_wins_over_delete(store: StorePort) -> None:
    new = Record("k", "a", 2, b"new")

    async def story() -> None:
        await store.commit(make_batch(0, put=(Record("k", "a", 1, b"old"),), delete=(("x", "y"),)))
        await store.commit(make_batch(1, put=(new,), delete=(("k", "a"),)))
        assert await store.records() == [new]

    run(story())


REFUSED = {
    "an entry too far": make_batch(2),
    "an entry again": make_batch(0),
    "a gap inside": Batch((EntryRow(1, b"a"), EntryRow(3, b"b"))),
    "the same twice": Batch((EntryRow(1, b"a"), EntryRow(1, b"b"))),
    "another tree's checkpoint": Batch((EntryRow(1, b"a"),), checkpoint=(1, b"n")),
    "a checkpoint of tomorrow": Batch((EntryRow(1, b"a"),), checkpoint=(3, b"n")),
    "half an opening": Batch((EntryRow(1, b"a", wrapped_key=b"k"),)),
    "the other half": Batch((EntryRow(1, b"a"), EntryRow(2, b"b", ciphertext=b"c"))),
    "a vault change that no entry tells": Batch((), put=(Record("k", "a", 1, b"s"),)),
}


@pytest.mark.parametrize("batch", REFUSED.values(), ids=REFUSED)
def test_a_refused_batch_writes_nothing(store: StorePort, batch: Batch) -> None:
    put = Record("k", "from the refused batch", 1, b"s")

    async def story() -> None:
        await store.commit(make_batch(0))
        with pytest.raises(StorageError):
            await store.commit(Batch(batch.entries, batch.checkpoint, put=(*batch.put, put)))
        assert len(await store.leaves(0, 10)) == 1
        assert await store.opening(1) is None
        assert await store.checkpoint() == (1, b"note 1")
        assert await store.records() == []
        await store.commit(make_batch(1))

    run(story())


def test_a_refused_first_batch_is_no_set_up(store: StorePort) -> None:
    async def story() -> None:
        with pytest.raises(StorageError):
            await store.commit(make_batch(1))
        assert not await store.exists()
        await store.commit(make_batch(0))
        assert await store.exists()

    run(story())


def test_counts_below_zero_are_refused(store: StorePort) -> None:
    async def story() -> None:
        await store.commit(make_batch(0))
        for start, count in ((-1, 1), (0, -1)):
            with pytest.raises(StorageError):
                await store.leaves(start, count)

    run(story())


def test_calls_are_done_in_their_order(store: StorePort) -> None:
    async def story() -> None:
        commits = [asyncio.ensure_future(store.commit(make_batch(seq))) for seq in range(20)]
        reading = asyncio.ensure_future(store.leaves(0, 100))
        await asyncio.gather(*commits)
        assert len(await reading) == 20

    run(story())


def test_a_closed_store_says_so_and_closes_again(store: StorePort) -> None:
    async def story() -> None:
        await store.commit(make_batch(0))
        await store.close()
        await store.close()
        with pytest.raises(StorageError, match="closed"):
            await store.exists()
        with pytest.raises(StorageError, match="closed"):
            await store.commit(make_batch(1))

    run(story())


def test_the_fake_fails_when_told_to(fake_store: FakeStore) -> None:
    fake_store.fail = StorageError("no space left for the database")
    with pytest.raises(StorageError, match="no space"):
        run(fake_store.commit(make_batch(0)))
    assert fake_store.entries == []
