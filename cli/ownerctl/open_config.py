"""The one key of ``config.toml`` that is ours: ``web_allow_private``, for providers in the own network.

The daemon judges the file as a whole; here the rest of it is not looked at.
"""

from __future__ import annotations

import os
import stat
import tomllib
from pathlib import Path
from typing import Final

from ownerd.model.errors import ConfigError, UnsafeFile

KEY: Final = "web_allow_private"
_MAX_BYTES = 64 * 1024


def allows_private(path: Path) -> bool:
    """Whether ``path`` allows private addresses; an absent file or key does not.

    Raises `UnsafeFile` for a file that others may write, and `ConfigError`.
    """
    try:
        # Without O_NONBLOCK a pipe in its place would hold the command for ever.
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:  # noqa: PTH123
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise UnsafeFile("config.toml is not a regular file")
            if status.st_uid not in {os.getuid(), 0} or status.st_mode & 0o022:
                raise UnsafeFile("config.toml belongs to others, or others may write it")
            raw = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ConfigError("config.toml cannot be read") from error
    if len(raw) > _MAX_BYTES:
        raise ConfigError("config.toml is too large")
    try:
        value = tomllib.loads(raw.decode("utf-8")).get(KEY, False)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError("config.toml is not TOML") from error
    if not isinstance(value, bool):
        raise ConfigError(f"{KEY} is neither true nor false")
    return value
