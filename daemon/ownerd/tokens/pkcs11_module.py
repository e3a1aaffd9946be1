"""One PKCS#11 module: a shared library that the owner named in ``config.toml``, and the one thread that calls it.

A module is code that runs in this process, with every right that the process has: what is checked here is that
nobody but root and the owner could have put it there, not that it is harmless. ``C_Initialize`` holds for the
whole process, so a module has one worker for all users of it, and calls never overlap.

This file does not import the library; `Module.library` does, on the worker.
"""

from __future__ import annotations

import ctypes
import logging
import os
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from ownerd.model.errors import Busy, ConfigError, OwnerdError
from ownerd.tokens.limit import Limit
from ownerd.tokens.worker import StepTimeout, Worker

if TYPE_CHECKING:
    from pkcs11._pkcs11 import lib as Library  # noqa: N812 - a class, whatever it is called

T = TypeVar("T")

MAX_MODULES: Final = 8
_ELF: Final = b"\x7fELF"
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH

logger = logging.getLogger(__name__)


class Module:
    """A checked module and its thread. Made by `open_modules` alone."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.name = Path(path).name
        self._worker = Worker(f"ownerd-pkcs11-{self.name}")
        self._kept = False

    @property
    def stuck(self) -> bool:
        """Whether the thread hangs in a call that everybody gave up on."""
        return self._worker.stuck

    async def run(self, work: Callable[[Library, Limit], T], timeout_seconds: float) -> T:
        """Run ``work`` on the module's thread; it gets the initialized library.

        Raises `Busy` when the module does not answer in time or has not come back from an earlier call,
        `ConfigError` when it cannot be loaded, and what ``work`` raises.
        """
        if self._worker.stuck:
            raise Busy("the PKCS#11 module has not come back from an earlier call")
        limit = Limit()
        try:
            return await self._worker.run(lambda: work(self.library(), limit), limit, timeout_seconds)
        except StepTimeout as error:
            # A wrong PIN that was found out a moment too late is still a wrong PIN.
            if isinstance(error.__cause__, OwnerdError):
                raise error.__cause__ from error
            raise Busy("the PKCS#11 module does not answer") from error

    def library(self) -> Library:
        """Load and initialize the module, or return it as it is. Runs on the worker. Raises `ConfigError`."""
        import pkcs11
        from pkcs11.exceptions import PKCS11Error

        try:
            library = pkcs11.lib(self.path)
        except PKCS11Error as error:
            raise ConfigError("a file of pkcs11_modules is not a PKCS#11 module that starts") from error
        if not self._kept:
            # Never unloaded: Python's exit would call C_Finalize, and locking must end the process even while
            # the thread hangs in the module.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(library))
            self._kept = True
        return library

    def reset(self) -> None:
        """End every session and login of this process in the module, and start it anew. Runs on the worker."""
        from pkcs11.exceptions import PKCS11Error

        with suppress(PKCS11Error, ConfigError):
            self.library().finalize()
            self.library()


_modules: Final[dict[str, Module]] = {}


def open_modules(paths: Sequence[str]) -> list[Module]:
    """Return the modules at ``paths``, one for each file however often it is named. Loads nothing.

    Raises `ConfigError` for a path that is not absolute, is not an ELF file, or could have been changed by
    anybody but root and the owner of this process.
    """
    if len(paths) > MAX_MODULES:
        raise ConfigError(f"pkcs11_modules has more than {MAX_MODULES} files")
    found = {real: _modules.setdefault(real, Module(real)) for real in map(_require_safe, paths)}
    return list(found.values())


def _require_safe(path: str) -> str:
    """Return the real path. Directories count too: who may rename a file in one may replace it."""
    if not Path(path).is_absolute() or "\0" in path:
        raise ConfigError("a path of pkcs11_modules is not absolute")
    try:
        real = Path(path).resolve(strict=True)
        found = real.stat()
        if not stat.S_ISREG(found.st_mode):
            raise ConfigError("a path of pkcs11_modules is not a file")
        with real.open("rb") as file:
            magic = file.read(len(_ELF))
    except (OSError, RuntimeError) as error:
        raise ConfigError("a file of pkcs11_modules cannot be read") from error
    if magic != _ELF:
        raise ConfigError("a file of pkcs11_modules is not a shared library")
    for one in (real, *real.parents):
        _require_unwritable(one.stat())
    return str(real)


def _require_unwritable(found: os.stat_result) -> None:
    # In a sticky directory (/tmp) nobody renames what is not his.
    sticky = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX
    if found.st_uid not in {0, os.getuid()} or (found.st_mode & _OTHERS_WRITE and not sticky):
        raise ConfigError("a file of pkcs11_modules can be changed by others than root and you")
