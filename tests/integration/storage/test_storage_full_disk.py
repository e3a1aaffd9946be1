"""A disk that is full, a file size limit, a directory that became read-only: clear errors, nothing half-written."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from tests.rigs.stores import make_batch, missing_rig

from ownerd.core.ports import Record
from ownerd.model.errors import StorageError
from ownerd.storage.files import atomic_write
from ownerd.storage.store import SqliteStore


@contextmanager
def _file_size_limit(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond ``size`` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


async def _fill_until_refused(store: SqliteStore, size: int) -> int:
    """Append with a changing record until a commit fails; return how many entries there are then."""
    for seq in range(size, size + 10_000):
        try:
            await store.commit(make_batch(seq, put=(Record("counter", "n", seq + 1, b"s" * 300),)))
        except StorageError as error:
            assert "space" in str(error) or "disk refused" in str(error)  # noqa: PT017
            return seq
    raise AssertionError("the limit was never reached")


async def _require_whole(store: SqliteStore, size: int) -> None:
    assert len(await store.leaf_hashes()) == size
    assert await store.checkpoint() == (size, b"note %d" % size)
    assert [row.generation for row in await store.records()] == [size]
    assert await store.opening(size) is None


def test_a_limit_on_the_file_stops_between_two_entries(store_path: Path) -> None:
    async def story() -> None:
        store = SqliteStore.open(store_path)
        with _file_size_limit(400_000):
            size = await _fill_until_refused(store, 0)
            assert size > 20
            await _require_whole(store, size)
            assert await _fill_until_refused(store, size) == size
            await _require_whole(store, size)
        # With room again the same store goes on, and so does the next one.
        await store.commit(make_batch(size, put=(Record("counter", "n", size + 1, b"s"),)))
        await store.close()
        again = SqliteStore.open(store_path)
        await _require_whole(again, size + 1)
        await again.close()

    asyncio.run(story())


@pytest.mark.parametrize("limit", [0, 100, 4096, 8192, 20_000])
def test_no_room_for_a_set_up_is_no_set_up(store_path: Path, limit: int) -> None:
    async def story() -> None:
        with _file_size_limit(limit):
            store = SqliteStore.open(store_path)
            with pytest.raises(StorageError):
                await store.commit(make_batch(0))
            await store.close()
        again = SqliteStore.open(store_path)
        assert not await again.exists()
        await again.commit(make_batch(0))
        assert await again.exists()
        await again.close()

    asyncio.run(story())


def test_a_file_that_cannot_be_written_whole_stays_old(tmp_path: Path) -> None:
    atomic_write(tmp_path / "key", b"old")
    with _file_size_limit(1000), pytest.raises(StorageError, match="file size limit"):
        atomic_write(tmp_path / "key", b"n" * 5000)
    assert (tmp_path / "key").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def _in_mount_namespace(mount: str, directory: Path, story: str) -> str:
    """Run a function of this module, with ``mount`` done on ``directory``, in a child; return its output."""
    unshare = shutil.which("unshare")
    if unshare is None:
        missing_rig("unshare is not installed")
    namespace = [unshare, "--mount"] + ([] if os.geteuid() == 0 else ["--map-root-user"])
    if subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode:
        missing_rig("no mount namespace may be made here")
    call = f"import sys; from {__name__} import {story}; {story}(sys.argv[1])"
    done = subprocess.run(
        [*namespace, "sh", "-ec", f'{mount}; exec "$2" -c "$3" "$1"', "sh", directory, sys.executable, call],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=Path(__file__).parents[3],
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _full_tmpfs_story(directory: str) -> None:
    path = Path(directory) / "ownerd" / "ownerd.db"
    ballast = Path(directory) / "ballast"

    async def story() -> None:
        ballast.write_bytes(b"b" * 300_000)
        store = SqliteStore.open(path)
        size = await _fill_until_refused(store, 0)
        assert size > 20
        await _require_whole(store, size)
        await store.close()
        # Not even the log's index can be made now, or it can: an answer or an error, never a crash (SIGBUS).
        again = SqliteStore.open(path)
        with suppress(StorageError):
            await _require_whole(again, size)
        await again.close()
        ballast.unlink()
        last = SqliteStore.open(path)
        await _require_whole(last, size)
        await last.commit(make_batch(size))
        await last.close()
        os.write(1, b"whole %d\n" % size)

    asyncio.run(story())


def test_a_full_disk_stops_between_two_entries(tmp_path: Path) -> None:
    mount = 'mount -t tmpfs -o size=1M,mode=700 tmpfs "$1"'
    assert _in_mount_namespace(mount, tmp_path, "_full_tmpfs_story").startswith("whole ")


def _read_only_story(directory: str) -> None:
    async def story() -> None:
        store = SqliteStore.open(Path(directory) / "ownerd.db")
        with pytest.raises(StorageError) as caught:
            await store.commit(make_batch(1))
        os.write(1, str(caught.value).encode())
        await store.close()

    asyncio.run(story())


def test_a_read_only_data_directory_says_so(store_path: Path) -> None:
    async def fill() -> None:
        store = SqliteStore.open(store_path)
        await store.commit(make_batch(0))
        await store.close()

    asyncio.run(fill())
    mount = 'mount --bind "$1" "$1"; mount -o remount,ro,bind "$1"'
    said = _in_mount_namespace(mount, store_path.parent, "_read_only_story")
    assert said == "the data directory is read-only"
