"""Files and directories that belong to the owner alone.

Trusts the kernel's answer about a path and nothing that lies there: a symbolic link, a foreign owner, a
second hard link or rights for others are refused, never repaired silently. Messages name the file by its
base name.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
from pathlib import Path

from ownerd.model.errors import StorageError, UnsafeFile
from ownerd.storage.faults import storage_errors

_OTHERS = 0o077


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _verify_private(status: os.stat_result, name: str, mode: str) -> None:
    if status.st_uid != os.geteuid():
        raise UnsafeFile(f"{name} belongs to another user; move it away or change its owner")
    if status.st_mode & _OTHERS:
        raise UnsafeFile(f"{name} is open to others; run chmod {mode} on it")


def _verify_regular(status: os.stat_result, name: str) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise UnsafeFile(f"{name} is a symbolic link; put the file itself in its place")
    if not stat.S_ISREG(status.st_mode):
        raise UnsafeFile(f"{name} is not a regular file; move it away")
    _verify_private(status, name, "600")
    if status.st_nlink != 1:
        raise UnsafeFile(f"{name} has a second hard link; remove the other name")


def secure_directory(path: Path) -> None:
    """Make sure that ``path`` is a directory of ours with mode 0700; make it, and missing parents, so.

    Raises `UnsafeFile` for a symbolic link, a foreign owner or rights for others, else `StorageError`.
    """
    with storage_errors():
        missing = []
        ancestor = path
        while not os.path.lexists(ancestor):
            missing.append(ancestor)
            ancestor = ancestor.parent
        for directory in reversed(missing):
            directory.mkdir(mode=0o700, exist_ok=True)
            sync_directory(directory.parent)
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            raise UnsafeFile(f"{path.name} is a symbolic link; put the directory itself in its place")
        if not stat.S_ISDIR(status.st_mode):
            raise UnsafeFile(f"{path.name} is not a directory; move it away")
        _verify_private(status, path.name, "700")


def remove_directory(path: Path) -> None:
    """Remove a directory and all that is in it; what is not there or cannot be removed is left, without a word."""
    if os.path.lexists(path):
        import shutil  # and with it three compressors, which a start does without

        shutil.rmtree(path, ignore_errors=True)


def secure_file(path: Path, *, create: bool = False) -> None:
    """Make sure that ``path`` is a regular file of ours, mode 0600, one name; make an empty one if asked.

    Looks without opening what is there: closing a second descriptor of a file drops the POSIX locks that
    SQLite holds on it in this process. Raises `UnsafeFile`, or `StorageError` when it is missing.
    """
    with storage_errors():
        if create:
            try:
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
                sync_directory(path.parent)
            except FileExistsError:
                pass  # judged below, like any file that we find
        try:
            status = path.lstat()
        except FileNotFoundError as error:
            raise StorageError(f"{path.name} is missing") from error
        _verify_regular(status, path.name)


def lock_file(path: Path) -> int:
    """Take the exclusive lock that ``path`` stands for and return the descriptor that holds it.

    The lock ends when the descriptor is closed or the process dies; the file stays. Raises `StorageError`
    when another holds it, `UnsafeFile` for a file that is not ours alone.
    """
    with storage_errors():
        secure_file(path, create=True)
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            _verify_regular(os.fstat(descriptor), path.name)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise StorageError("another ownerd runs on this database") from error
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor


def atomic_write(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace ``path`` by a file holding ``data``, durable on return: the old content or the new, never less.

    A symbolic link at ``path`` is replaced, not followed. Raises `StorageError`.
    """
    with storage_errors():
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, mode & 0o700)
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(file.fileno(), mode)  # whatever the umask says
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)
