"""Files that a command is given: read up to a bound, so that a wrong one fills no memory."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ownerctl.errors import FileTrouble


def read_given(path: str, what: str, max_bytes: int, *, or_stdin: bool = False) -> bytes:
    """The content of a file, or with ``or_stdin`` of standard input for ``-``; of a larger one ``max_bytes`` and one more.

    Raises `FileTrouble`, which calls it ``what``.
    """
    try:
        if or_stdin and path == "-":
            return sys.stdin.buffer.read(max_bytes + 1)
        with Path(path).open("rb") as file:
            return file.read(max_bytes + 1)
    except OSError as error:
        raise FileTrouble(f"the {what} cannot be read: {os.strerror(error.errno or 0).lower()}") from error


def read_given_text(path: str, what: str, max_bytes: int) -> str:
    """UTF-8 text from a file, or from standard input for ``-``. Raises `FileTrouble`."""
    raw = read_given(path, what, max_bytes, or_stdin=True)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FileTrouble(f"the {what} is not UTF-8 text", hint="save it as UTF-8") from error
    if len(raw) > max_bytes:
        raise FileTrouble(f"the {what} is larger than {max_bytes // 1024} KiB", hint="make it shorter")
    return text
