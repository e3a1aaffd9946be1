"""kill -9 at every step of a restore: the old database is there or the new one, whole, and nothing was deleted."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sqlite3
from pathlib import Path

from tests.integration.storage.restorer import backup_of, restore
from tests.rigs.stores import make_batch

from ownerd.storage.store import SqliteStore

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.integration.storage.restorer", "sqlite_utils"])
OLD, NEW = 3, 5


def _make(path: Path, entries: int) -> None:
    async def story() -> None:
        store = SqliteStore.open(path)
        for seq in range(entries):
            await store.commit(make_batch(seq))
        await store.close()

    asyncio.run(story())


def _with_log(path: Path) -> None:
    """As a killed daemon leaves it: the newest entries are in the write-ahead log alone."""
    child = CONTEXT.Process(target=_append_and_die, args=(str(path),))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert path.with_name("ownerd.db-wal").stat().st_size


def _append_and_die(path: str) -> None:
    async def story() -> None:
        store = SqliteStore.open(Path(path))
        await store.commit(make_batch(OLD - 1))
        os.kill(os.getpid(), signal.SIGKILL)

    asyncio.run(story())


async def _entries(path: Path) -> int:
    store = SqliteStore.open(path)
    try:
        return len(await store.leaf_hashes())
    finally:
        await store.close()


def _killed_at(steps: int, path: Path, backup: Path) -> bool:
    child = CONTEXT.Process(target=restore, args=(str(path), str(backup), steps))
    child.start()
    child.join()
    assert child.exitcode in (0, -signal.SIGKILL)
    return bool(child.exitcode)


def _round(directory: Path, steps: int, backup: Path, *, log: bool) -> tuple[bool, int]:
    path = directory / str(steps) / "ownerd.db"
    _make(path, OLD - log)
    if log:
        _with_log(path)
    killed = _killed_at(steps, path, backup)
    found = asyncio.run(_entries(path))
    assert found in (OLD, NEW), f"neither the old nor the new database after step {steps}"
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
    if found == NEW:
        (aside,) = path.parent.glob("replaced-*/ownerd.db")
        assert asyncio.run(_entries(aside)) == OLD, "the old database is whole where it was put aside"
    assert not path.with_name("ownerd.db.restored").exists()
    return killed, found


def _all_rounds(tmp_path: Path, *, log: bool) -> None:
    _make(tmp_path / "new" / "ownerd.db", NEW)
    backup = tmp_path / "backup"
    backup.write_bytes(backup_of((tmp_path / "new" / "ownerd.db").read_bytes()))
    found, steps, killed = [], 0, True
    while killed:
        killed, entries = _round(tmp_path / "rounds", steps, backup, log=log)
        found.append(entries)
        steps += 1
    # Once it is the new one it stays the new one, and there were steps on both sides.
    assert found == sorted(found)
    assert found.count(OLD) > 3
    assert found.count(NEW) > 3


def test_killed_at_every_step_over_a_vault(tmp_path: Path) -> None:
    _all_rounds(tmp_path, log=False)


def test_killed_at_every_step_over_a_vault_with_a_write_ahead_log(tmp_path: Path) -> None:
    _all_rounds(tmp_path, log=True)


def test_a_log_that_a_reader_kept_is_never_replayed_into_the_restored_database(tmp_path: Path) -> None:
    """With a reader on it the old log stays when its database is closed; SQLite would take it for the new one's."""
    _make(tmp_path / "new" / "ownerd.db", NEW)
    backup = tmp_path / "backup"
    backup.write_bytes(backup_of((tmp_path / "new" / "ownerd.db").read_bytes()))
    path = tmp_path / "here" / "ownerd.db"
    _make(path, OLD - 1)
    _with_log(path)
    reader = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM entry").fetchone()
    assert not _killed_at(1000, path, backup)
    assert path.parent.joinpath("ownerd.db-wal").exists() is False
    assert list(path.parent.glob("replaced-*/ownerd.db-wal"))
    reader.close()
    assert asyncio.run(_entries(path)) == NEW


def test_killed_at_every_step_on_an_empty_machine(tmp_path: Path) -> None:
    _make(tmp_path / "new" / "ownerd.db", NEW)
    backup = tmp_path / "backup"
    backup.write_bytes(backup_of((tmp_path / "new" / "ownerd.db").read_bytes()))
    found, steps, killed = [], 0, True
    while killed:
        path = tmp_path / "rounds" / str(steps) / "ownerd.db"
        killed = _killed_at(steps, path, backup)
        found.append(asyncio.run(_entries(path)))
        steps += 1
    assert found == sorted(found)
    assert set(found) == {0, NEW}
