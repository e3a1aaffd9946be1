"""The real database file: what lies on the disk, who may open it, what happens to old bytes."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
from pathlib import Path

import pytest
from tests.rigs.stores import make_batch

from ownerd.core.ports import Record
from ownerd.model.errors import StorageError
from ownerd.storage import files, schema
from ownerd.storage.store import SqliteStore


def test_opening_and_looking_make_no_file(store_path: Path) -> None:
    async def story() -> None:
        store = SqliteStore.open(store_path)
        assert not await store.exists()
        assert await store.records() == []
        await store.close()

    asyncio.run(story())
    assert not store_path.parent.exists()
    assert not store_path.parent.parent.exists()


def test_every_file_is_the_owners_alone(store_path: Path) -> None:
    async def story() -> dict[str, int]:
        store = SqliteStore.open(store_path)
        await store.commit(make_batch(0))
        await store.commit(make_batch(1))
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in store_path.parent.iterdir()}
        await store.close()
        return modes

    modes = asyncio.run(story())
    assert modes == dict.fromkeys(["ownerd.db", "ownerd.db-wal", "ownerd.db-shm", "ownerd.lock"], 0o600)
    assert stat.S_IMODE(store_path.parent.stat().st_mode) == 0o700
    # Missing parents are made as the XDG specification says.
    assert stat.S_IMODE(store_path.parent.parent.stat().st_mode) == 0o700


def test_the_file_names_its_program_and_format(store_path: Path, sqlite_store: SqliteStore) -> None:
    asyncio.run(sqlite_store.commit(make_batch(0)))
    header = store_path.read_bytes()[:100]
    assert header[60:64] == b"\0\0\0\1"
    assert header[68:72] == b"ownd"
    assert header[18:20] == b"\2\2"  # write-ahead log
    with sqlite3.connect(f"file:{store_path}?mode=ro", uri=True) as reader:
        strict = dict(reader.execute("SELECT name, strict FROM pragma_table_list WHERE schema = 'main'"))
        assert {name for name in strict if strict[name]} == {
            "entry",
            "opening",
            "checkpoint",
            "record",
            "meta",
        }
    reader.close()


def test_set_up_lies_in_the_file_itself_once_it_returned(store_path: Path) -> None:
    """Whoever loses the -wal of a fresh vault still has the genesis entry, and no second set-up goes over it."""

    async def story() -> None:
        store = SqliteStore.open(store_path)
        await store.commit(make_batch(0, put=(Record("slot", "1", 1, b"s"),)))
        assert store_path.with_name("ownerd.db-wal").stat().st_size == 0
        await store.close()

    asyncio.run(story())


def test_only_one_store_opens_a_database(store_path: Path, sqlite_store: SqliteStore) -> None:
    async def story() -> None:
        await sqlite_store.commit(make_batch(0))
        second = SqliteStore.open(store_path)
        for attempt in (second.exists(), second.leaf_hashes(), second.commit(make_batch(1))):
            with pytest.raises(StorageError, match="another ownerd runs"):
                await attempt
        await sqlite_store.commit(make_batch(1))
        await sqlite_store.close()
        await second.commit(make_batch(2))
        await second.close()

    asyncio.run(story())


def test_another_writer_is_noticed_even_without_its_lock(store_path: Path, sqlite_store: SqliteStore) -> None:
    async def story() -> None:
        await sqlite_store.commit(make_batch(0))
        with sqlite3.connect(store_path) as intruder:
            intruder.execute("INSERT INTO entry VALUES (1, x'00')")
        intruder.close()
        with pytest.raises(StorageError, match="under the writer"):
            await sqlite_store.commit(make_batch(1))

    asyncio.run(story())


def test_a_verifier_reads_while_the_store_writes(store_path: Path, sqlite_store: SqliteStore) -> None:
    """ownerctl reads the file without the daemon; a long read neither blocks commits nor sees half of one."""

    async def story() -> None:
        await sqlite_store.commit(make_batch(0, put=(Record("k", "a", 1, b"old"),)))
        reader = sqlite3.connect(f"file:{store_path}?mode=ro", uri=True, isolation_level=None)
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM entry").fetchone() == (1,)
        started = asyncio.get_running_loop().time()
        await sqlite_store.commit(make_batch(1, put=(Record("k", "a", 2, b"new"),)))
        assert asyncio.get_running_loop().time() - started < 1
        assert reader.execute("SELECT count(*) FROM entry").fetchone() == (1,)
        reader.execute("COMMIT")
        assert reader.execute("SELECT count(*) FROM entry").fetchone() == (2,)
        reader.close()

    asyncio.run(story())


def _bytes_on_disk(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(directory.iterdir()))


@pytest.mark.parametrize("how", ["replaced", "deleted"])
def test_sealed_bytes_that_were_taken_back_are_in_no_file(store_path: Path, how: str) -> None:
    old = b"the old sealed bytes" * 40

    async def story() -> None:
        store = SqliteStore.open(store_path)
        await store.commit(make_batch(0, put=(Record("k", "a", 1, old),)))
        await store.commit(make_batch(1))
        assert b"the old sealed bytes" in _bytes_on_disk(store_path.parent)
        if how == "replaced":
            await store.commit(make_batch(2, put=(Record("k", "a", 2, b"new" * 100),)))
            await store.checkpoint()  # what follows a commit comes before whatever is asked next
        else:
            await store.commit(make_batch(2, delete=(("k", "a"),)))
        assert b"old sealed" not in _bytes_on_disk(store_path.parent)
        await store.close()

    asyncio.run(story())


def test_old_bytes_that_a_reader_held_go_with_the_next_commit(store_path: Path) -> None:
    async def story() -> None:
        store = SqliteStore.open(store_path)
        await store.commit(make_batch(0, put=(Record("k", "a", 1, b"old sealed" * 100),)))
        reader = sqlite3.connect(f"file:{store_path}?mode=ro", uri=True, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM entry").fetchone()
        await store.commit(make_batch(1, delete=(("k", "a"),)))
        assert b"old sealed" in _bytes_on_disk(store_path.parent)
        reader.close()
        await store.commit(make_batch(2))
        assert b"old sealed" not in _bytes_on_disk(store_path.parent)
        await store.close()

    asyncio.run(story())


def test_a_store_reopens_with_everything(store_path: Path) -> None:
    async def story() -> None:
        first = SqliteStore.open(store_path)
        await first.commit(make_batch(0, count=5, put=(Record("k", "a", 1, b"s"),)))
        await first.close()
        second = SqliteStore.open(store_path)
        assert await second.exists()
        assert len(await second.leaf_hashes()) == 5
        assert await second.checkpoint() == (5, b"note 5")
        assert await second.records() == [Record("k", "a", 1, b"s")]
        await second.close()

    asyncio.run(story())


def test_paths_with_url_characters_work(tmp_path: Path) -> None:
    async def story() -> None:
        path = tmp_path / "ä b?mode=memory#%41&c" / "ownerd.db"
        store = SqliteStore.open(path)
        await store.commit(make_batch(0))
        await store.close()
        assert path.stat().st_size > 0

    asyncio.run(story())


@pytest.mark.parametrize("step", ["directory", "empty file", "write-ahead log on", "lock"])
def test_a_half_made_set_up_does_not_exist_and_is_made_again(store_path: Path, step: str) -> None:
    files.secure_directory(store_path.parent)
    if step == "lock":
        os.close(files.lock_file(store_path.with_name("ownerd.lock")))
    elif step != "directory":
        files.secure_file(store_path, create=True)
        if step == "write-ahead log on":
            schema.connect(store_path).close()
            assert store_path.stat().st_size == 4096

    async def story() -> None:
        store = SqliteStore.open(store_path)
        assert not await store.exists()
        assert await store.leaf_hashes() == []
        await store.commit(make_batch(0))
        assert await store.exists()
        await store.close()

    asyncio.run(story())


def test_a_program_that_holds_the_database_is_named_and_harmless(
    store_path: Path, sqlite_store: SqliteStore
) -> None:
    async def story() -> None:
        await sqlite_store.commit(make_batch(0))
        # The store would wait for two seconds; here it need not.
        await sqlite_store._run(lambda: sqlite_store._database._db.execute("PRAGMA busy_timeout=20"))
        other = sqlite3.connect(store_path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="another program holds the database"):
            await sqlite_store.commit(make_batch(1))
        assert len(await sqlite_store.leaf_hashes()) == 1
        other.execute("ROLLBACK")
        other.close()
        await sqlite_store.commit(make_batch(1))

    asyncio.run(story())


def test_an_error_keeps_its_cause(store_path: Path) -> None:
    store_path.parent.parent.mkdir()
    store_path.parent.touch(mode=0o600)

    async def story() -> None:
        store = SqliteStore.open(store_path)
        with pytest.raises(StorageError) as caught:
            await store.commit(make_batch(0, put=(Record("k", "\ud800", 1, b"s"),)))
        assert "/" not in str(caught.value)
        store_path.parent.unlink()
        with pytest.raises(StorageError) as caught:
            await store.commit(make_batch(0, put=(Record("k", "\ud800", 1, b"s"),)))
        assert isinstance(caught.value.__cause__, UnicodeEncodeError)
        assert not await store.exists()
        await store.commit(make_batch(0))
        with pytest.raises(StorageError) as caught:
            await store.opening(1 << 70)
        assert isinstance(caught.value.__cause__, OverflowError)
        await store.close()

    asyncio.run(story())
