"""Where our files are (XDG Base Directory). Reads the environment; makes and trusts nothing."""

from __future__ import annotations

import os
from pathlib import Path


def _base(variable: str, fallback: str) -> Path:
    given = os.environ.get(variable, "")
    # The XDG specification: a relative path in these variables is invalid and is to be ignored.
    return Path(given) if given.startswith("/") else Path.home() / fallback


def data_dir() -> Path:
    """``$XDG_DATA_HOME/ownerd``: the database."""
    return _base("XDG_DATA_HOME", ".local/share") / "ownerd"


def database_path() -> Path:
    """Vault and ledger, one SQLite file."""
    return data_dir() / "ownerd.db"


def config_dir() -> Path:
    """``$XDG_CONFIG_HOME/ownerd``: ``config.toml`` and ``trust.d/*.pem``."""
    return _base("XDG_CONFIG_HOME", ".config") / "ownerd"


def runtime_dir() -> Path:
    """``$XDG_RUNTIME_DIR/ownerd``: the software token's socket and the daemon's session key."""
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    return (Path(given) if given.startswith("/") else Path(f"/run/user/{os.getuid()}")) / "ownerd"


def session_key_path() -> Path:
    """The daemon's public key of this start, as JWK."""
    return runtime_dir() / "session-key.json"
