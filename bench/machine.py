"""The machine in general words: enough to compare figures of one machine, nothing that names it."""

from __future__ import annotations

import os
import platform
import sqlite3
import tempfile
from pathlib import Path

from ownerd.dbuslib import LIBRARY


def describe() -> dict[str, str]:
    """What the figures depend on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "machine": f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.machine()}, {platform.system()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "dbus": LIBRARY,
        "file_system": _file_system(Path(tempfile.gettempdir()).resolve()),
    }


def _file_system(path: Path) -> str:
    """Type of the file system that the databases of this run lie on."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    fitting = [(len(mount[1]), mount[2]) for mount in mounts if path.is_relative_to(mount[1])]
    return max(fitting, default=(0, "unknown"))[1]
