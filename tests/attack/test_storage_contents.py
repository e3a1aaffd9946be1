"""A database whose contents somebody prepared: refused at the door, or answered by a `StorageError`, never obeyed."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from pathlib import Path

import pytest
from tests.rigs.stores import make_batch

from ownerd.core.ports import Record
from ownerd.model.errors import StorageError, VaultDamaged
from ownerd.storage.store import SqliteStore


def _filled(path: Path, entries: int = 3) -> None:
    async def story() -> None:
        store = SqliteStore.open(path)
        await store.commit(make_batch(0, count=entries, put=(Record("k", "a", 1, b"sealed" * 50),)))
        await store.close()

    asyncio.run(story())


def _alter(path: Path, script: str) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.close()


async def _read_all(path: Path) -> int:
    """Use every reading method; return the number of entries."""
    store = SqliteStore.open(path)
    try:
        await store.exists()
        await store.records()
        await store.opening(0)
        await store.checkpoint()
        await store.leaves(0, 1000)
        return len(await store.leaf_hashes())
    finally:
        await store.close()


async def _append(path: Path, seq: int) -> None:
    store = SqliteStore.open(path)
    try:
        await store.commit(make_batch(seq))
    finally:
        await store.close()


SCHEMAS = {
    "a trigger that swallows entries": (
        "CREATE TRIGGER t AFTER INSERT ON entry BEGIN DELETE FROM entry WHERE seq = new.seq; END"
    ),
    "a view in a table's place": "ALTER TABLE meta RENAME TO m; CREATE VIEW meta AS SELECT * FROM m",
    "a table more": "CREATE TABLE spy (leaf)",
    "an index more": "CREATE INDEX i ON record (sealed)",
    "a table less": "DROP TABLE meta",
    "a column more": "ALTER TABLE entry ADD COLUMN note BLOB",
    "a table that takes any type": "DROP TABLE meta; CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "an older format": "PRAGMA user_version=0",
}


@pytest.mark.parametrize("script", SCHEMAS.values(), ids=SCHEMAS)
def test_another_schema_is_damage(store_path: Path, script: str) -> None:
    _filled(store_path)
    _alter(store_path, script)
    for attempt in (_read_all(store_path), _append(store_path, 3)):
        with pytest.raises(VaultDamaged, match="tables"):
            asyncio.run(attempt)


def test_a_newer_format_is_refused_by_name(store_path: Path) -> None:
    _filled(store_path)
    _alter(store_path, "PRAGMA user_version=2")
    for attempt in (_read_all(store_path), _append(store_path, 3)):
        with pytest.raises(StorageError, match="format 2 of a newer ownerd; this one knows format 1"):
            asyncio.run(attempt)


@pytest.mark.parametrize(
    "script", ["CREATE TABLE notes (a)", "PRAGMA application_id=1", "PRAGMA user_version=1"]
)
def test_another_programs_database_is_left_alone(store_path: Path, script: str) -> None:
    store_path.parent.mkdir(parents=True)
    store_path.parent.chmod(0o700)
    store_path.touch(mode=0o600)
    _alter(store_path, script)
    with pytest.raises(StorageError, match="another program"):
        asyncio.run(_append(store_path, 0))


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("DELETE FROM entry WHERE seq = 0", "first entry"),
        ("DELETE FROM entry", "first entry"),
        ("DELETE FROM entry WHERE seq = 1", "an entry of the ledger is missing"),
        ("UPDATE entry SET seq = 7 WHERE seq = 2", "an entry of the ledger is missing"),
        ("UPDATE entry SET seq = -1 WHERE seq = 0", "first entry"),
    ],
)
def test_a_gap_is_damage(store_path: Path, script: str, message: str) -> None:
    _filled(store_path)
    _alter(store_path, script)
    with pytest.raises(VaultDamaged, match=message):
        asyncio.run(_read_all(store_path))


def test_an_emptied_ledger_is_not_taken_for_a_new_one(store_path: Path) -> None:
    """Otherwise a new set-up would go over the sealed records that are still there."""
    _filled(store_path)
    _alter(store_path, "DELETE FROM entry; DELETE FROM checkpoint; DELETE FROM opening")
    with pytest.raises(VaultDamaged, match="first entry"):
        asyncio.run(_append(store_path, 0))


@pytest.mark.parametrize("content", [b"x", b"not a database" * 500, b"SQLite format 3\0" + bytes(4080)])
def test_a_file_that_is_no_database_is_damage(store_path: Path, content: bytes) -> None:
    _filled(store_path)
    store_path.write_bytes(content)
    for attempt in (_read_all(store_path), _append(store_path, 0)):
        with pytest.raises(VaultDamaged):
            asyncio.run(attempt)
    assert store_path.read_bytes() == content


def test_a_lost_file_beside_a_full_log_is_damage_and_not_a_new_vault(store_path: Path) -> None:
    async def story() -> None:
        store = SqliteStore.open(store_path)
        await store.commit(make_batch(0))
        await store.commit(make_batch(1))
        wal = store_path.with_name("ownerd.db-wal").read_bytes()
        await store.close()
        store_path.unlink()
        store_path.with_name("ownerd.db-wal").write_bytes(wal)

    asyncio.run(story())
    for attempt in (_read_all(store_path), _append(store_path, 0)):
        with pytest.raises(VaultDamaged, match="gone"):
            asyncio.run(attempt)
    assert not store_path.exists()


def test_flipped_bytes_never_raise_anything_else(store_path: Path) -> None:
    _filled(store_path, entries=12)
    whole = store_path.read_bytes()
    dice = random.Random(1)
    refused = 0
    for _ in range(60):
        damaged = bytearray(whole)
        # Half of the hits go where SQLite keeps its structure: file header, schema and page headers.
        for _ in range(dice.choice([1, 4, 64])):
            page = dice.randrange(len(whole) // 4096) * 4096
            damaged[page + dice.choice([dice.randrange(120), dice.randrange(4096)])] ^= dice.randrange(1, 256)
        store_path.write_bytes(damaged)
        try:
            asyncio.run(_read_all(store_path))
            asyncio.run(_append(store_path, 12))
        except StorageError:
            refused += 1
    assert refused > 20


def test_a_database_cut_short_is_damage(store_path: Path) -> None:
    _filled(store_path, entries=12)
    whole = store_path.read_bytes()
    # Up to the last page: what is missing of that one may be a leaf's bytes, which the ledger's verifier judges.
    for length in [*range(1, 600, 50), *range(600, len(whole) - 4096, 1777)]:
        store_path.write_bytes(whole[:length])
        with pytest.raises(VaultDamaged):
            asyncio.run(_read_all(store_path))
