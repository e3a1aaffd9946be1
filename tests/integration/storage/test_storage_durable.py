"""Durable on return: when `commit` or `atomic_write` comes back, no byte and no name waits for a sync.

A kill cannot tell, since the kernel keeps what was written; so the system calls themselves are watched.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.rigs.stores import make_batch, missing_rig

from ownerd.core.ports import Batch, Record
from ownerd.storage.database import VaultDatabase
from ownerd.storage.files import atomic_write, secure_file
from ownerd.storage.store import SqliteStore

SOURCE = Path(__file__).with_name("syncwatch.c")


def _watched_story(directory: str) -> None:
    path = Path(directory) / "new" / "ownerd" / "ownerd.db"
    log = os.open(os.environ["SYNCWATCH"], os.O_WRONLY | os.O_APPEND)

    commit = VaultDatabase.commit

    def marked(database: VaultDatabase, batch: Batch) -> None:
        commit(database, batch)
        # On the store's thread: the tidying that it does next must not be taken for a part of the commit.
        os.writev(log, [b"m commit %d\n" % batch.entries[0].seq])

    VaultDatabase.commit = marked  # type: ignore[method-assign]

    async def story() -> None:
        store = SqliteStore.open(path)
        for seq in range(8):
            put = (Record("k", "a", seq, b"s" * 400),) if seq % 3 == 0 else ()
            await store.commit(make_batch(seq, put=put))
        await store.close()
        os.writev(log, [b"m close\n"])
        again = SqliteStore.open(path)
        await again.commit(make_batch(8))
        await again.close()
        atomic_write(path.with_name("key.json"), b"{}" * 100_000)
        os.writev(log, [b"m atomic_write\n"])
        secure_file(path.with_name("name"), create=True)
        os.writev(log, [b"m secure_file\n"])

    asyncio.run(story())


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[list[tuple[str, str]]]]:
    """(directory, for each mark what was done since the last one) of a child under watch."""
    directory = tmp_path_factory.mktemp("watched")
    compiler = shutil.which("gcc")
    if compiler is None:
        missing_rig("gcc is not installed")
    library, log = directory / "syncwatch.so", directory / "log"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"], check=True)
    log.touch()
    call = f"import sys; from {__name__} import _watched_story; _watched_story(sys.argv[1])"
    environment = {**os.environ, "LD_PRELOAD": str(library), "SYNCWATCH": str(log)}
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", call, directory], check=True, env=environment, cwd=root, timeout=60)
    steps: list[list[tuple[str, str]]] = [[]]
    for line in log.read_text().splitlines():
        steps[-1].append((line[0], line[2:]))
        if line[0] == "m":
            steps.append([])
    assert steps.pop() == []
    return directory, steps


def test_no_written_byte_waits_for_a_sync_on_return(
    watched: tuple[Path, list[list[tuple[str, str]]]],
) -> None:
    directory, steps = watched
    for step in steps:
        waiting = set()
        for what, path in step:
            # -shm is an index that is made anew after a crash, SQLite never syncs it.
            if what == "w" and path.startswith(f"{directory}/new") and not path.endswith("-shm"):
                waiting.add(path)
            elif what == "s":
                waiting.discard(path)
        assert waiting <= {f"{directory}/new/ownerd/ownerd.db-wal"}
        # The one exception: an emptied log need not be; its old frames are in the synced database already.
        if waiting:
            last = [what for what, path in step if path.endswith("-wal")]
            assert last[-1] == "w"
            assert f"s {directory}/new/ownerd/ownerd.db" in [f"{what} {path}" for what, path in step]
    commits = [step for step in steps if step[-1][1].startswith("commit")]
    assert len(commits) == 9
    for step in commits:
        assert ("s", f"{directory}/new/ownerd/ownerd.db-wal") in step


def test_new_names_are_durable_in_their_directories(
    watched: tuple[Path, list[list[tuple[str, str]]]],
) -> None:
    directory, steps = watched
    synced = {path for what, path in steps[0] if what == "s"}
    assert {f"{directory}", f"{directory}/new", f"{directory}/new/ownerd"} <= synced
    # The log is made anew after it was removed at the closing.
    assert ("s", f"{directory}/new/ownerd") in steps[9]
    for step in steps[-2:]:  # atomic_write and secure_file: the directory is the last that they touch
        assert step[-2] == ("s", f"{directory}/new/ownerd")
