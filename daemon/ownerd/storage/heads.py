"""`HeadFiles`: heads of the ledger in files of the owner's choice: a stick, a folder that is synchronised.

Trusts nothing there. Every call has a thread of its own that nobody waits for longer than a moment: a dead network
folder must hold up neither an unlock nor the end of the process.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

from ownerd.model.errors import Busy, OwnerdError, StorageError, UnsafeFile
from ownerd.storage.faults import storage_errors

T = TypeVar("T")

MAX_HEAD_BYTES: Final = 16 * 1024
LOCK_SECONDS: Final = 1.0
_LOCK_STEP_SECONDS: Final = 0.01


class HeadFiles:
    """Implements `ownerd.core.ports.HeadPort`. ``timeout_seconds`` bounds each call."""

    def __init__(self, *, timeout_seconds: float = 2.0) -> None:
        self._timeout_seconds = timeout_seconds

    async def read(self, path: str) -> bytes | None:
        """See `HeadPort.read`."""
        return await self._run(lambda: read_head(Path(path)))

    async def swap(self, path: str, note: bytes, expected: bytes | None) -> None:
        """See `HeadPort.swap`."""
        await self._run(lambda: swap_head(Path(path), note, expected))

    async def _run(self, work: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def tell(value: T | None, error: BaseException | None) -> None:
            if done.done():
                return
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(value)  # type: ignore[arg-type]  # None is a T wherever ``work`` returns it

        def run() -> None:
            value: T | None = None
            problem: BaseException | None = None
            try:
                with storage_errors():
                    value = work()
            except OwnerdError as error:
                problem = error
            with suppress(RuntimeError):  # nobody listens any more
                loop.call_soon_threadsafe(tell, value, problem)

        threading.Thread(target=run, name="ownerd-head", daemon=True).start()
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await done
        except TimeoutError as error:
            raise StorageError("the place of a head does not answer") from error


def read_head(path: Path) -> bytes | None:
    """Return a head file's content; None where it is missing or empty. Raises `StorageError`, `OSError`.

    A symbolic link, a pipe or a device under its name is refused, and neither followed nor waited for.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        if path.parent.is_dir():
            return None
        raise StorageError("the directory of a head is not there") from None
    except OSError as error:
        if path.is_symlink():
            raise UnsafeFile("a head file is a symbolic link; put the file itself in its place") from error
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UnsafeFile("a head file is not a regular file; move it away")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(MAX_HEAD_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(content) > MAX_HEAD_BYTES:
        raise StorageError("a head file is too large to be one")
    return content or None


def swap_head(path: Path, note: bytes, expected: bytes | None) -> None:
    """Compare and swap. Raises `Busy`, `StorageError`, `OSError`.

    Writers of one system take turns by a lock on the directory. Where the file system has none, two that come at the
    same moment may both write; the next look of either tells.
    """
    with _turn(path.parent) as directory:
        if read_head(path) != expected:
            raise Busy("another head was written there meanwhile")
        temporary = f".{path.name}.{secrets.token_hex(8)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, 0o600, dir_fd=directory)
        try:
            with os.fdopen(descriptor, "wb") as file:
                with suppress(OSError):  # a FAT stick has no modes
                    os.fchmod(file.fileno(), 0o600)
                file.write(note)
                file.flush()
                os.fsync(file.fileno())
            os.rename(temporary, path.name, src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=directory)
            raise
        os.fsync(directory)


@contextmanager
def _turn(directory: Path) -> Iterator[int]:
    """Open a directory and take its lock, where it has one. Raises `Busy` when another keeps it."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= deadline:
                    raise Busy("another program keeps the place of a head locked") from error
                time.sleep(_LOCK_STEP_SECONDS)
            except OSError:
                break  # this file system has no such locks
        yield descriptor
    finally:
        os.close(descriptor)
