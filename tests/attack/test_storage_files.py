"""Files in the data directory that are not the owner's alone: each is refused by name and left as it is."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from tests.rigs.stores import make_batch, missing_rig

from ownerd.model.errors import StorageError, UnsafeFile
from ownerd.storage.files import atomic_write, lock_file, secure_directory, secure_file
from ownerd.storage.store import SqliteStore

FILES = ["ownerd.db", "ownerd.db-wal", "ownerd.db-shm", "ownerd.lock"]


def _filled(path: Path) -> None:
    """Leave a vault behind, with -wal and -shm as after a crash."""

    async def story() -> None:
        store = SqliteStore.open(path)
        await store.commit(make_batch(0))
        await store.commit(make_batch(1))
        copies = {name: path.with_name(name).read_bytes() for name in FILES[1:3]}
        await store.close()
        for name, data in copies.items():
            atomic_write(path.with_name(name), data)

    asyncio.run(story())


def _attempt(path: Path) -> None:
    async def story() -> None:
        store = SqliteStore.open(path)
        try:
            await store.exists()
        finally:
            await store.close()

    asyncio.run(story())


def test_the_left_behind_files_are_accepted_as_they_are(store_path: Path) -> None:
    _filled(store_path)
    assert sorted(path.name for path in store_path.parent.iterdir()) == sorted(FILES)
    _attempt(store_path)


@pytest.mark.parametrize("name", FILES)
def test_a_symbolic_link_is_refused(store_path: Path, tmp_path: Path, name: str) -> None:
    _filled(store_path)
    elsewhere = tmp_path / "elsewhere"
    store_path.with_name(name).rename(elsewhere)
    store_path.with_name(name).symlink_to(elsewhere)
    with pytest.raises(UnsafeFile, match=rf"^{name} is a symbolic link"):
        _attempt(store_path)


@pytest.mark.parametrize("name", FILES)
def test_a_dangling_symbolic_link_is_not_followed(store_path: Path, tmp_path: Path, name: str) -> None:
    secure_directory(store_path.parent)
    if name != "ownerd.db":
        secure_file(store_path, create=True)
    target = tmp_path / "made through a link"
    store_path.with_name(name).symlink_to(target)

    async def story() -> None:
        store = SqliteStore.open(store_path)
        with pytest.raises(UnsafeFile, match="symbolic link"):
            await store.commit(make_batch(0))
        await store.close()

    asyncio.run(story())
    assert not target.exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610, 0o666])
@pytest.mark.parametrize("name", FILES)
def test_rights_for_others_are_refused_and_not_repaired(store_path: Path, name: str, mode: int) -> None:
    _filled(store_path)
    store_path.with_name(name).chmod(mode)
    with pytest.raises(UnsafeFile, match=rf"^{name} is open to others; run chmod 600"):
        _attempt(store_path)
    assert store_path.with_name(name).stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("name", FILES)
def test_a_second_hard_link_is_refused(store_path: Path, tmp_path: Path, name: str) -> None:
    _filled(store_path)
    os.link(store_path.with_name(name), tmp_path / "second")
    with pytest.raises(UnsafeFile, match="second hard link"):
        _attempt(store_path)


@pytest.mark.parametrize("name", FILES)
def test_what_is_not_a_file_is_refused_without_waiting_for_it(store_path: Path, name: str) -> None:
    _filled(store_path)
    store_path.with_name(name).unlink()
    os.mkfifo(store_path.with_name(name), 0o600)
    with pytest.raises(UnsafeFile, match="not a regular file"):
        _attempt(store_path)


@pytest.mark.parametrize("name", [".", *FILES])
def test_a_foreign_owner_is_refused(store_path: Path, name: str) -> None:
    if os.geteuid() != 0:
        missing_rig("giving a file away needs root")
    _filled(store_path)
    os.chown(store_path.parent / name, 65534, -1)
    with pytest.raises(UnsafeFile, match="belongs to another user"):
        _attempt(store_path)


@pytest.mark.parametrize("mode", [0o750, 0o705, 0o777, 0o710])
def test_an_open_directory_is_refused(store_path: Path, mode: int) -> None:
    _filled(store_path)
    store_path.parent.chmod(mode)
    with pytest.raises(UnsafeFile, match="ownerd is open to others; run chmod 700"):
        _attempt(store_path)


def test_a_linked_directory_is_refused(store_path: Path) -> None:
    _filled(store_path)
    store_path.parent.rename(store_path.parent.with_name("real"))
    store_path.parent.symlink_to("real")
    with pytest.raises(UnsafeFile, match="ownerd is a symbolic link"):
        _attempt(store_path)


def test_a_file_in_the_directorys_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ownerd").write_bytes(b"")
    with pytest.raises(UnsafeFile, match="not a directory"):
        secure_directory(tmp_path / "ownerd")
    with pytest.raises(StorageError):
        secure_directory(tmp_path / "ownerd" / "below")


def test_messages_name_no_path(store_path: Path) -> None:
    _filled(store_path)
    store_path.chmod(0o644)
    with pytest.raises(UnsafeFile) as caught:
        _attempt(store_path)
    assert "/" not in str(caught.value)


def test_the_lock_is_one(tmp_path: Path) -> None:
    held = lock_file(tmp_path / "x.lock")
    with pytest.raises(StorageError, match="another ownerd runs"):
        lock_file(tmp_path / "x.lock")
    os.close(held)
    os.close(lock_file(tmp_path / "x.lock"))


def test_a_replaced_file_is_old_or_new_and_private(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    old = os.umask(0)
    try:
        atomic_write(path, b"one")
        assert path.stat().st_mode & 0o777 == 0o600
        os.umask(0o777)
        atomic_write(path, b"two", mode=0o640)
    finally:
        os.umask(old)
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o640
    assert [entry.name for entry in tmp_path.iterdir()] == ["key.json"]


def test_writing_replaces_a_link_instead_of_following_it(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / "key.json").symlink_to(victim)
    atomic_write(tmp_path / "key.json", b"new")
    assert victim.read_bytes() == b"precious"
    assert not (tmp_path / "key.json").is_symlink()


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "key.json").mkdir()
    with pytest.raises(StorageError):
        atomic_write(tmp_path / "key.json", b"new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["key.json"]
    with pytest.raises(StorageError):
        atomic_write(tmp_path / "missing" / "key.json", b"new")
