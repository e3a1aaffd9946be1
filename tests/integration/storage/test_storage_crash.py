"""kill -9 at random instants: what `commit` returned for is there, what is there is whole (invariant 10)."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import signal
import sqlite3
import time
from pathlib import Path

from tests.integration.storage.appender import append_for_ever

from ownerd.storage.store import SqliteStore

# A server that has everything imported forks each child, so that a round costs milliseconds.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.integration.storage.appender", "sqlite_utils"])


def _killed_round(path: Path, seconds: float, *, entries: int) -> list[int]:
    """Let a child append until it reported ``entries`` and ``seconds`` more; kill it; return what it reported."""
    reading, writing = CONTEXT.Pipe(duplex=False)
    child = CONTEXT.Process(target=append_for_ever, args=(str(path), writing))
    child.start()
    writing.close()
    with os.fdopen(os.dup(reading.fileno()), "rb", buffering=0) as reports:
        told = [reports.readline() for _ in range(entries + 1)]
        time.sleep(seconds)
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        assert child.exitcode == -signal.SIGKILL
        told += reports.read().splitlines()
    reading.close()
    assert told[0] == b"open\n"
    return [int(line) for line in told[1:]]


async def _verified_size(path: Path) -> int:
    store = SqliteStore.open(path)
    try:
        if not await store.exists():
            assert await store.records() == []
            return 0
        size = len(await store.leaf_hashes())
        assert await store.checkpoint() == (size, b"note %d" % size)
        # The record of the last multiple of seven came with its entry, or neither did.
        last = (size - 1) // 7 * 7
        assert [(row.generation, row.sealed) for row in await store.records()] == [
            (last + 1, b"sealed %d" % last)
        ]
    finally:
        await store.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("SELECT count(*), min(seq), max(seq) FROM entry").fetchone() == (
            size,
            0,
            size - 1,
        )
        assert connection.execute("SELECT count(*) FROM checkpoint").fetchone() == (size,)
        assert connection.execute("SELECT count(*) FROM opening").fetchone() == (size,)
    connection.close()
    return size


def test_killed_while_appending(store_path: Path) -> None:
    dice = random.Random()
    size = 0
    for _ in range(20):
        reported = _killed_round(store_path, dice.uniform(0, 0.03), entries=1)
        assert reported == list(range(size, size + len(reported)))
        after = asyncio.run(_verified_size(store_path))
        # One commit may have been durable before its return was told.
        assert after - (size + len(reported)) in (0, 1)
        size = after
    assert size > 20


def test_killed_while_setting_up(tmp_path: Path) -> None:
    """A half-made set-up is none: it can be made again, or it is there whole."""
    dice = random.Random()
    halfway = 0
    for number in range(30):
        path = tmp_path / str(number) / "ownerd.db"
        reported = _killed_round(path, dice.uniform(0, 0.01), entries=0)
        size = asyncio.run(_verified_size(path))
        assert size - len(reported) in (0, 1)
        halfway += not size
        again = _killed_round(path, 0, entries=1)
        assert again[0] == size
    assert halfway > 0
