"""Erased openings: no byte of them is in the database's files, whatever the pages went through and who was killed."""

from __future__ import annotations

import asyncio
import hashlib
import multiprocessing
import os
import random
import re
import signal
import sqlite3
from pathlib import Path

import pytest
from tests.rigs.stores import make_batch

from ownerd.core.ports import Batch, EntryRow, Record
from ownerd.model.errors import StorageError
from ownerd.storage.database import VaultDatabase
from ownerd.storage.store import SqliteStore

CONTEXT = multiprocessing.get_context("forkserver")
SIGN = b"\xfeCNRY"
MARK = 12
ANY = re.compile(re.escape(SIGN) + b".{%d}" % (MARK - len(SIGN)), re.DOTALL)


def canary(seq: int) -> bytes:
    return SIGN + hashlib.sha256(b"canary %d" % seq).digest()[: MARK - len(SIGN)]


def entry(seq: int, size: int) -> EntryRow:
    mark = canary(seq)
    return EntryRow(seq, b"leaf %d" % seq, mark * 7, mark * (size // MARK + 1))


def raw(path: Path) -> bytes:
    return b"".join(one.read_bytes() for one in sorted(path.parent.iterdir()))


def left(path: Path, gone: set[int]) -> list[int]:
    found = set(ANY.findall(raw(path)))
    return [seq for seq in sorted(gone) if canary(seq) in found]


async def _erase_in_rounds(path: Path, seed: int) -> None:
    dice = random.Random(seed)
    store = SqliteStore.open(path)
    there = set(range(300))
    await store.commit(
        Batch(tuple(entry(seq, dice.choice([40, 200, 700, 1500, 5000, 12000])) for seq in there))
    )
    gone: set[int] = set()
    for size in range(300, 312):
        erase = tuple(sorted(dice.sample(sorted(there), min(len(there), dice.choice([1, 3, 20, 80])))))
        await store.commit(Batch((entry(size, 300),), erase=erase))
        there -= set(erase)
        gone |= set(erase)
        assert left(path, gone) == [], f"left after {len(erase)} of {len(gone)}"
        assert left(path, there) == sorted(there)
    assert await store.openings(0, 1000) == [*sorted(there), *range(300, 312)]
    await store.close()


@pytest.mark.parametrize("seed", [4, 7, 14, 35])
def test_no_page_keeps_a_copy_of_what_moved_and_was_erased_later(store_path: Path, seed: int) -> None:
    asyncio.run(_erase_in_rounds(store_path, seed))


async def _change_in_rounds(path: Path, seed: int, rounds: int) -> None:
    """Records come, change their size and go; what was there before is nowhere."""
    dice = random.Random(seed)
    store = SqliteStore.open(path)
    versions = {f"r{n}": 0 for n in range(150)}

    def record(name: str) -> Record:
        text = f"<{name}/{versions[name]}>".encode()
        return Record("k", name, 1, text + bytes(dice.choice([40, 200, 700, 1500, 3500])))

    await store.commit(make_batch(0, put=tuple(record(name) for name in versions)))
    gone: set[str] = set()
    for size in range(1, rounds + 1):
        changed = dice.sample(sorted(versions), min(len(versions), dice.choice([1, 3, 15, 30])))
        deleted = [name for name in changed if dice.random() < 0.5]
        gone |= {f"<{name}/{versions[name]}>" for name in changed}
        for name in changed:
            versions[name] += 1
        put = tuple(record(name) for name in changed if name not in deleted)
        for name in deleted:
            del versions[name]
        await store.commit(make_batch(size, put=put, delete=tuple(("k", name) for name in deleted)))
        await store.checkpoint()  # what follows a commit comes before whatever is asked next
        data = raw(path)
        assert [one for one in sorted(gone) if one.encode() in data] == [], f"left in round {size}"
    assert {one.id for one in await store.records()} == set(versions)
    await store.close()


@pytest.mark.parametrize(("seed", "rounds"), [(20, 3), (34, 6), (16, 7)])
def test_no_page_keeps_a_record_of_before(store_path: Path, seed: int, rounds: int) -> None:
    asyncio.run(_change_in_rounds(store_path, seed, rounds))


def test_an_opening_that_is_not_there_is_not_erased_and_nothing_else_happens(store_path: Path) -> None:
    async def story() -> None:
        store = SqliteStore.open(store_path)
        await store.commit(make_batch(0, count=3))
        for erase in ((0, 7), (1, 1), (3,)):
            with pytest.raises(StorageError, match="not there"):
                await store.commit(make_batch(3, erase=erase))
        assert await store.openings(0, 10) == [0, 1, 2]
        assert len(await store.leaf_hashes()) == 3
        await store.close()

    asyncio.run(story())


def test_what_a_reader_held_goes_with_the_next_commit(store_path: Path) -> None:
    async def story() -> None:
        store = SqliteStore.open(store_path)
        await store.commit(Batch((entry(0, 900), entry(1, 900))))
        reader = sqlite3.connect(f"file:{store_path}?mode=ro", uri=True, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM opening").fetchone()
        await store.commit(Batch((entry(2, 900),), erase=(0,)))
        assert left(store_path, {0}) == [0]
        reader.close()
        await store.commit(make_batch(3))
        assert left(store_path, {0}) == []
        await store.close()

    asyncio.run(story())


def _die_after_the_commit(path: str) -> None:
    VaultDatabase._truncate_wal = lambda *_: os.kill(os.getpid(), signal.SIGKILL)

    async def story() -> None:
        store = SqliteStore.open(Path(path))
        await store.commit(Batch((entry(2, 900),), erase=(0,)))

    asyncio.run(story())


def test_who_is_killed_after_the_commit_leaves_nothing_once_it_is_opened_again(store_path: Path) -> None:
    async def fill() -> None:
        store = SqliteStore.open(store_path)
        await store.commit(Batch((entry(0, 900), entry(1, 900))))
        await store.close()

    asyncio.run(fill())
    child = CONTEXT.Process(target=_die_after_the_commit, args=(str(store_path),))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert left(store_path, {0}) == [0], "the log was not moved into the file yet"

    async def look() -> None:
        store = SqliteStore.open(store_path)
        assert await store.openings(0, 10) == [1, 2]
        assert left(store_path, {0}) == []
        await store.close()

    asyncio.run(look())


def test_a_snapshot_has_everything_but_what_was_erased(store_path: Path) -> None:
    async def story() -> None:
        store = SqliteStore.open(store_path)
        await store.commit(Batch((entry(0, 900), entry(1, 900))))
        await store.commit(Batch((entry(2, 900),), erase=(0,)))
        copy = store_path.parent / "copy" / "ownerd.db"
        copy.parent.mkdir(mode=0o700)
        await store.snapshot(copy)
        with pytest.raises(StorageError):
            await store.snapshot(copy)
        await store.close()
        second = SqliteStore.open(copy)
        assert await second.openings(0, 10) == [1, 2]
        assert len(await second.leaf_hashes()) == 3
        await second.close()
        assert left(copy, {0}) == []

    asyncio.run(story())


@pytest.mark.parametrize("name", ["backing-up", "restoring"])
def test_a_copy_that_a_killed_daemon_left_is_gone_at_the_next_opening(store_path: Path, name: str) -> None:
    async def fill() -> None:
        store = SqliteStore.open(store_path)
        await store.commit(Batch((entry(0, 900),)))
        await store.close()

    asyncio.run(fill())
    copy = store_path.parent / name
    copy.mkdir(mode=0o700)
    (copy / "ownerd.db").write_bytes(store_path.read_bytes())

    async def look() -> None:
        store = SqliteStore.open(store_path)
        assert await store.exists()
        assert not copy.exists()
        await store.close()

    asyncio.run(look())
