"""``config.toml``: comfort only. Nothing in it decides what is released (DESIGN section 3).

::

    idle_seconds = 900        # lock after this time without use; 30 to 28800
    locked_seconds = 60       # end after this time locked, uncalled and with nothing waiting; 10 to 28800; on a terminal 28800
    pinentry = "pinentry-qt"  # program name or absolute path
    lock_on_removal = true    # lock when the token that opened the vault is taken out
    pkcs11_modules = ["/usr/lib/softhsm/libsofthsm2.so"]  # code that runs in the daemon; absolute paths
    web_allow_private = false # for ``ownerctl open`` alone: the daemon opens no network connection
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from ownerd.model.errors import ConfigError

MIN_IDLE_SECONDS: Final = 30
MAX_IDLE_SECONDS: Final = 8 * 3600
IDLE_SECONDS: Final = 900
MIN_LOCKED_SECONDS: Final = 10
LOCKED_SECONDS: Final = 60


class Config(Struct, frozen=True):
    """Parsed configuration."""

    idle_seconds: int = IDLE_SECONDS
    pinentry: str | None = None
    lock_on_removal: bool = True
    pkcs11_modules: tuple[str, ...] = ()
    web_allow_private: bool = False  # ownerctl's; here so that every key is in one table
    locked_seconds: int = LOCKED_SECONDS


def usual_locked_seconds() -> int:
    """`LOCKED_SECONDS` for what is started by D-Bus, and starts anew at the next call; who started it by hand ends it."""
    return MAX_IDLE_SECONDS if sys.stderr.isatty() else LOCKED_SECONDS


def read_config(path: Path) -> Config:
    """Read ``path``; an absent file gives the defaults. Raises `ConfigError` naming the key."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return Config(locked_seconds=usual_locked_seconds())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("config.toml cannot be read") from error
    import tomllib

    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"config.toml is not TOML: {error}") from error
    unknown = sorted(given.keys() - set(Config.__struct_fields__))
    if unknown:
        raise ConfigError(f"config.toml has an unknown key: {unknown[0]}")
    idle_seconds = _seconds(given, "idle_seconds", IDLE_SECONDS, MIN_IDLE_SECONDS)
    locked_seconds = _seconds(given, "locked_seconds", usual_locked_seconds(), MIN_LOCKED_SECONDS)
    pinentry = given.get("pinentry")
    lock_on_removal = given.get("lock_on_removal", True)
    if pinentry is not None and not isinstance(pinentry, str):
        raise ConfigError("pinentry is not text")
    if not isinstance(lock_on_removal, bool):
        raise ConfigError("lock_on_removal is neither true nor false")
    web_allow_private = given.get("web_allow_private", False)
    if not isinstance(web_allow_private, bool):
        raise ConfigError("web_allow_private is neither true nor false")
    modules = given.get("pkcs11_modules", [])
    if not isinstance(modules, list) or any(not isinstance(one, str) for one in modules):
        raise ConfigError("pkcs11_modules is not a list of texts")
    if any(not Path(one).is_absolute() for one in modules):
        raise ConfigError("a path of pkcs11_modules is not absolute")
    return Config(idle_seconds, pinentry, lock_on_removal, tuple(modules), web_allow_private, locked_seconds)


def _seconds(given: dict[str, Any], key: str, usual: int, least: int) -> int:
    value = given.get(key, usual)
    if type(value) is not int or not least <= value <= MAX_IDLE_SECONDS:
        raise ConfigError(f"{key} is not a number from {least} to {MAX_IDLE_SECONDS}")
    return value
