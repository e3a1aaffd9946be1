"""A file in the runtime directory that outlives a lock: gone with the login session. Nothing secret is in it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

from ownerd.model.errors import OwnerdError
from ownerd.storage.files import atomic_write

_MAX_BYTES: Final = 64 * 1024


class RuntimeNotebook:
    """Implements `ownerd.core.ports.Notebook`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> bytes:
        """What was written last, or nothing."""
        with suppress(OSError), self._path.open("rb") as file:
            return file.read(_MAX_BYTES)
        return b""

    def write(self, text: bytes) -> None:
        """Replace it, or leave it as it was."""
        with suppress(OSError, OwnerdError):
            atomic_write(self._path, text)
