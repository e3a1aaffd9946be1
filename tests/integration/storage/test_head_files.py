"""Head files: what is read, what is refused, and compare-and-swap between two computers with one file."""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from pathlib import Path

import pytest

from ownerd.model.errors import Busy, StorageError, UnsafeFile
from ownerd.storage.heads import MAX_HEAD_BYTES, HeadFiles, swap_head


def read(path: Path, **options: float) -> bytes | None:
    return asyncio.run(HeadFiles(**options).read(str(path)))


def swap(path: Path, note: bytes, expected: bytes | None) -> None:
    asyncio.run(HeadFiles().swap(str(path), note, expected))


def test_a_head_is_written_private_and_whole_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "head"
    assert read(path) is None
    old = os.umask(0)
    try:
        swap(path, b"one", None)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    swap(path, b"two", b"one")
    assert read(path) == b"two"
    assert [one.name for one in tmp_path.iterdir()] == ["head"], "nothing is left beside it"


def test_an_empty_file_is_as_none_and_no_directory_is_not(tmp_path: Path) -> None:
    (tmp_path / "head").touch()
    assert read(tmp_path / "head") is None
    with pytest.raises(StorageError):
        read(tmp_path / "stick" / "head")
    with pytest.raises(StorageError):
        swap(tmp_path / "stick" / "head", b"one", None)


def test_a_link_is_neither_read_nor_followed_nor_replaced(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"precious")
    link = tmp_path / "head"
    link.symlink_to(other)
    with pytest.raises(UnsafeFile):
        read(link)
    for expected in (None, b"precious"):
        with pytest.raises(UnsafeFile):
            swap(link, b"one", expected)
    assert (other.read_bytes(), link.is_symlink()) == (b"precious", True)


def test_a_pipe_a_directory_and_a_large_file_hold_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "directory").mkdir()
    (tmp_path / "large").write_bytes(bytes(MAX_HEAD_BYTES + 1))
    for name, words in (("pipe", "regular"), ("directory", "regular"), ("large", "too large")):
        with pytest.raises(StorageError, match=words):
            read(tmp_path / name)


def test_a_place_that_does_not_answer_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone_on = threading.Event()
    monkeypatch.setattr("ownerd.storage.heads.read_head", lambda _path: gone_on.wait(5) and None)
    with pytest.raises(StorageError, match="does not answer"):
        read(tmp_path / "head", timeout_seconds=0.02)
    gone_on.set()


def test_what_is_not_what_was_read_stays(tmp_path: Path) -> None:
    path = tmp_path / "head"
    swap(path, b"one", None)
    for expected in (None, b"two"):
        with pytest.raises(Busy):
            swap(path, b"three", expected)
    assert path.read_bytes() == b"one"


def test_of_many_writers_over_the_same_head_one_wins(tmp_path: Path) -> None:
    path = tmp_path / "head"
    for turn in range(5):
        before = path.read_bytes() if path.exists() else None
        start, won = threading.Barrier(8), []

        def write(number: int, before: bytes | None = before, turn: int = turn) -> None:
            start.wait()  # noqa: B023 -- the threads end within the turn
            note = b"%d from %d" % (turn, number)
            try:
                swap_head(path, note, before)
            except Busy:
                return
            won.append(note)  # noqa: B023

        threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert won == [path.read_bytes()]
    assert [one.name for one in tmp_path.iterdir()] == ["head"]


def test_a_directory_that_is_full_leaves_the_old_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "head"
    swap(path, b"one", None)

    def fails(_descriptor: int) -> None:
        raise OSError(28, "no space")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(StorageError):
        swap(path, b"two", b"one")
    assert (path.read_bytes(), [one.name for one in tmp_path.iterdir()]) == (b"one", ["head"])
