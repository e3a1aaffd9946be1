"""A write-ahead log that a crash or a hand cut off: the store opens to some whole prefix of what was committed."""

from __future__ import annotations

import asyncio
import random
import shutil
from pathlib import Path

import pytest
from tests.rigs.stores import make_batch

from ownerd.model.errors import StorageError
from ownerd.storage.store import SqliteStore

ENTRIES = 25


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files as a crash leaves them: the set-up in the database, everything after it in the log."""
    origin = tmp_path_factory.mktemp("torn") / "origin"

    async def story() -> None:
        store = SqliteStore.open(origin / "ownerd.db")
        for seq in range(ENTRIES):
            await store.commit(make_batch(seq))
        shutil.copytree(origin, origin.with_name("crashed"))
        await store.close()

    asyncio.run(story())
    return origin.with_name("crashed")


async def _size(path: Path) -> int:
    """Open what is there, require it to be whole, append to it; return how many entries were found."""
    store = SqliteStore.open(path)
    try:
        size = len(await store.leaf_hashes())
        assert await store.checkpoint() == (size, b"note %d" % size)
        for seq in range(size):
            assert await store.opening(seq) is not None
        await store.commit(make_batch(size))
        return size
    finally:
        await store.close()


def _copy(crashed: Path, tmp_path: Path, wal: bytes | None, *, keep_index: bool = False) -> Path:
    target = tmp_path / "ownerd"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(crashed, target)
    if not keep_index:
        (target / "ownerd.db-shm").unlink()
    if wal is None:
        (target / "ownerd.db-wal").unlink()
    else:
        (target / "ownerd.db-wal").write_bytes(wal)
    return target / "ownerd.db"


def test_an_untouched_log_holds_everything(crashed: Path, tmp_path: Path) -> None:
    wal = (crashed / "ownerd.db-wal").read_bytes()
    assert asyncio.run(_size(_copy(crashed, tmp_path, wal))) == ENTRIES


@pytest.mark.parametrize("wal", [None, b"", b"\0" * 32, b"garbage" * 1000])
def test_a_lost_log_loses_entries_and_nothing_else(crashed: Path, tmp_path: Path, wal: bytes | None) -> None:
    """Only the ledger's own head, kept elsewhere, tells that these entries were there."""
    assert asyncio.run(_size(_copy(crashed, tmp_path, wal))) == 1


def test_a_log_cut_anywhere_opens_to_a_prefix(crashed: Path, tmp_path: Path) -> None:
    wal = (crashed / "ownerd.db-wal").read_bytes()
    dice = random.Random(2)
    sizes = [
        asyncio.run(_size(_copy(crashed, tmp_path, wal[:length], keep_index=dice.random() < 0.3)))
        for length in sorted(dice.sample(range(len(wal)), 25))
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1] <= ENTRIES


def test_a_log_with_a_flipped_byte_opens_to_a_prefix_or_says_so(crashed: Path, tmp_path: Path) -> None:
    whole = (crashed / "ownerd.db-wal").read_bytes()
    dice = random.Random(3)
    sizes = set()
    for _ in range(25):
        wal = bytearray(whole)
        wal[dice.randrange(len(wal))] ^= 1 << dice.randrange(8)
        try:
            sizes.add(asyncio.run(_size(_copy(crashed, tmp_path, bytes(wal)))))
        except StorageError:
            sizes.add(-1)
    assert max(sizes) <= ENTRIES
    assert len(sizes) > 5
