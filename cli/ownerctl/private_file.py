"""Writing a file that only its owner may read, and never over another by accident."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ownerctl.errors import FileTrouble

_EXISTS_HINT = "choose another name, or replace it with --force"


def require_place(path: Path, *, replace: bool = False) -> None:
    """Raises `FileTrouble` where `private_file` would, as far as can be seen: nobody touches a token for nothing."""
    if os.path.lexists(path) and not replace:
        raise FileTrouble("the file exists already", hint=_EXISTS_HINT)
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise FileTrouble(
            "the file cannot be written there", hint="is there such a directory, and may you write in it?"
        )


def write_private(path: Path, content: bytes, *, replace: bool) -> None:
    """Write ``content`` with mode 0600. Raises as `private_file`."""
    with private_file(path, replace=replace) as file:
        file.write(content)


@contextlib.contextmanager
def private_file(path: Path, *, replace: bool) -> Iterator[BinaryIO]:
    """A file to write with mode 0600, which is whole at the end or not there.

    With ``replace`` the old file stays until the new one is whole. Raises `FileTrouble` when ``path``
    exists and ``replace`` is not given, or when it cannot be written.
    """
    written: str | None = None
    try:
        if replace:
            descriptor, written = tempfile.mkstemp(prefix=".ownerctl-", dir=path.parent)
        else:
            # O_EXCL: no window between a look and the write; it follows no symlink either.
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            written = str(path)
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if replace:
            Path(written).replace(path)
        written = None
    except FileExistsError as error:
        raise FileTrouble("the file exists already", hint=_EXISTS_HINT) from error
    except OSError as error:
        raise FileTrouble("the file cannot be written there") from error
    finally:
        if written is not None:
            with contextlib.suppress(FileNotFoundError):
                Path(written).unlink()
